"""Turn in, Events out: admission, attempts, retry before the first byte, outcome.

What may live here: the walk of one turn through the house. It opens exactly one Outcome and sees
to its end, whatever happens to the caller.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator

import msgspec

from ocpd.aio import Nursery, steady_clock
from ocpd.dispatch.admission import Admission, Place
from ocpd.dispatch.attempt import Run, is_silent, open_attempt
from ocpd.dispatch.bookkeeping import count_unfinished
from ocpd.dispatch.gate import Gate
from ocpd.dispatch.job import Job, TimeLimits
from ocpd.dispatch.ledger import Ledger
from ocpd.errors import Bug, Died, HistoryRefused, OcpdError, Upstream
from ocpd.pool.pool import Pool
from ocpd.pool.reaper import Patience
from ocpd.turn.events import (
    CallBegun,
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Refused,
    Settled,
    Started,
    StopReason,
    TextDelta,
)
from ocpd.turn.flatten import flatten
from ocpd.turn.outcome import Outcome, TurnState

_log = logging.getLogger("ocpd.turn")

MAX_ATTEMPTS = 2
"""One retry, and only while nothing was said: afterwards the caller would get things twice."""


class _Walk:
    """What is known of one turn on its way: mutable, owned by ``Hall.run`` alone."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.run: Run | None = None
        self.state = TurnState.CANCELLED
        self.error: OcpdError | None = None
        self.leftover: list[Event] = []
        self.is_wound_up = False
        self.is_held = False
        self.is_told = False
        self.deadline = 0.0

    def note(self, events: list[Event]) -> bool:
        """Take the books' part of ``events``; True when the turn is over for the caller."""
        for event in events:
            match event:
                case Refused():
                    self.error = Upstream(
                        "the model's answer does not have the form that was asked for",
                        status=200,
                        code="refused",
                    )
                case Finished(reason=reason, usage=usage):
                    self.is_told = True
                    self.is_held = reason is StopReason.TOOL_USE
                    self.state = TurnState.FINISHED if self.error is None else TurnState.FAILED
                    self.outcome.usage = usage
                case Failed(error=error):
                    self.state, self.error = TurnState.FAILED, error
                case TextDelta(text=text):
                    self.outcome.response_chars += len(text)
                case ReasoningDelta() | CallBegun():
                    self.outcome.has_spoken = True
                case Settled(usage=usage, cost_usd=cost):
                    self.outcome.usage, self.outcome.cost_usd = usage, cost
                case _:
                    pass
        return self.state is not TurnState.CANCELLED


