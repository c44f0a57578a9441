"""Who runs and who waits: a bounded number of places and a bounded queue before them.

What may live here: the pure decision. ``dispatch.admission`` holds what the tickets wait on; it
asks here and acts on the answer. Every operation is synchronous, so no ticket is ever between
two states; the clock is an argument (seconds, steady).

The order, and what it promises:

* Within a lane first come, first served. Between lanes places are shared by weight: each lane has a
  virtual time that grows, with every place it gets, by the time its turns usually take over its
  weight, and is put right when the turn has ended; the lane that is furthest behind is next. So it
  is the time in places that is shared, and a lane of long turns does not crowd out one of short
  ones. A lane that comes back does not make up for the time it was away.
* Interactive lanes come before batch lanes; but of ``BATCH_EVERY`` places in a row that are given
  while both wait, one is a batch lane's. Of two or more places one is never a batch turn's, so that
  whoever cannot wait need not wait for the end of one that can.
* A full queue turns away, with one exception: a lane that nobody waits in takes the room of the
  newest ticket of the longest lane. So nobody keeps the others out by filling the queue.
"""

import enum
import heapq
from collections import OrderedDict
from typing import NewType

import msgspec

Ticket = NewType("Ticket", int)
"""Stands for one turn in the queue; never used twice."""

BATCH_EVERY = 8

USUAL_S = 10.0
"""How long a turn is taken to hold its place before any has ended."""

LEAST_S = 0.1
LEARNING = 0.25
"""How much the newest turn counts in how long a lane's turns usually take."""

_MOST_STALE = 64

IDLE_KEPT = 256
"""Lanes that are remembered although nothing of them waits or runs."""


class Answer(enum.Enum):
    """What became of a ticket that asked for a place."""

    ADMITTED = "admitted"
    WAITING = "waiting"
    FULL = "full"


class Rank(msgspec.Struct, frozen=True):
    """Where a ticket stands: the lane it shares with others of its owner, the lane's weight, and
    whether it can wait for those who cannot."""

    lane: str = ""
    weight: int = 1
    is_batch: bool = False


class Asked(msgspec.Struct, frozen=True):
    """The answer to a ticket, and who lost its room in the queue to it."""

    answer: Answer
    displaced: Ticket | None = None


class QueueStatistics(msgspec.Struct, frozen=True):
    """Counts of the queue; ``rejections`` since the start, those displaced among them."""

    running: int
    waiting: int
    max_running: int
    max_waiting: int
    rejections: int


class _Lane:
    """One owner's tickets. ``due`` is its virtual time, ``entry`` its newest place in the heap, or
    0."""

    def __init__(self, rank: Rank, due: float, usual_s: float) -> None:
        self.rank = rank
        self.due = due
        self.length = _Length(usual_s)
        self.running = 0
        self.entry = 0
        # Only its order matters: tickets leave from the front, the back and the middle.
        self.waiting: OrderedDict[Ticket, None] = OrderedDict()

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.running


class _Length:
    """How long turns usually take, learned from those that have ended; at first a guess."""

    def __init__(self, guess_s: float) -> None:
        self.usual_s = guess_s
        self._learning = 1.0

    def learn(self, took_s: float) -> None:
        self.usual_s += self._learning * (took_s - self.usual_s)
        self._learning = LEARNING


