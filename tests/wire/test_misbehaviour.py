"""A CLI that misbehaves costs its turn at most: never the daemon, a place, or a second process."""

import os
import signal
from pathlib import Path

import pytest

from tests.kit.fake_script import (
    Answer,
    CloseStdout,
    Die,
    EmptyError,
    FakeScript,
    FakeTurn,
    FloodStderr,
    Garbage,
    LongLine,
    Silent,
    SplitCharacters,
    count_starts,
)
from tests.kit.leaks import is_alive
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage, family_of, quick, say

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def text_of(stage: Stage, streamed: bool) -> str | None:
    if not streamed:
        return stage.ask("hello").choices[0].message.content
    told = stage.stream("hello")
    assert (told.error, told.finish) == (None, ["stop"])
    return told.text


GOOD: dict[str, tuple[FakeScript | FakeTurn, str]] = {
    "cuts characters in two": (SplitCharacters(), SplitCharacters().text),
    "writes a line of 10 MB": (LongLine(10), "x" * (10 << 20)),
    "floods stderr with 50 MB": (FloodStderr(50), "Hello."),
    "writes garbage between its lines": (Garbage(), "Hello there."),
    "never answers initialize": (FakeScript(initialize="never"), "Hello there, friend."),
    "answers what nobody asked": (FakeScript(initialize="wrong_id"), "Hello there, friend."),
}


@pytest.mark.parametrize(("script", "text"), GOOD.values(), ids=GOOD.keys())
@BOTH
def test_an_answer_survives_a_cli_that(
    open_fake: OpenStage, script: FakeScript | FakeTurn, text: str, streamed: bool
) -> None:
    with open_fake(script) as stage:
        assert text_of(stage, streamed) == text
        assert stage.assert_at_rest().stats.errors == 0


# It dies...

DEATHS = {
    "exits": Die(after=2),
    "exits in the middle of a line": Die(after=2, mid_line=True),
    "exits with 0": Die(after=2, code=0),
    "is killed": Die(after=2, code=-signal.SIGKILL, mid_line=True),
    "closes its stdout": CloseStdout(after=2),
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS.keys())
def test_a_stream_ends_with_an_error_and_no_retry_when_the_cli(
    open_fake: OpenStage, death: FakeTurn
) -> None:
    with open_fake(death) as stage:
        told = stage.stream("hello")
        assert told.pieces == ["word0 ", "word1 "]
        assert told.finish == []
        assert told.error is not None
        assert told.error.code == "cli_died"
        report = stage.assert_at_rest()
        assert (report.stats.attempts, report.stats.errors) == (1, 1)
        assert report.processes.spawned == 1


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS.keys())
def test_a_plain_answer_is_502_without_a_retry_when_the_cli(
    open_fake: OpenStage, death: FakeTurn
) -> None:
    with open_fake(death) as stage:
        error = stage.refusal("hello")
        assert (error.status_code, error.code) == (502, "cli_died")
        assert stage.assert_at_rest().stats.attempts == 1


@pytest.mark.parametrize("code", [0, 1, 143])
@BOTH
def test_a_cli_that_exits_without_a_result_is_tried_twice_and_then_502(
    open_fake: OpenStage, code: int, streamed: bool
) -> None:
    with open_fake(FakeScript(on_start="exit", exit_code=code)) as stage:
        error = stage.refusal("hello", stream=streamed)
        assert (error.status_code, error.code) == (502, "cli_died")
        report = stage.assert_at_rest()
        assert (report.stats.attempts, report.stats.total_requests) == (2, 1)
        assert report.stats.errors == 1
        assert _starts(stage) == 2


@BOTH
def test_a_cli_that_dies_once_before_its_first_byte_costs_nothing_but_a_process(
    open_fake: OpenStage, streamed: bool
) -> None:
    with open_fake(FakeScript(failing_starts=1)) as stage:
        assert text_of(stage, streamed) == "Hello there, friend."
        report = stage.assert_at_rest()
        assert (report.stats.attempts, report.stats.errors) == (2, 0)
        assert _starts(stage) == 2


def test_a_dead_spare_is_not_the_end_of_a_turn(open_fake: OpenStage) -> None:
    with open_fake(settings=quick(spares=1)) as stage:
        stage.wait_report(lambda r: sum(r.processes.parked.values()) == 1)
        (spare,) = family_of(os.getpid())
        os.kill(spare, signal.SIGKILL)
        assert text_of(stage, streamed=False) == "Hello there, friend."


