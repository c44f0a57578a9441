"""One run of one child: lease, feed, time, give back.

What may live here: the lifetime of a lease. It is opened by ``open_attempt`` and ended by
``give_back``; in between its events are pulled.
"""

import asyncio
import math
from collections.abc import Callable

from ocpd.aio import steady_clock, wall_clock
from ocpd.claude.wire import RateLimitInfo
from ocpd.dispatch.guard import PlanGuard
from ocpd.dispatch.job import Job, TimeLimits
from ocpd.dispatch.recall import Recall
from ocpd.errors import OcpdError, Upstream
from ocpd.pool.child import Child, ignore_limit
from ocpd.pool.pool import Pool
from ocpd.pool.reaper import Patience, settle
from ocpd.turn.events import Event, Failed, Started, Usage
from ocpd.turn.outcome import Attempt, Outcome


class Run:
    """A leased child at work. Pull ``next_batch`` until ``Finished`` or ``Failed``; ``drop`` it
    before that if nobody waits any more; ``give_back`` in any case.

    ``on_late`` is called with the last events when the time is up and nobody pulls: the caller
    takes nothing, and must not hold the process for that.
    """

    def __init__(self, pool: Pool, child: Child, record: Attempt, recall: Recall) -> None:
        self._pool = pool
        self._child = child
        self._record = record
        self._recall = recall
        self._first: asyncio.TimerHandle | None = None
        self._total: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._idle_s = 0.0
        self._is_heard = False
        self._is_stopped = False
        self._is_charged = False
        self.on_late: Callable[[list[Event]], None] = lambda _: None

    def set_clocks(self, limits: TimeLimits, first_by: float, deadline: float) -> None:
        """Start the time limits; each ends the turn with a 504 of its own. The first event is due
        at ``first_by``, the end at ``deadline`` (steady clock). From the first event on the
        upstream may be silent for ``limits.idle_s``."""
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
        now = steady_clock()
        self._idle_s = limits.idle_s
        self._first = loop.call_later(max(0.0, first_by - now), self._child.time_out, first)
        self._total = loop.call_later(max(0.0, deadline - now), self._time_out, total)

    async def next_batch(self) -> list[Event]:
        """Wait for what happens next. Cancelling loses nothing."""
        self._is_heard = True
        try:
            batch = await self._child.next_batch()
        finally:
            self._is_heard = False
        return self._take_in(batch)

    def _take_in(self, batch: list[Event]) -> list[Event]:
        if self._first is not None:
            self._first.cancel()
            self._first = None
            self._watch_silence(self._idle_s)
        if self._record.first_event_at is None and not is_silent(batch):
            self._record.first_event_at = steady_clock()
        for event in batch:
            self._recall.hear(event)
            if isinstance(event, Failed):
                date_retry(event.error)
        if (memory := self._recall.finished()) is not None:
            self._pool.finishing(self._child, memory)
        return batch

    def _watch_silence(self, wait_s: float) -> None:
        if self._idle_s and self._record.closed_at is None:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(wait_s, self._end_silence)

    def _end_silence(self) -> None:
        # Events do not touch the timer; it looks when it fires.
        left_s = self._idle_s - self._child.silence_s()
        if left_s > 0:
            self._watch_silence(left_s)
            return
        self._time_out(
            Upstream(
                f"the model said nothing more for {self._idle_s:g} s (setting idleEventTimeout)",
                status=504,
                code="idle_timeout",
            )
        )

    def _time_out(self, error: Upstream) -> None:
        self._child.time_out(error)
        self._end_unheard()

    def watch_plan(self, guard: PlanGuard) -> None:
        """Let ``guard`` hear what the process says of the plan, and end the turn if it must. An
        answer that is complete by then is paid for, and stays."""

        def hear(info: RateLimitInfo) -> None:
            error = guard.hear(info)
            # It says so once: only a new process would say it again of the next turn.
            self._is_charged = info.isUsingOverage and error is not None
            if error is not None and not self._is_stopped:
                self._child.fail(error)
                self._end_unheard()

        self._child.on_limit = hear

    def _end_unheard(self) -> None:
        if not self._is_heard:
            self.on_late(self._take_in(self._child.take_nowait()))

    def stop_clocks(self) -> None:
        """The turn is over for the caller: no time limit can end it any more."""
        self._is_stopped = True
        self._idle_s = 0.0
        for timer in (self._first, self._idle, self._total):
            if timer is not None:
                timer.cancel()
        self._first = self._idle = self._total = None

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

    @property
    def heard(self) -> tuple[Usage, int]:
        """What was used by the upstream's counts so far, and the characters that came of the
        answer, told or not."""
        return self._child.heard

    def give_back(self) -> None:
        """Return the child as it is and close the attempt; doing it again changes nothing."""
        self.stop_clocks()
        if self._record.closed_at is None:
            self._record.closed_at = steady_clock()
            self._child.on_limit = ignore_limit
            self._pool.give_back(self._child, None if self._is_charged else self._recall.memory())


async def open_attempt(
    pool: Pool,
    job: Job,
    outcome: Outcome,
    limits: TimeLimits,
    deadline: float,
    guard: PlanGuard | None = None,
) -> Run:
    """Lease a child and give it the turn. ``deadline`` is on the steady clock. The first event is
    due ``limits.first_byte_s`` after the turn got its first process: until then it waits, for a
    place, or for a tool on this machine that is still at work in the process it wants.

    A second attempt takes none that has served before. Raises Upstream or Overloaded when there
    is no child to be had, and what ``guard`` raises if the plan allows no turn any more.
    """
    recall = Recall(job)
    try:
        async with asyncio.timeout(max(0.0, deadline - steady_clock())):
            lease = await pool.lease(
                recall.wanted, is_listed=job.is_listed, afresh=bool(outcome.attempts)
            )
    except TimeoutError as error:
        raise _none_free(limits) from error
    child = lease.child
    if guard is not None:
        try:
            guard.check(job.caller)
        except BaseException:
            pool.give_back(child)
            raise
    record = outcome.open_attempt(int(child.id), steady_clock(), lease.source)
    run = Run(pool, child, record, recall)
    if guard is not None:
        run.watch_plan(guard)
    try:
        if lease.keep is None:
            child.claim(job.turn, job.sheet)
        else:
            recall.keep = lease.keep
            child.resume(job.turn, job.sheet, lease.keep)
    except BaseException:
        # A bug, but not one that may cost a process for good.
        run.give_back()
        raise
    run.set_clocks(limits, outcome.attempts[0].opened_at + limits.first_byte_s, deadline)
    return run


def _none_free(limits: TimeLimits) -> Upstream:
    return Upstream(
        f"no process of the Claude CLI was free within {limits.total_s:g} s (settings timeout,"
        " maxProcesses)",
        status=504,
        code="timeout",
    )


def is_silent(batch: list[Event]) -> bool:
    """Whether nothing was said in it: the beginning of a message says nothing yet."""
    return all(isinstance(event, Started) for event in batch)


def date_retry(error: OcpdError) -> None:
    """Turn the time of a reset, which pure rooms know, into seconds from now."""
    if error.retry_at is not None and error.retry_after_s is None:
        error.retry_after_s = max(1, math.ceil(error.retry_at - wall_clock()))
