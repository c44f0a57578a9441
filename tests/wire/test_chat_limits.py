"""Where an answer ends early: limits reach the upstream exactly, and cost one request."""

import pytest

from tests.kit.script import Say
from tests.wire.stage import Stage

pytestmark = pytest.mark.real_cli

STOPS = [
    ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("refusal", "content_filter"),
]
BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def ask(stage: Stage, streamed: bool, **more: object) -> tuple[str | None, str | None]:
    if streamed:
        told = stage.stream("tell", **more)
        assert told.error is None
        assert len(told.finish) == 1
        return told.text, told.finish[0]
    choice = stage.ask("tell", **more).choices[0]
    return choice.message.content, choice.finish_reason


@pytest.mark.parametrize("limit", [1, 50, 5000])
def test_max_tokens_reaches_the_upstream_exactly(stage: Stage, limit: int) -> None:
    stage.upstream.script(Say("x"))
    stage.ask("hello", max_tokens=limit)
    assert stage.heard().body["max_tokens"] == limit


def test_the_newer_name_of_the_limit_means_the_same_and_wins(stage: Stage) -> None:
    stage.ask("hello", max_completion_tokens=77, max_tokens=99)
    assert stage.heard().body["max_tokens"] == 77


def test_a_limit_above_what_the_model_writes_is_cut_to_that(stage: Stage) -> None:
    stage.ask("hello", model="claude-sonnet-4-6", max_tokens=1_000_000)
    assert stage.heard().body["max_tokens"] == 32_000


def test_a_small_limit_switches_a_thinking_budget_off(stage: Stage) -> None:
    stage.ask("hello", model="claude-haiku-4-5", max_tokens=50)
    body = stage.heard().body
    assert body["max_tokens"] == 50
    assert body["thinking"]["type"] == "disabled"


def test_a_larger_limit_keeps_the_thinking_budget_below_it(stage: Stage) -> None:
    stage.ask("hello", model="claude-haiku-4-5", max_tokens=5000)
    body = stage.heard().body
    assert body["max_tokens"] == 5000
    assert body["thinking"]["type"] == "enabled"
    assert body["thinking"]["budget_tokens"] < 5000


@pytest.mark.parametrize(("reason", "finish"), STOPS)
@BOTH
def test_the_answer_ends_with_what_was_said_and_why(
    stage: Stage, streamed: bool, reason: str, finish: str
) -> None:
    stage.upstream.script(Say(["as far ", "as thi"], stop_reason=reason), Say("not for anybody"))
    assert ask(stage, streamed, max_tokens=5) == ("as far as thi", finish)


@pytest.mark.parametrize("reason", [reason for reason, _ in STOPS])
def test_a_process_that_would_go_on_by_itself_is_killed_before_it_asks_again(
    stage: Stage, reason: str
) -> None:
    # The CLI may win now and then: it can have the next request out before its own line about
    # the end of the answer is written (3 of 100 turns on a busy machine with two cores).
    won = 0
    for _ in range(8):
        stage.upstream.forget()
        stage.upstream.script(Say("cut", stop_reason=reason))
        ask(stage, False)
        stage.assert_at_rest()
        won += len(stage.upstream.requests) == 1
        if won == 3:
            return
    raise AssertionError(f"the CLI asked again in {8 - won} of 8 turns")


def test_a_length_stop_still_counts_its_tokens(stage: Stage) -> None:
    stage.upstream.script(Say(["12345678"], stop_reason="max_tokens"))
    usage = stage.ask("hello", max_tokens=5).usage
    assert usage is not None
    assert usage.completion_tokens == 3
    assert usage.prompt_tokens > 0


def test_after_a_length_stop_the_next_request_is_clean(stage: Stage) -> None:
    stage.upstream.script(Say(["cut"], stop_reason="max_tokens"))
    ask(stage, False, max_tokens=5)
    stage.assert_at_rest()
    stage.upstream.forget()
    stage.upstream.script(Say("whole"))
    assert ask(stage, False) == ("whole", "stop")
    assert b"limit" not in stage.heard().raw
    assert stage.heard().body["max_tokens"] == 128_000