class _Class:
    """The lanes of one class, and the virtual time of the place that was given last."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting = 0
        self._order = 0
        # Entries that are not their lane's newest, or whose lane is empty, wait to be passed over.
        self._heap: list[tuple[float, int, _Lane]] = []

    def wake(self, lane: _Lane) -> None:
        """Somebody came to ``lane``, in which nobody waited: it is owed nothing for the past."""
        lane.due = max(lane.due, self.now)

    def line_up(self, lane: _Lane) -> None:
        """Let ``lane`` have its turn, if somebody waits in it."""
        if not lane.waiting:
            return
        self._order += 1
        lane.entry = self._order
        heapq.heappush(self._heap, (lane.due, lane.entry, lane))
        if len(self._heap) > _MOST_STALE + 4 * self.waiting:
            self.sweep()

    def take(self) -> _Lane:
        """Return the lane whose turn it is; somebody must wait."""
        while True:
            _, entry, lane = heapq.heappop(self._heap)
            if lane.entry == entry:
                lane.entry = 0
                if lane.waiting:
                    return lane

    def charge(self, lane: _Lane) -> float:
        """``lane`` gets a place; returns by how much it is further on."""
        self.now = max(self.now, lane.due)
        price = max(lane.length.usual_s, LEAST_S) / lane.rank.weight
        lane.due += price
        return price

    def correct(self, lane: _Lane, price: float, took_s: float) -> None:
        """A turn of ``lane``, which paid ``price``, has taken ``took_s``."""
        true_price = max(took_s, LEAST_S) / lane.rank.weight
        due = lane.due + true_price - price
        # Places that nobody else wanted must not be paid for later: one turn's worth is enough.
        lane.due = min(due, max(lane.due, self.now + true_price))
        self.line_up(lane)

    def sweep(self) -> None:
        """Drop the entries that count no more."""
        self._heap = [entry for entry in self._heap if entry[2].entry == entry[1]]
        for _, _, lane in self._heap:
            lane.entry = lane.entry if lane.waiting else 0
        self._heap = [entry for entry in self._heap if entry[2].entry]
        heapq.heapify(self._heap)


class _Running(msgspec.Struct, frozen=True):
    lane: _Lane
    since: float
    price: float


class Queue:
    """Places, and whoever waits for one."""

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._running: dict[Ticket, _Running] = {}
        self._waiting: dict[Ticket, _Lane] = {}
        self._lanes: dict[tuple[str, bool], _Lane] = {}
        self._classes = {False: _Class(), True: _Class()}
        self._since_batch = 0
        self._running_batch = 0
        self._length = _Length(USUAL_S)
        self._rejections = 0

    def __repr__(self) -> str:
        return (
            f"Queue(running {len(self._running)}/{self._max_running}, "
            f"waiting {len(self._waiting)}/{self._max_waiting})"
        )

    def ask(
        self,
        ticket: Ticket,
        rank: Rank | None = None,
        now: float = 0.0,
        *,
        is_heir: bool = False,
    ) -> Asked:
        """Ask for a place. A WAITING ticket is named later by ``leave`` or ``resize``; one that is
        ``displaced`` must be told that there is no room for it any more. An heir comes for one that
        has left, or is about to: it waits in any case, and takes nobody's room."""
        rank = rank or Rank()
        if self._has_place(is_batch=rank.is_batch):
            # Then nobody waits who could have it.
            lane = self._lane_of(rank)
            self._classes[rank.is_batch].wake(lane)
            self._start(ticket, lane, now)
            return Asked(Answer.ADMITTED)
        displaced = None
        if len(self._waiting) >= self._max_waiting and not is_heir:
            self._rejections += 1
            displaced = self._find_displaced(rank)
            if displaced is None:
                return Asked(Answer.FULL)
            self._withdraw(displaced)
        lane = self._lane_of(rank)
        queued = self._classes[rank.is_batch]
        queued.waiting += 1
        lane.waiting[ticket] = None
        self._waiting[ticket] = lane
        if len(lane.waiting) == 1:
            queued.wake(lane)
            queued.line_up(lane)
        return Asked(Answer.WAITING, displaced)

    def leave(self, ticket: Ticket, now: float = 0.0) -> list[Ticket]:
        """Give a place back or stop waiting; returns the tickets that now have a place.

        A ticket that is in neither is no error: leaving twice changes nothing.
        """
        held = self._running.pop(ticket, None)
        if held is not None:
            self._end(held, now)
        elif ticket in self._waiting:
            self._withdraw(ticket)
        admitted = self._admit(now)
        self._forget_idle()
        return admitted

    def resize(self, max_running: int, max_waiting: int, now: float = 0.0) -> list[Ticket]:
        """Change the bounds; returns the tickets that now have a place. Nobody is thrown out:
        after a cut, places and queue shrink as turns end."""
        self._max_running, self._max_waiting = max_running, max_waiting
        return self._admit(now)

    def statistics(self) -> QueueStatistics:
        """Return the counts of this moment."""
        return QueueStatistics(
            running=len(self._running),
            waiting=len(self._waiting),
            max_running=self._max_running,
            max_waiting=self._max_waiting,
            rejections=self._rejections,
        )

    def _lane_of(self, rank: Rank) -> _Lane:
        key = rank.lane, rank.is_batch
        lane = self._lanes.get(key)
        if lane is None:
            due = self._classes[rank.is_batch].now
            lane = self._lanes[key] = _Lane(rank, due, self._length.usual_s)
        lane.rank = rank
        return lane

    def _admit(self, now: float) -> list[Ticket]:
        admitted: list[Ticket] = []
        while (queued := self._choose_class()) is not None:
            lane = queued.take()
            ticket = next(iter(lane.waiting))
            self._withdraw(ticket)
            self._start(ticket, lane, now)
            queued.line_up(lane)
            admitted.append(ticket)
        return admitted

    def _has_place(self, *, is_batch: bool) -> bool:
        if len(self._running) >= self._max_running:
            return False
        return not is_batch or self._running_batch < max(1, self._max_running - 1)

    def _choose_class(self) -> _Class | None:
        """Whose turn it is; None if nobody waits who could have a place."""
        interactive, batch = self._classes[False], self._classes[True]
        if not self._has_place(is_batch=False):
            return None
        if not batch.waiting:
            self._since_batch = 0
        if not batch.waiting or not self._has_place(is_batch=True):
            return interactive if interactive.waiting else None
        if interactive.waiting and self._since_batch < BATCH_EVERY - 1:
            self._since_batch += 1
            return interactive
        self._since_batch = 0
        return batch

    def _start(self, ticket: Ticket, lane: _Lane, now: float) -> None:
        price = self._classes[lane.rank.is_batch].charge(lane)
        lane.running += 1
        self._running_batch += lane.rank.is_batch
        self._running[ticket] = _Running(lane, now, price)

    def _end(self, held: _Running, now: float) -> None:
        lane, took_s = held.lane, now - held.since
        lane.running -= 1
        self._running_batch -= lane.rank.is_batch
        lane.length.learn(took_s)
        self._length.learn(took_s)
        self._classes[lane.rank.is_batch].correct(lane, held.price, took_s)

    def _withdraw(self, ticket: Ticket) -> None:
        lane = self._waiting.pop(ticket)
        del lane.waiting[ticket]
        self._classes[lane.rank.is_batch].waiting -= 1

    def _find_displaced(self, rank: Rank) -> Ticket | None:
        """Who must go so that one of ``rank`` can wait. Batch lanes go first, and displace only
        each other. All lanes are looked at; only a full queue has to."""
        own = self._lanes.get((rank.lane, rank.is_batch))
        if self._max_waiting == 0 or (own is not None and own.waiting):
            return None
        longest = max(
            (lane for lane in self._lanes.values() if len(lane.waiting) > 1),
            key=lambda lane: (lane.rank.is_batch, len(lane.waiting)),
            default=None,
        )
        if longest is None or (rank.is_batch and not longest.rank.is_batch):
            return None
        return next(reversed(longest.waiting))

    def _forget_idle(self) -> None:
        """A lane that is forgotten loses at most the memory of its last place."""
        if len(self._lanes) > IDLE_KEPT + len(self._running) + len(self._waiting):
            for queued in self._classes.values():
                queued.sweep()
            self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.is_idle}
