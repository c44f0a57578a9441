"""Time limits: a turn that takes too long ends with a 504 of its own, and leaves nothing behind."""

from typing import Any

import pytest

from tests.kit.script import Fail, Hang, Say
from tests.wire.conftest import OpenStage
from tests.wire.stage import quick

pytestmark = pytest.mark.real_cli

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def slow(**limits: int) -> dict[str, Any]:
    return {"settings": quick(**limits)}


@BOTH
def test_an_upstream_that_says_nothing_is_504(open_real: OpenStage, streamed: bool) -> None:
    with open_real(**slow(first_byte_timeout_ms=1500)) as stage:
        stage.upstream.script(Hang(after=None))
        error = stage.refusal("hello", stream=streamed)
        assert (error.status_code, error.code) == (504, "first_byte_timeout")
        assert "firstByteTimeout" in str(error)
        stage.upstream.wait_gone(5)
        report = stage.assert_at_rest()
        assert (report.stats.timeouts, report.stats.cancelled) == (1, 0)


def test_a_limit_shorter_than_the_clis_start_is_504_too(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=1)) as stage:
        assert stage.refusal("hello").status_code == 504
        stage.assert_at_rest()


def test_the_first_byte_limit_does_not_cut_a_long_answer(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=1500)) as stage:
        stage.upstream.script(Say(["a", "b", "c", "d"], delay_s=0.6))
        assert stage.stream("hello").pieces == ["a", "b", "c", "d"]


def test_an_answer_that_takes_too_long_ends_with_an_error_event(open_real: OpenStage) -> None:
    with open_real(**slow(timeout_ms=1500)) as stage:
        stage.upstream.script(Hang(after=2))
        told = stage.stream("hello")
        assert told.pieces == ["Hello", " there"]
        assert told.finish == []
        assert told.error is not None
        assert told.error.code == "timeout"
        stage.upstream.wait_gone(5)


def test_a_plain_answer_that_takes_too_long_is_504(open_real: OpenStage) -> None:
    with open_real(**slow(timeout_ms=1500)) as stage:
        stage.upstream.script(Hang(after=2))
        error = stage.refusal("hello")
        assert (error.status_code, error.code) == (504, "timeout")
        stage.upstream.wait_gone(5)


def test_a_time_out_between_retries_answers_what_the_upstream_said(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=2500, cli_max_retries=10)) as stage:
        stage.upstream.script_default(Fail(529))
        error = stage.refusal("hello")
        assert (error.status_code, error.code) == (503, "overloaded")
        assert len(stage.upstream.requests) > 1
        stage.assert_at_rest()


def test_after_a_time_out_the_next_request_is_served(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=1500, max_concurrent=1)) as stage:
        stage.upstream.script(Hang(after=None), Say("here again"))
        stage.refusal("hello")
        assert stage.ask("hello").choices[0].message.content == "here again"
