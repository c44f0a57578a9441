"""Promise: a leased child is always given back, and time limits end a turn and nothing else."""

import pytest

from ocpd.dispatch import attempt as room
from ocpd.dispatch.attempt import Run, date_retry, open_attempt
from ocpd.dispatch.job import TimeLimits
from ocpd.errors import Bug, Overloaded, Upstream
from ocpd.turn.events import Event, Failed, TextDelta
from ocpd.turn.outcome import Outcome
from tests.unit.claude.stage import MODEL, TURN_ID
from tests.unit.dispatch.stage import (
    FINISHED,
    GOOD,
    SETTLED,
    SHORT,
    STARTED,
    Puppet,
    Puppets,
    job,
)
from tests.unit.http.stage import run

NEVER = 1e9


def outcome() -> Outcome:
    return Outcome(turn_id=TURN_ID, dialect="test", model=MODEL, opened_at=0.0)


async def open_run(
    puppet: Puppet, record: Outcome, *, first_s: float = 60, deadline: float = NEVER
) -> tuple[Run, Puppets]:
    puppets = Puppets(puppet)
    limits = TimeLimits(first_s, 60)
    return await open_attempt(puppets.pool, job(), record, limits, deadline), puppets


async def end(opened: Run) -> list[Event]:
    late = await opened.settle(SHORT)
    opened.give_back()
    return late


def test_an_attempt_leases_claims_and_is_written_down() -> None:
    async def main() -> None:
        puppet, record = Puppet(7, GOOD), outcome()
        opened, puppets = await open_run(puppet, record)
        assert puppets.leased == [(MODEL, True)]
        assert [turn.id for turn in puppet.claimed] == [TURN_ID]
        (attempt,) = record.attempts
        assert (attempt.number, attempt.child, attempt.first_event_at) == (1, 7, None)
        assert await opened.next_batch() == list(GOOD)
        assert attempt.first_event_at is not None
        puppet.settle(SETTLED)
        assert await end(opened) == [SETTLED]
        assert attempt.closed_at is not None
        assert puppets.returned == [puppet]

    run(main())


def test_a_lease_that_fails_opens_no_attempt() -> None:
    async def main() -> None:
        record = outcome()
        puppets = Puppets(Upstream("no CLI", status=503))
        with pytest.raises(Upstream, match="no CLI"):
            await open_attempt(puppets.pool, job(), record, TimeLimits(1, 1), NEVER)
        assert record.attempts == []

    run(main())


def test_a_child_that_cannot_be_claimed_is_given_back() -> None:
    async def main() -> None:
        puppet = Puppet(1)
        puppet.refuses = Bug("no such turn")
        puppets = Puppets(puppet)
        with pytest.raises(Bug):
            await open_attempt(puppets.pool, job(), outcome(), TimeLimits(1, 1), NEVER)
        assert puppets.returned == [puppet]

    run(main())


def test_giving_back_twice_changes_nothing() -> None:
    async def main() -> None:
        record = outcome()
        opened, puppets = await open_run(Puppet(1), record)
        opened.give_back()
        closed_at = record.attempts[0].closed_at
        opened.give_back()
        assert len(puppets.returned) == 1
        assert record.attempts[0].closed_at == closed_at

    run(main())


def test_a_child_that_does_not_settle_is_given_back_all_the_same() -> None:
    async def main() -> None:
        puppet, record = Puppet(1), outcome()
        opened, puppets = await open_run(puppet, record)
        opened.drop()
        assert puppet.interrupts == 1
        assert await end(opened) == []
        assert puppets.returned == [puppet]

    run(main())


def failure_of(batch: list[object]) -> Upstream:
    (failed,) = batch
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Upstream)
    return failed.error


def test_silence_is_a_504_that_names_its_setting() -> None:
    async def main() -> None:
        opened, _ = await open_run(Puppet(1), outcome(), first_s=0.01)
        error = failure_of([*await opened.next_batch()])
        assert (error.status, error.code) == (504, "first_byte_timeout")
        assert "0.01 s" in error.message
        assert "firstByteTimeout" in error.message
        await end(opened)

    run(main())


def test_the_first_event_stops_that_clock_and_not_the_other() -> None:
    async def main() -> None:
        puppet = Puppet(1, [STARTED])
        # A deadline in the past is due in this very moment.
        opened, _ = await open_run(puppet, outcome(), first_s=0.01, deadline=0.0)
        assert await opened.next_batch() == [STARTED]
        error = failure_of([*await opened.next_batch()])
        assert (error.status, error.code) == (504, "timeout")
        await end(opened)

    run(main())


def test_a_turn_that_is_over_cannot_time_out() -> None:
    async def main() -> None:
        puppet = Puppet(1, [FINISHED])
        opened, _ = await open_run(puppet, outcome(), first_s=0.01, deadline=0.0)
        opened.stop_clocks()
        await opened.next_batch()
        assert await end(opened) == []

    run(main())


def test_the_time_of_a_reset_becomes_seconds_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "wall_clock", lambda: 1000.2)
    soon = Overloaded("full", retry_at=1060.0)
    date_retry(soon)
    assert soon.retry_after_s == 60
    past = Overloaded("full", retry_at=900.0)
    date_retry(past)
    assert past.retry_after_s == 1
    told = Overloaded("full", retry_at=1060.0, retry_after_s=5)
    date_retry(told)
    assert told.retry_after_s == 5
    unknown = Overloaded("full")
    date_retry(unknown)
    assert unknown.retry_after_s is None


def test_a_failure_among_events_is_dated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "wall_clock", lambda: 1000.0)

    async def main() -> None:
        error = Overloaded("full", retry_at=1010.0)
        opened, _ = await open_run(Puppet(1, [TextDelta("a"), Failed(error)]), outcome())
        await opened.next_batch()
        assert error.retry_after_s == 10
        await end(opened)

    run(main())
