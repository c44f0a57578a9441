"""What the tests of dispatch share: a pool of puppets, whose words and silences are the test's.

What may live here: stand-ins. What is expected stands in the tests.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

from ocpd.claude.limits import Sheet
from ocpd.dispatch.admission import Admission
from ocpd.dispatch.gate import Gate
from ocpd.dispatch.hall import Hall
from ocpd.dispatch.job import Job, TimeLimits
from ocpd.dispatch.ledger import Ledger
from ocpd.errors import Died, OcpdError
from ocpd.pool.child import Child
from ocpd.pool.pool import Pool
from ocpd.pool.reaper import Patience
from ocpd.pool.waiting import Lease
from ocpd.sched.affinity import Memory, Wanted
from ocpd.sched.staffing import ChildId
from ocpd.turn.events import (
    Event,
    Failed,
    Finished,
    Settled,
    Started,
    StopReason,
    TextDelta,
    Usage,
)
from ocpd.turn.outcome import Outcome
from ocpd.turn.request import Turn
from tests.unit.claude.stage import MODEL, ask

USAGE = Usage(input_tokens=3, output_tokens=5)
STARTED = Started(MODEL)
FINISHED = Finished(StopReason.END_TURN, USAGE)
SETTLED = Settled(USAGE, 0.25)
STILLBORN = Failed(Died("gone"))
GOOD: tuple[Event, ...] = (STARTED, TextDelta("Hello"), FINISHED)

SHORT = Patience(interrupt_s=0.05, close_s=0.05, term_s=0.05)


class Puppet:
    """A child without a process. ``say`` makes it speak; ``settle`` ends its turn."""

    def __init__(self, number: int, *batches: Sequence[Event]) -> None:
        self.id = ChildId(number)
        self.claimed: list[Turn] = []
        self.interrupts = 0
        self.kept: int | None = None
        self._batches = deque([list(batch) for batch in batches])
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self.refuses: Exception | None = None
        self.silences: list[float] = []
        self.heard: tuple[Usage, int] = (Usage(), 0)

    def claim(self, turn: Turn, _sheet: Sheet) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.claimed.append(turn)

    def resume(self, turn: Turn, _sheet: Sheet, keep: int) -> None:
        self.claimed.append(turn)
        self.kept = keep

    def say(self, *events: Event) -> None:
        self._batches.append(list(events))
        self._wake.set()

    def settle(self, *events: Event) -> None:
        if events:
            self.say(*events)
        self._settled.set()

    def interrupt(self) -> None:
        self.interrupts += 1

    def time_out(self, error: OcpdError) -> None:
        self.say(Failed(error))

    def silence_s(self) -> float:
        """As the test says, else as long as anybody could wait for."""
        return self.silences.pop(0) if self.silences else 1e6

    async def next_batch(self) -> list[Event]:
        while not self._batches:
            self._wake.clear()
            await self._wake.wait()
        return self._batches.popleft()

    def take_nowait(self) -> list[Event]:
        left = [event for batch in self._batches for event in batch]
        self._batches.clear()
        return left

    async def wait_settled(self) -> None:
        await self._settled.wait()


class Puppets:
    """A pool that leases its puppets in order; an error in the row is raised instead."""

    def __init__(self, *row: Puppet | OcpdError) -> None:
        self._row = deque(row)
        self.returned: list[Puppet] = []
        self.leased: list[tuple[str, bool]] = []
        self.afresh: list[bool] = []
        self.finished: list[tuple[Puppet, Memory]] = []
        self.memories: list[Memory | None] = []
        self.keep: int | None = None

    async def lease(self, wanted: Wanted, *, is_listed: bool, afresh: bool) -> Lease:
        self.leased.append((wanted.model, is_listed))
        self.afresh.append(afresh)
        next_one = self._row.popleft()
        if isinstance(next_one, OcpdError):
            raise next_one
        return Lease(as_child(next_one), self.keep, "spare")

    def finishing(self, child: Puppet, memory: Memory) -> None:
        self.finished.append((child, memory))

    def give_back(self, child: Puppet, memory: Memory | None = None) -> None:
        self.returned.append(child)
        self.memories.append(memory)

    @property
    def pool(self) -> Pool:
        """Itself, as its users know it."""
        return cast("Pool", self)


def as_child(puppet: Puppet) -> Child:
    """The puppet, as its users know it."""
    return cast("Child", puppet)


class Scene:
    """A hall over puppets, with its books."""

    def __init__(
        self,
        *row: Puppet | OcpdError,
        places: int = 2,
        waiting: int = 1,
        limits: TimeLimits | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.puppets = Puppets(*row)
        self.closed: list[Outcome] = []
        self.gate = gate
        self.ledger = Ledger(self._close)
        self.admission = Admission(places, waiting, retry_after_s=3)
        times = limits or TimeLimits(60, 60)
        self.hall = Hall(self.puppets.pool, self.admission, self.ledger, times, SHORT, gate)

    def _close(self, outcome: Outcome) -> None:
        self.closed.append(outcome)
        if self.gate is not None:
            self.gate.settle(outcome)

    def assert_at_rest(self) -> None:
        """Every place and every puppet came back, every outcome is closed once."""
        now = self.admission.statistics()
        assert (now.running, now.waiting) == (0, 0)
        assert self.ledger.statistics().active == 0
        assert not any(outcome.is_open for outcome in self.closed)
        for outcome in self.closed:
            assert all(attempt.closed_at is not None for attempt in outcome.attempts)
        assert len(set(map(id, self.closed))) == len(self.closed)


def job(*, is_listed: bool = True) -> Job:
    """One short question."""
    return Job(ask(), Sheet(), is_listed)
