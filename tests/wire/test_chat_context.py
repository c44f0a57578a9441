"""Prompts that are too long, and prompts of the operator's."""

from typing import Any

import pytest

from tests.wire.conftest import OpenStage
from tests.wire.stage import conversation, quick, say, system_prompt

pytestmark = pytest.mark.real_cli


def test_the_oldest_messages_go_and_the_answer_says_how_many(open_real: OpenStage) -> None:
    chat = say(*(f"{number} {'x' * 3000}" for number in range(7)))
    with open_real(settings=quick(max_prompt_chars=10_000)) as stage:
        page = stage.post(chat)
        assert page.status == 200
        dropped = int(page.headers["x-ocpd-truncated"])
        heard = conversation(stage.upstream.requests[-1])
        assert [texts[0][:1] for _, texts in heard] == [str(at) for at in range(dropped, 7)]


def test_a_long_chat_keeps_its_process_while_it_loses_its_beginning(open_real: OpenStage) -> None:
    chat: list[dict[str, Any]] = []
    with open_real(settings=quick(max_prompt_chars=10_000)) as stage:
        for number in range(12):
            chat.append({"role": "user", "content": f"{number} {'x' * 1500}"})
            answer = stage.ask(chat).choices[0].message.content
            chat.append({"role": "assistant", "content": answer})
        sources = stage.daemon.wait_quiet().processes.sources
        assert sources["continued"] >= 6


def test_with_truncation_off_it_is_400(open_real: OpenStage) -> None:
    settings = quick(max_prompt_chars=10_000, truncate=False)
    with open_real(settings=settings) as stage:
        error = stage.refusal("x" * 10_001)
        assert (error.status_code, error.code) == (400, "context_length_exceeded")


def test_the_operators_prompt_stands_behind_the_callers(open_real: OpenStage) -> None:
    with open_real(settings=quick(system_prompt="Speak French.")) as stage:
        stage.ask([{"role": "system", "content": "Be brief."}, *say("hello")])
        stage.ask("hello")
        first, second = stage.upstream.requests
        assert system_prompt(first) == ["Be brief.\n\nSpeak French."]
        assert system_prompt(second) == ["Speak French."]
