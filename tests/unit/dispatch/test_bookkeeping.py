"""What the books get of a turn, and of what the CLI says about the plan."""

import pytest

from ocpd.claude.wire import PlanWindow as Told
from ocpd.claude.wire import RateLimitInfo
from ocpd.dispatch.bookkeeping import (
    HTTP_CANCELLED,
    count_unfinished,
    does_count,
    note_allowance,
    note_plan,
    spent_of,
    usage_row,
)
from ocpd.errors import Died, Overloaded
from ocpd.pool.allowance import Window
from ocpd.sched.windows import Spent
from ocpd.turn.caller import Caller
from ocpd.turn.events import Usage
from ocpd.turn.outcome import Outcome, TurnState
from ocpd.turn.request import TurnId
from tests.unit.store.stage import open_store, run

NOW = 1_795_000_000.0


def closed(state: TurnState, **fields: object) -> Outcome:
    told: dict[str, object] = {
        "turn_id": TurnId("t"),
        "dialect": "openai_chat",
        "model": "claude-opus-5",
        "asked_model": "opus",
        "opened_at": 100.0,
        "closed_at": 103.0,
        "state": state,
    }
    return Outcome(**(told | fields))  # type: ignore[arg-type]


def test_a_finished_turn_is_counted_with_all_it_had() -> None:
    outcome = closed(
        TurnState.FINISHED,
        caller=Caller("laptop", 7),
        admitted_at=100.5,
        usage=Usage(input_tokens=3, output_tokens=5, cache_read_tokens=11),
        cost_usd=0.25,
        prompt_chars=40,
        response_chars=20,
        stream=True,
    )
    outcome.open_attempt(1, 100.5)
    # The first run died without a word: the answer's first byte is the second one's.
    outcome.open_attempt(2, 101.0).first_event_at = 102.0
    row = usage_row(outcome, NOW)
    assert (row.key_id, row.key_name, row.model, row.asked_model) == (
        7,
        "laptop",
        "claude-opus-5",
        "opus",
    )
    assert (row.queued_ms, row.first_ms, row.total_ms) == (500, 2000, 3000)
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (
        outcome.usage.prompt_tokens,
        5,
        11,
    )
    assert (row.cost_usd, row.status, row.http_status, row.stream) == (0.25, "finished", 200, True)
    assert (row.prompt_chars, row.response_chars, row.at) == (40, 20, NOW)


@pytest.mark.parametrize(
    ("state", "error", "status"),
    [
        (TurnState.CANCELLED, None, HTTP_CANCELLED),
        (TurnState.REFUSED, Overloaded("full", status=429), 429),
        (TurnState.FAILED, Died("gone"), Died("gone").status),
    ],
)
def test_a_turn_that_came_to_nothing_has_its_status_and_no_first_byte(
    state: TurnState, error: Overloaded | None, status: int
) -> None:
    row = usage_row(closed(state, error=error), NOW)
    assert (row.status, row.http_status) == (state.value, status)
    assert (row.first_ms, row.queued_ms) == (None, 0)


def test_what_was_worked_on_counts_if_it_was_answered_or_begun() -> None:
    def counts(state: TurnState, *, attempts: int = 1, **fields: object) -> bool:
        outcome = closed(state, **fields)
        for number in range(attempts):
            outcome.open_attempt(number, 100.5)
        return does_count(outcome)

    assert counts(TurnState.FINISHED)
    assert not counts(TurnState.FINISHED, attempts=0)
    assert not counts(TurnState.CANCELLED)
    assert counts(TurnState.CANCELLED, response_chars=1)
    assert counts(TurnState.CANCELLED, has_spoken=True)
    assert counts(TurnState.CANCELLED, usage=Usage(output_tokens=1))
    # What it said was paid for, whatever ended it.
    assert counts(TurnState.FAILED, response_chars=1)
    assert counts(TurnState.FAILED, has_spoken=True)
    assert not counts(TurnState.FAILED, usage=Usage(output_tokens=1))
    assert not counts(TurnState.REFUSED, attempts=0)


