"""Promise: a leased child is always given back, and time limits end a turn and nothing else."""

import asyncio

import pytest

from ocpd.aio import steady_clock
from ocpd.dispatch import attempt as room
from ocpd.dispatch.attempt import Run, date_retry, open_attempt
from ocpd.dispatch.job import TimeLimits
from ocpd.errors import Bug, Overloaded, Upstream
from ocpd.pool.waiting import Lease
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
    puppet: Puppet,
    record: Outcome,
    *,
    first_s: float = 60,
    idle_s: float = 0,
    deadline: float = NEVER,
) -> tuple[Run, Puppets]:
    puppets = Puppets(puppet)
    limits = TimeLimits(first_s, 60, idle_s)
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


def test_the_beginning_of_a_message_is_a_first_event_too() -> None:
    async def main() -> None:
        puppet, record = Puppet(1, [STARTED]), outcome()
        opened, _ = await open_run(puppet, record, first_s=0.02)
        assert await opened.next_batch() == [STARTED]
        # Nothing was said yet: another attempt would still be possible.
        assert record.attempts[0].first_event_at is None
        asyncio.get_running_loop().call_later(0.05, puppet.say, TextDelta("late"))
        assert await opened.next_batch() == [TextDelta("late")]
        await end(opened)

    run(main())


def test_another_attempt_has_no_more_time_for_the_first_event() -> None:
    async def main() -> None:
        record = outcome()
        record.open_attempt(1, steady_clock() - 60).closed_at = steady_clock()
        opened, _ = await open_run(Puppet(2), record, first_s=60)
        error = failure_of([*await opened.next_batch()])
        assert error.code == "first_byte_timeout"
        await end(opened)

    run(main())


def test_a_process_that_does_not_come_is_a_504_that_names_what_was_waited_for() -> None:
    class Empty(Puppets):
        async def lease(self, *_: object, **__: object) -> Lease:
            await asyncio.Event().wait()
            raise AssertionError

    async def main() -> None:
        # Whatever is due first: it may be a tool of this machine that keeps the process.
        limits = TimeLimits(0.001, 0.01)
        deadline = steady_clock() + limits.total_s
        with pytest.raises(Upstream, match="no process") as caught:
            await open_attempt(Empty().pool, job(), outcome(), limits, deadline)
        assert (caught.value.status, caught.value.code) == (504, "timeout")
        assert "0.01 s (settings timeout, maxProcesses)" in caught.value.message

    run(main())


def test_silence_within_an_answer_is_a_504_of_its_own() -> None:
    async def main() -> None:
        opened, _ = await open_run(Puppet(1, [STARTED]), outcome(), idle_s=0.01)
        assert await opened.next_batch() == [STARTED]
        error = failure_of([*await opened.next_batch()])
        assert (error.status, error.code) == (504, "idle_timeout")
        assert "idleEventTimeout" in error.message
        assert "0.01 s" in error.message
        await end(opened)

    run(main())


def test_what_was_heard_meanwhile_puts_that_off() -> None:
    async def main() -> None:
        puppet = Puppet(1, [STARTED])
        puppet.silences = [0.005, 0.0, 0.009]
        opened, _ = await open_run(puppet, outcome(), idle_s=0.01)
        await opened.next_batch()
        assert failure_of([*await opened.next_batch()]).code == "idle_timeout"
        assert puppet.silences == []
        await end(opened)

    run(main())


@pytest.mark.parametrize("is_over", [False, True])
def test_silence_counts_from_the_first_event_until_the_turn_is_over(is_over: bool) -> None:
    async def main() -> None:
        puppet = Puppet(1, *[[STARTED]] * is_over)
        opened, _ = await open_run(puppet, outcome(), idle_s=0.01)
        if is_over:
            # It holds calls now, perhaps for minutes.
            await opened.next_batch()
            opened.stop_clocks()
        asyncio.get_running_loop().call_later(0.05, puppet.say, TextDelta("late"))
        assert await opened.next_batch() == [TextDelta("late")]
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