class Hall:
    """Where every turn waits, runs and is counted. Leaving the block waits for no turn: drop
    those who pull first."""

    def __init__(
        self,
        pool: Pool,
        admission: Admission,
        ledger: Ledger,
        limits: TimeLimits,
        patience: Patience | None = None,
        gate: Gate | None = None,
    ) -> None:
        """``gate`` must hear from ``ledger`` of every end; None: there are no quotas."""
        self._gate = gate
        self._pool = pool
        self._admission = admission
        self._ledger = ledger
        self._limits = limits
        self._patience = patience or Patience()
        self._nursery = Nursery("hall")

    async def __aenter__(self) -> "Hall":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._nursery.cancel_all()

    def quota_headers(self, job: Job) -> tuple[tuple[str, str], ...]:
        """Return the headers that tell ``job``'s caller how its quota stands now."""
        return () if self._gate is None else self._gate.headers(job.caller)

    async def is_open_to(self, job: Job) -> bool:
        """Whether ``run`` would let ``job``'s caller in now, whose quota this does not touch."""
        try:
            if self._gate is not None:
                await self._gate.check(job)
        except OcpdError:
            return False
        return True

    def longest_s(self, job: Job) -> float:
        """Return how long ``run`` may take from the queue to the end, in seconds."""
        return self._admission.wait_s + (job.limits or self._limits).total_s

    async def wait_idle(self) -> None:
        """Wait until no ended turn is left to be settled."""
        await self._nursery.wait_idle()

    async def run(self, job: Job, dialect: str) -> AsyncGenerator[list[Event], None]:
        """Run ``job`` and yield its events in batches, as they come.

        The last batch holds ``Finished`` or ``Failed``. Raises OcpdError when the turn cannot
        start. Close the iterator (``contextlib.aclosing``): leaving it early, or cancelling,
        interrupts the turn at once; place and process are given back in the background.
        """
        walk = _Walk(self._ledger.open(job.turn, dialect))
        _describe(walk.outcome, job)
        place = await self._enter(walk.outcome, job)
        limits = job.limits or self._limits
        deadline = walk.deadline = steady_clock() + limits.total_s
        try:
            run, batch = await self._begin(job, walk, limits, deadline)
            run.on_late = lambda events: self._end_late(walk, place, events)
            while not walk.note(batch):
                yield batch
                if walk.leftover:
                    batch = walk.leftover
                    break
                batch = await run.next_batch()
            # Before the last words are handed out: a caller may take its time over them.
            self._wind_up(walk, place)
            yield batch
        except Exception as error:
            walk.state = TurnState.FAILED
            walk.error = error if isinstance(error, OcpdError) else Bug(repr(error))
            raise
        finally:
            self._wind_up(walk, place)

    async def _enter(self, outcome: Outcome, job: Job) -> Place:
        try:
            if self._gate is not None:
                await self._gate.enter(job)
            place = await self._admission.enter(outcome.caller, is_heir=job.is_heir)
            self._check_plan(outcome, place)
        except OcpdError as error:
            self._ledger.close(outcome, TurnState.REFUSED, error)
            raise
        except asyncio.CancelledError:
            self._ledger.close(outcome, TurnState.CANCELLED)
            raise
        outcome.move(TurnState.ADMITTED)
        outcome.admitted_at = steady_clock()
        return place

    def _check_plan(self, outcome: Outcome, place: Place) -> None:
        """Once more: it may have waited for long."""
        if self._gate is None:
            return
        try:
            self._gate.guard.check(outcome.caller)
        except BaseException:
            place.release()
            raise

    async def _begin(
        self, job: Job, walk: _Walk, limits: TimeLimits, deadline: float
    ) -> tuple[Run, list[Event]]:
        """Attempt until something was said; returns what."""
        while True:
            guard = None if self._gate is None else self._gate.guard
            run = await open_attempt(self._pool, job, walk.outcome, limits, deadline, guard)
            walk.run = run
            if walk.outcome.state is TurnState.ADMITTED:
                walk.outcome.move(TurnState.RUNNING)
            batch: list[Event] = []
            while is_silent(batch):
                batch += await run.next_batch()
            error = _first_failure(batch)
            if len(walk.outcome.attempts) >= MAX_ATTEMPTS:
                return run, batch
            match error:
                case Died():
                    pass
                case HistoryRefused():
                    _log.warning("history_flattened", extra={"model": job.turn.model})
                    job = msgspec.structs.replace(job, turn=flatten(job.turn), is_lossy=True)
                case _:
                    return run, batch
            run.give_back()

    def _end_late(self, walk: _Walk, place: Place, events: list[Event]) -> None:
        """The time is up while the caller takes nothing: end the turn without it."""
        walk.leftover = events
        walk.note(events)
        self._wind_up(walk, place)

    def _wind_up(self, walk: _Walk, place: Place) -> None:
        # Nothing here waits, so that a cancelled caller cannot cut it short.
        if walk.is_wound_up:
            return
        walk.is_wound_up = True
        if walk.run is not None:
            walk.run.stop_clocks()
        if walk.run is not None and walk.state is not TurnState.FINISHED:
            walk.run.drop()
        settling = self._nursery.spawn(self._settle(walk), f"settle {walk.outcome.turn_id}")
        # Not at the end of that task: one that is cancelled before its first step has no end.
        settling.add_done_callback(lambda _: self._close(walk, place))

    async def _settle(self, walk: _Walk) -> None:
        if walk.run is not None:
            patience = self._patience
            if walk.is_held:
                # A tool on this machine may be at work beside the caller's, whose turn comes then.
                left_s = max(patience.interrupt_s, walk.deadline - steady_clock())
                patience = msgspec.structs.replace(patience, interrupt_s=left_s)
            late = await walk.run.settle(patience)
            # Only what it cost may change now: how it ended is told already.
            ending = walk.state, walk.error
            walk.note(late)
            walk.state, walk.error = ending

    def _close(self, walk: _Walk, place: Place) -> None:
        if walk.run is not None:
            if not walk.is_told:
                self._count_unfinished(walk.outcome, walk.run)
            walk.run.give_back()
        place.release()
        self._ledger.close(walk.outcome, walk.state, walk.error)

    def _count_unfinished(self, outcome: Outcome, run: Run) -> None:
        count_unfinished(outcome, *run.heard)
        if self._gate is not None and outcome.cost_usd == 0:
            outcome.cost_usd = self._gate.price(outcome)


def _describe(outcome: Outcome, job: Job) -> None:
    outcome.caller = job.caller
    outcome.asked_model = job.asked_model or job.turn.model
    outcome.stream = job.turn.stream
    outcome.prompt_chars = job.prompt_chars


def _first_failure(batch: list[Event]) -> OcpdError | None:
    """What failed, if nothing was said before."""
    first = next(event for event in batch if not isinstance(event, Started))
    return first.error if isinstance(first, Failed) else None
