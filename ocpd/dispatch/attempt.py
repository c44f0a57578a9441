"""One run of one child: lease, feed, time, give back.

What may live here: the lifetime of a lease. It is opened by ``open_attempt`` and ended by
``give_back``; in between its events are pulled.
"""

import asyncio
import math

import msgspec

from ocpd.aio import steady_clock, wall_clock
from ocpd.claude.claim import Sheet
from ocpd.errors import OcpdError, Upstream
from ocpd.pool.child import Child
from ocpd.pool.pool import Pool
from ocpd.pool.reaper import Patience, settle
from ocpd.turn.caller import Caller
from ocpd.turn.events import Event, Failed
from ocpd.turn.outcome import Attempt, Outcome
from ocpd.turn.request import Turn


class TimeLimits(msgspec.Struct, frozen=True):
    """How long a turn may take until the first event and in all, in seconds."""

    first_byte_s: float
    total_s: float


class Job(msgspec.Struct, frozen=True):
    """A turn, who asks, and what must be known of its model to run it.

    ``limits`` None means the hall's own; ``asked_model`` is the name as the caller wrote it.
    """

    turn: Turn
    sheet: Sheet
    is_listed: bool = True
    caller: Caller = Caller()
    asked_model: str = ""
    prompt_chars: int = 0
    limits: TimeLimits | None = None


class Run:
    """A leased child at work. Pull ``next_batch`` until ``Finished`` or ``Failed``; ``drop`` it
    before that if nobody waits any more; ``give_back`` in any case."""

    def __init__(self, pool: Pool, child: Child, record: Attempt) -> None:
        self._pool = pool
        self._child = child
        self._record = record
        self._timers: list[asyncio.TimerHandle] = []

    def set_clocks(self, limits: TimeLimits, deadline: float) -> None:
        """Start the time limits; each ends the turn with a 504 of its own."""
        loop = asyncio.get_running_loop()
        first = Upstream(
            f"the model said nothing within {limits.first_byte_s:g} s (setting firstByteTimeout)",
            status=504,
            code="first_byte_timeout",
        )
        total = Upstream(
            f"the answer was not complete within {limits.total_s:g} s (setting timeout)",
            status=504,
            code="timeout",
        )
        left_s = max(0.0, deadline - steady_clock())
        self._timers = [
            loop.call_later(limits.first_byte_s, self._child.time_out, first),
            loop.call_later(left_s, self._child.time_out, total),
        ]

    async def next_batch(self) -> list[Event]:
        """Wait for what happens next. Cancelling loses nothing."""
        batch = await self._child.next_batch()
        if self._record.first_event_at is None:
            self._record.first_event_at = steady_clock()
            self._timers[0].cancel()
        for event in batch:
            if isinstance(event, Failed):
                date_retry(event.error)
        return batch

    def stop_clocks(self) -> None:
        """The turn is over for the caller: no time limit can end it any more."""
        for timer in self._timers:
            timer.cancel()

    def drop(self) -> None:
        """End the turn for good, now: the interrupt is on its way when this returns."""
        self._child.interrupt()

    async def settle(self, patience: Patience) -> list[Event]:
        """Wait for the CLI to close its books on the turn; returns what it says meanwhile.

        Returns also when that takes too long: the reaper has harder means. ``give_back`` is next.
        """
        self.stop_clocks()
        await settle(self._child, patience)
        return self._child.take_nowait()

    def give_back(self) -> None:
        """Return the child as it is and close the attempt; doing it again changes nothing."""
        self.stop_clocks()
        if self._record.closed_at is None:
            self._record.closed_at = steady_clock()
            self._pool.give_back(self._child)


async def open_attempt(
    pool: Pool, job: Job, outcome: Outcome, limits: TimeLimits, deadline: float
) -> Run:
    """Lease a child and give it the turn. ``deadline`` is on the steady clock.

    Raises Upstream or Overloaded when there is no child to be had.
    """
    child = await pool.lease(job.turn.model, is_listed=job.is_listed)
    run = Run(pool, child, outcome.open_attempt(int(child.id), steady_clock()))
    try:
        child.claim(job.turn, job.sheet)
    except BaseException:
        # A bug, but not one that may cost a process for good.
        run.give_back()
        raise
    run.set_clocks(limits, deadline)
    return run


def date_retry(error: OcpdError) -> None:
    """Turn the time of a reset, which pure rooms know, into seconds from now."""
    if error.retry_at is not None and error.retry_after_s is None:
        error.retry_after_s = max(1, math.ceil(error.retry_at - wall_clock()))
