"""Promise: every outcome is counted once, under what became of it."""

import logging

import pytest

from ocpd.dispatch.ledger import RECENT_ERRORS, Ledger
from ocpd.errors import OcpdError, Overloaded, Upstream
from ocpd.turn.events import Usage
from ocpd.turn.outcome import Outcome, TurnState
from tests.unit.claude.stage import MODEL, TURN_ID, ask

PATHS = {
    TurnState.FINISHED: (TurnState.ADMITTED, TurnState.RUNNING),
    TurnState.FAILED: (TurnState.ADMITTED,),
    TurnState.CANCELLED: (),
    TurnState.REFUSED: (),
}


def close_one(ledger: Ledger, end: TurnState, error: OcpdError | None = None) -> Outcome:
    outcome = ledger.open(ask(), "test")
    for state in PATHS[end]:
        outcome.move(state)
    ledger.close(outcome, end, error)
    return outcome


def test_every_ending_is_counted_under_its_name() -> None:
    closed: list[Outcome] = []
    ledger = Ledger(closed.append)
    for count, end in enumerate(PATHS, start=1):
        for _ in range(count):
            close_one(ledger, end)
    still_open = ledger.open(ask(), "test")
    now = ledger.statistics()
    assert (now.finished, now.failed, now.cancelled, now.refused) == (1, 2, 3, 4)
    assert (now.total, now.active) == (11, 1)
    assert now.total == now.active + now.finished + now.failed + now.cancelled + now.refused
    assert len(closed) == 10
    assert still_open not in closed


def test_closing_twice_is_a_bug() -> None:
    closed: list[Outcome] = []
    ledger = Ledger(closed.append)
    outcome = close_one(ledger, TurnState.CANCELLED)
    with pytest.raises(ValueError, match="cannot go from CANCELLED"):
        ledger.close(outcome, TurnState.CANCELLED)
    assert ledger.statistics().cancelled == len(closed) == 1


def test_attempts_are_counted_with_their_outcome() -> None:
    ledger = Ledger(lambda _: None)
    outcome = ledger.open(ask(), "test")
    outcome.move(TurnState.ADMITTED)
    for child in (4, 5):
        outcome.open_attempt(child, 1.0).closed_at = 2.0
    ledger.close(outcome, TurnState.FAILED, Upstream("no"))
    assert ledger.statistics().attempts == 2


def test_only_504s_are_time_outs() -> None:
    ledger = Ledger(lambda _: None)
    close_one(ledger, TurnState.FAILED, Upstream("slow", status=504))
    close_one(ledger, TurnState.FAILED, Upstream("broken"))
    assert ledger.statistics().timeouts == 1


def test_the_newest_failures_are_kept_oldest_first() -> None:
    ledger = Ledger(lambda _: None)
    for at in range(RECENT_ERRORS + 5):
        close_one(ledger, TurnState.FAILED, Upstream(f"failure {at}"))
    close_one(ledger, TurnState.FINISHED)
    recent = [note.message for note in ledger.recent_errors()]
    assert recent == [f"failure {at}" for at in range(5, RECENT_ERRORS + 5)]


def test_the_line_of_a_turn_tells_its_times_tokens_and_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = Ledger(lambda _: None)
    with caplog.at_level(logging.INFO):
        good = ledger.open(ask(), "test")
        good.move(TurnState.ADMITTED)
        good.admitted_at = good.opened_at + 0.5
        good.move(TurnState.RUNNING)
        good.open_attempt(3, good.opened_at).first_event_at = good.opened_at + 1
        good.usage, good.cost_usd = Usage(1, 2, 3, 4, 5), 0.125
        ledger.close(good, TurnState.FINISHED)
        close_one(ledger, TurnState.REFUSED, Overloaded("full", code="queue_full", detail="d"))
    line, refused = (record.__dict__ for record in caplog.records)
    assert (line["msg"] % line["args"], line["levelname"]) == ("turn_finished", "INFO")
    assert (line["turn"], line["model"], line["dialect"]) == (TURN_ID, MODEL, "test")
    assert (line["queued_ms"], line["first_event_ms"], line["attempts"]) == (500.0, 1000.0, 1)
    assert (line["prompt_tokens"], line["cached_tokens"], line["completion_tokens"]) == (6, 2, 4)
    assert line["cost_usd"] == 0.125
    assert "error" not in line
    assert (refused["levelname"], refused["status"]) == ("WARNING", 429)
    assert (refused["code"], refused["error"], refused["detail"]) == ("queue_full", "full", "d")
    assert refused["queued_ms"] is None
