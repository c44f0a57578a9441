"""Await a place; leave the queue when the caller goes.

What may live here: the waiting, and how long it may take. Who is next is decided in
``sched.queue``.
"""

import asyncio
from typing import assert_never

from ocpd.aio import steady_clock
from ocpd.errors import Overloaded
from ocpd.sched.queue import Answer, Queue, QueueStatistics, Rank, Ticket
from ocpd.turn.caller import Caller, Kind, block_of

BATCH = "batch"

WEIGHTS = {"owner": 4, "user": 2, BATCH: 1}
"""How the keys of each role share the places, if they have no weight of their own; any other role
counts as a user's."""


class Place:
    """A turn's right to run. ``release`` may be called more than once."""

    def __init__(self, admission: "Admission", ticket: Ticket) -> None:
        self._admission = admission
        self._ticket = ticket

    def release(self) -> None:
        """Give the place to the next one."""
        self._admission.leave(self._ticket)


class Admission:
    """The queue with somebody to wait in it. ``retry_after_s`` (what who is turned away is told)
    and ``wait_s`` (how long a turn may wait) may change at any time; the latter holds for those who
    come after."""

    def __init__(
        self, max_running: int, max_waiting: int, retry_after_s: int, wait_s: float = 600.0
    ) -> None:
        self._queue = Queue(max_running, max_waiting)
        self.retry_after_s = retry_after_s
        self.wait_s = wait_s
        self._last_ticket = 0
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}

    async def enter(self, caller: Caller | None = None, *, is_heir: bool = False) -> Place:
        """Wait for a place for ``caller``. Release it, whatever happens. ``is_heir``: somebody left
        in his favour, and a full queue has room for him.

        Raises Overloaded (429) when the queue is full, at once or because another caller, of whom
        nobody waits, gets the room; and when there is no place within ``wait_s``. Cancelled while
        waiting, it leaves the queue; a place that came in the same moment goes to the next one.
        """
        self._last_ticket += 1
        ticket = Ticket(self._last_ticket)
        rank = rank_of(caller or Caller())
        asked = self._queue.ask(ticket, rank, steady_clock(), is_heir=is_heir)
        if asked.displaced is not None:
            self._turn_away(asked.displaced)
        match asked.answer:
            case Answer.ADMITTED:
                pass
            case Answer.FULL:
                raise self._full()
            case Answer.WAITING:
                await self._wait(ticket)
            case _:
                assert_never(asked.answer)
        return Place(self, ticket)

    def resize(self, max_running: int, max_waiting: int) -> None:
        """Change the bounds; who has a place now runs at once, nobody is thrown out."""
        self._call(self._queue.resize(max_running, max_waiting, steady_clock()))

    def leave(self, ticket: Ticket) -> None:
        """Give up a place or the waiting for one."""
        self._call(self._queue.leave(ticket, steady_clock()))

    def statistics(self) -> QueueStatistics:
        """Return the counts of this moment."""
        return self._queue.statistics()

    async def _wait(self, ticket: Ticket) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting[ticket] = future
        # No more than that is kept for each: a thousand may wait.
        timer = loop.call_later(self.wait_s, self._give_up, ticket, self.wait_s)
        try:
            await future
        except BaseException:
            # If a place has come in the same moment, it goes to the next one.
            self._waiting.pop(ticket, None)
            self.leave(ticket)
            raise
        finally:
            timer.cancel()

    def _call(self, admitted: list[Ticket]) -> None:
        for ticket in admitted:
            future = self._waiting.pop(ticket)
            # Who was cancelled has not heard of it yet, and will give the place back.
            if not future.done():
                future.set_result(None)

    def _turn_away(self, ticket: Ticket) -> None:
        future = self._waiting.pop(ticket)
        if not future.done():
            future.set_exception(self._full())

    def _give_up(self, ticket: Ticket, waited_s: float) -> None:
        future = self._waiting.get(ticket)
        if future is None or future.done():
            return
        now = self.statistics()
        future.set_exception(
            Overloaded(
                f"no place was free within {waited_s:g} s (settings queueTimeout, maxConcurrent):"
                f" {now.running} of {now.max_running} turns run, {now.waiting} wait",
                code="queue_timeout",
                retry_after_s=self.retry_after_s,
            )
        )

    def _full(self) -> Overloaded:
        return Overloaded(
            "too many requests are waiting already (setting maxQueue); try again later",
            code="queue_full",
            retry_after_s=self.retry_after_s,
        )


def rank_of(caller: Caller) -> Rank:
    """Where a caller stands in the queue."""
    weight = caller.weight or WEIGHTS.get(caller.role, WEIGHTS["user"])
    return Rank(_lane_of(caller), weight, is_batch=caller.role == BATCH)


def _lane_of(caller: Caller) -> str:
    """A key is one lane, also one that everybody has; without one it is the network. What a caller
    can make up, the headers of an unknown proxy or half of an IPv6 address, makes nobody two."""
    match caller.kind:
        case Kind.KEY | Kind.SHARED | Kind.ADMIN:
            return caller.scope
        case Kind.ANONYMOUS:
            return "anonymous"
        case Kind.LOCAL | Kind.REMOTE:
            return f"place {block_of(caller.address) or caller.place}"
        case _:
            assert_never(caller.kind)