@pytest.mark.parametrize(
    ("used", "chars", "expected"),
    [
        # The upstream said what it read, and nothing yet of the answer.
        (Usage(input_tokens=3, output_tokens=1, cache_read_tokens=9), 41, Usage(3, 9, 0, 11)),
        # Earlier messages of the answer are counted.
        (Usage(input_tokens=3, output_tokens=50), 41, Usage(3, 0, 0, 50)),
        # It said nothing at all.
        (Usage(), 41, Usage(10, 0, 0, 11)),
        # Not even the model did: that is no use.
        (Usage(input_tokens=3, output_tokens=1), 0, Usage()),
    ],
)
def test_a_turn_without_an_end_has_used_what_was_seen_of_it(
    used: Usage, chars: int, expected: Usage
) -> None:
    outcome = closed(TurnState.CANCELLED, prompt_chars=40)
    count_unfinished(outcome, used, chars)
    assert outcome.usage == expected
    assert outcome.has_spoken is does_count(outcome) is (chars > 0)


def test_books_that_know_more_of_it_stay() -> None:
    outcome = closed(TurnState.FAILED, usage=Usage(input_tokens=30, output_tokens=20))
    count_unfinished(outcome, Usage(input_tokens=3, output_tokens=1), 41)
    assert outcome.usage == Usage(input_tokens=30, output_tokens=20)


def test_what_it_counts_as_is_what_its_row_says() -> None:
    usage = Usage(input_tokens=3, output_tokens=5, cache_read_tokens=11)
    outcome = closed(TurnState.FINISHED, usage=usage, cost_usd=0.25)
    assert spent_of(outcome) == Spent(1, 14, 5, 0.25)


def test_a_plan_is_kept_window_by_window_whoever_tells(tmp_path) -> None:
    async def main() -> None:
        async with open_store(tmp_path) as store:
            plan = store.plan
            note_plan(plan, RateLimitInfo(status="allowed", isUsingOverage=False), NOW)
            assert plan.latest() == {}
            # Older CLIs: one window at a time.
            old = RateLimitInfo("allowed", NOW + 60, "five_hour", 0.1)
            note_plan(plan, old, NOW)
            assert plan.latest()["five_hour"].utilization == 0.1
            # Newer ones: all of them; a window without a status of its own has the whole's.
            windows = {"five_hour": Told(0.2, NOW + 60), "seven_day": Told(0.9, NOW, "rejected")}
            new = RateLimitInfo("allowed", NOW + 60, "five_hour", unifiedWindows=windows)
            new.overageStatus = "rejected"
            note_plan(plan, new, NOW + 1)
            latest = plan.latest()
            assert (latest["five_hour"].utilization, latest["five_hour"].status) == (0.2, "allowed")
            assert latest["seven_day"].status == "rejected"
            assert latest["overage"].status == "rejected"

    run(main())


def test_an_answer_without_a_status_keeps_the_one_that_is_known(tmp_path) -> None:
    async def main() -> None:
        async with open_store(tmp_path) as store:
            plan = store.plan
            plan.note("seven_day", 0.8, NOW + 60, "allowed_warning", NOW)
            plan.note("old", 1.0, NOW - 60, "rejected", NOW)
            told = [
                Window("seven_day", 0.85, NOW + 60),
                Window("five_hour", 0.1, NOW + 60),
                Window("full", 1.0, NOW + 60),
                Window("old", 0.0, NOW + 600),
            ]
            note_allowance(plan, told, NOW + 1)
            statuses = {name: window.status for name, window in plan.latest().items()}
            assert statuses == {
                "seven_day": "allowed_warning",
                "five_hour": "allowed",
                "full": "rejected",
                "old": "allowed",
            }

    run(main())
