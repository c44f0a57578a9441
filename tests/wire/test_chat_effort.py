"""Effort and thinking, as the upstream is asked for them."""

from typing import Any

import pytest

from tests.kit.script import Say
from tests.wire.stage import Stage

pytestmark = pytest.mark.real_cli


def asked(stage: Stage) -> tuple[Any, Any]:
    body = stage.upstream.requests[-1].body
    return body.get("output_config", {}).get("effort"), body.get("thinking", {}).get("type")


def test_an_effort_holds_for_its_turn_only(stage: Stage) -> None:
    chat: list[dict[str, Any]] = []
    efforts = []
    for effort in (None, "low", "low", "max", None):
        chat.append({"role": "user", "content": "go on"})
        more = {} if effort is None else {"reasoning_effort": effort}
        answer = stage.ask(chat, **more).choices[0].message.content
        chat.append({"role": "assistant", "content": answer})
        efforts.append(asked(stage)[0])
    assert efforts == [efforts[0], "low", "low", "max", efforts[0]]
    assert efforts[0] not in ("low", "max")
    assert stage.daemon.wait_quiet().processes.spawned == 1


def test_a_header_says_it_where_the_body_does_not(stage: Stage) -> None:
    stage.ask("hello", extra_headers={"x-effort": "high"})
    assert asked(stage)[0] == "high"


def test_none_switches_thinking_off_where_the_model_allows_it(stage: Stage) -> None:
    stage.ask("hello", model="claude-haiku-4-5", reasoning_effort="none")
    assert asked(stage)[1] in (None, "disabled")


def test_none_is_little_and_untold_where_it_does_not(stage: Stage) -> None:
    stage.upstream.script(Say(["yes"], thinking=["hm, ", "well"]))
    message = stage.ask("hello", reasoning_effort="none").choices[0].message
    assert message.content == "yes"
    assert getattr(message, "reasoning_content", None) is None
    assert asked(stage)[0] == "low"


def test_a_level_that_the_model_does_not_have_is_refused(stage: Stage) -> None:
    error = stage.refusal("hello", model="claude-haiku-4-5", reasoning_effort="max")
    assert error.status_code == 400
    assert "none, minimal" in error.message
    assert stage.upstream.requests == ()