def test_a_cli_that_dies_while_history_goes_in_is_tried_twice(open_fake: OpenStage) -> None:
    with open_fake(FakeScript(failing_starts=1)) as stage:
        answer = stage.ask(say(*["text"] * 9))
        assert answer.choices[0].message.content == "Hello there, friend."
        assert stage.assert_at_rest().stats.attempts == 2


def test_a_cli_that_closes_stdout_at_once_is_killed_and_tried_twice(open_fake: OpenStage) -> None:
    with open_fake(FakeScript(on_start="close_stdout")) as stage:
        assert stage.refusal("hello").code == "cli_died"
        stage.assert_at_rest()
        assert family_of(os.getpid()) == frozenset()
        assert _starts(stage) == 2


def test_a_crash_loop_backs_off(open_fake: OpenStage) -> None:
    with open_fake(FakeScript(on_start="exit"), settings=quick(spares=2)) as stage:
        requests = 4
        for _ in range(requests):
            assert stage.refusal("hello").code == "cli_died"
        report = stage.assert_at_rest()
        assert report.processes.parked == {}
        assert report.processes.failures_in_a_row >= requests
        # Two for each request, the first two spares, and hardly any more: the delays double.
        assert _starts(stage) <= 2 * requests + 4


def test_a_cli_that_recovers_is_used_again_at_once(open_fake: OpenStage) -> None:
    with open_fake(FakeScript(failing_starts=4), settings=quick(spares=1)) as stage:
        for _ in range(4):
            if stage.post("hello").status == 200:
                break
        assert text_of(stage, streamed=False) == "Hello there, friend."
        stage.wait_report(lambda r: r.processes.failures_in_a_row == 0)
        stage.wait_report(lambda r: sum(r.processes.parked.values()) == 1)


# It reports nonsense...


def test_a_cli_that_refuses_to_begin_is_502(open_fake: OpenStage) -> None:
    with open_fake(FakeScript(initialize="error")) as stage:
        error = stage.refusal("hello")
        assert (error.status_code, error.type) == (502, "api_error")
        assert stage.assert_at_rest().stats.attempts == 1


def test_an_error_that_says_nothing_is_502(open_fake: OpenStage) -> None:
    with open_fake(EmptyError()) as stage:
        error = stage.refusal("hello", stream=True)
        assert (error.status_code, error.code) == (502, "upstream_error")
        assert "without saying which" in str(error)


# It is silent...


def test_a_cli_that_says_nothing_at_all_is_504_and_gone(open_fake: OpenStage) -> None:
    settings = quick(first_byte_timeout_ms=500)
    with open_fake(FakeScript(on_start="silent"), settings=settings) as stage:
        error = stage.refusal("hello")
        assert (error.status_code, error.code) == (504, "first_byte_timeout")
        stage.assert_at_rest()
        assert family_of(os.getpid()) == frozenset()


def test_a_cli_that_falls_silent_is_cut_by_the_overall_limit(open_fake: OpenStage) -> None:
    with open_fake(Silent(after=2), settings=quick(timeout_ms=700)) as stage:
        told = stage.stream("hello")
        assert told.pieces == ["word0 ", "word1 "]
        assert told.error is not None
        assert told.error.code == "timeout"


def test_a_cli_that_does_not_hear_an_interrupt_is_ended_by_harder_means(
    open_fake: OpenStage,
) -> None:
    with open_fake((Silent(after=1, deaf=True), Answer())) as stage:
        caller = stage.call("hello", stream=True)
        caller.read_until(b"word0")
        (pid,) = family_of(os.getpid())
        caller.leave()
        stage.assert_at_rest()
        assert not is_alive(pid)


def test_a_cli_that_ignores_every_request_to_end_does_not_hold_up_a_stop(
    open_fake: OpenStage,
) -> None:
    deaf = FakeScript(
        ignores_sigterm=True, lingers_at_eof=True, turns=(Silent(after=1, deaf=True),)
    )
    with open_fake(deaf, settings=quick(spares=1), stops_running=True) as stage:
        stage.wait_report(lambda r: sum(r.processes.parked.values()) == 1)
        caller = stage.call("hello", stream=True)
        caller.read_until(b"word0")
        stage.wait_report(lambda r: sum(r.processes.parked.values()) == 1)
        processes = family_of(os.getpid())
        assert len(processes) == 2
    caller.leave()
    assert not [pid for pid in processes if is_alive(pid)]


def _starts(stage: Stage) -> int:
    path = stage.daemon.report().claude.path
    assert path is not None
    return count_starts(Path(path))
