"""The plan guard end to end, with the official CLI: who is warned, who is stopped, and what is
charged beyond the plan."""

import openai
import pytest

from ocpd.aio import wall_clock
from tests.kit.script import Call, CallTools, Fail, PlanHeaders, Say, Standing
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage, quick

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
WARNING = "x-ocpd-plan-warning"
THIRD_PARTY = "Third-party apps now draw from your extra usage, not your plan limits."

LONG = Say(["word "] * 2_000, delay_s=0.02)
"""An answer that outlasts every test: who reads its end was not stopped."""


def _plan(used: float, status: Standing = "allowed", extra: str | None = None) -> PlanHeaders:
    return PlanHeaders(
        five_hour_utilization=used,
        five_hour_resets_at=int(wall_clock()) + 3_600,
        five_hour_status=status,
        overage_status=extra,
    )


def _assert_until_reset(error: openai.APIStatusError) -> None:
    assert error.status_code == 429
    assert 3_600 - 60 <= int(error.response.headers["retry-after"]) <= 3_600
    assert error.response.headers["x-should-retry"] == "false"


@BOTH
def test_after_an_answer_that_was_charged_extra_nobody_gets_another(
    stage: Stage, streamed: bool
) -> None:
    stage.upstream.show_plan(_plan(1.0, "rejected", "allowed"))
    # The CLI says so when the answer is complete: it is paid for, and it is told.
    assert stage.ask("hello").choices[0].finish_reason == "stop"
    stage.assert_at_rest()
    error = stage.refusal("hello again", stream=streamed)
    assert error.code == "plan_overage"
    assert "planOnly" in str(error)
    _assert_until_reset(error)
    assert len(stage.upstream.requests) == 1
    # The process that has said it never serves again.
    assert stage.assert_at_rest().stats.attempts == 1


@BOTH
def test_a_turn_of_several_requests_ends_with_the_first_that_is_charged_extra(
    stage: Stage, streamed: bool
) -> None:
    stage.upstream.show_plan(_plan(1.0, "rejected", "allowed"))
    stage.upstream.script(CallTools([Call("nobody_offered")]))
    stage.upstream.script_default(LONG)
    error = stage.refusal("hello", stream=streamed)
    assert error.code == "plan_overage"
    assert "planOnly" in str(error)
    _assert_until_reset(error)
    # If the next one was out already, it was cut.
    assert len(stage.upstream.requests) <= 2
    stage.assert_at_rest()


def test_extra_usage_is_used_if_the_operator_wants_it(open_real: OpenStage) -> None:
    with open_real(settings=quick(plan_only=False)) as stage:
        stage.upstream.show_plan(_plan(1.0, "rejected", "allowed"))
        for _ in range(2):
            assert stage.ask("hello").choices[0].finish_reason == "stop"


def test_a_warning_of_the_upstream_is_a_header_and_no_429(stage: Stage) -> None:
    stage.upstream.show_plan(_plan(0.82, "allowed_warning"))
    stage.ask("hello")
    stage.assert_at_rest()
    pages = [stage.post("hello", stream=streamed) for streamed in (False, True)]
    assert [page.status for page in pages] == [200, 200]
    assert [page.headers.get(WARNING) for page in pages] == ["five_hour 82%"] * 2


def test_a_class_is_stopped_where_the_operator_says(open_real: OpenStage) -> None:
    with open_real(settings=quick(plan_guard="stop", plan_stop_at_owner=70)) as stage:
        stage.upstream.show_plan(_plan(0.69))
        stage.ask("hello")
        stage.upstream.show_plan(_plan(0.7))
        stage.ask("hello")
        stage.assert_at_rest()
        error = stage.refusal("hello")
        assert error.code == "plan_guard"
        assert "planStopAtOwner" in str(error)
        _assert_until_reset(error)
        assert len(stage.upstream.requests) == 2


@BOTH
def test_what_the_upstream_says_of_other_apps_is_told_as_it_is(
    stage: Stage, streamed: bool
) -> None:
    stage.upstream.script_default(Fail(400, message=THIRD_PARTY))
    error = stage.refusal("hello", stream=streamed)
    assert error.status_code == 400
    assert THIRD_PARTY in str(error)
