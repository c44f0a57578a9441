"""Await a place; leave the queue when the caller goes.

What may live here: the waiting. Who is next is decided in ``sched.queue``.
"""

import asyncio

from ocpd.errors import Bug, Overloaded
from ocpd.sched.queue import Answer, Queue, QueueStatistics, Ticket


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
    may change at any time."""

    def __init__(self, max_running: int, max_waiting: int, retry_after_s: int) -> None:
        self._queue = Queue(max_running, max_waiting)
        self.retry_after_s = retry_after_s
        self._last_ticket = 0
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}

    async def enter(self) -> Place:
        """Wait for a place. Release it, whatever happens.

        Raises Overloaded (429) when the queue is full. Cancelled while waiting, it leaves the
        queue; a place that came in the same moment goes to the next one.
        """
        self._last_ticket += 1
        ticket = Ticket(self._last_ticket)
        match self._queue.ask(ticket):
            case Answer.ADMITTED:
                return Place(self, ticket)
            case Answer.FULL:
                raise Overloaded(
                    "too many requests are waiting already; try again later",
                    code="queue_full",
                    retry_after_s=self.retry_after_s,
                )
            case Answer.WAITING:
                await self._wait(ticket)
                return Place(self, ticket)
            case _:
                raise Bug("an answer of the queue that nobody knows")

    def resize(self, max_running: int, max_waiting: int) -> None:
        """Change the bounds; who has a place now runs at once, nobody is thrown out."""
        for admitted in self._queue.resize(max_running, max_waiting):
            self._waiting.pop(admitted).set_result(None)

    def leave(self, ticket: Ticket) -> None:
        """Give up a place or the waiting for one."""
        for admitted in self._queue.leave(ticket):
            self._waiting.pop(admitted).set_result(None)

    def statistics(self) -> QueueStatistics:
        """Return the counts of this moment."""
        return self._queue.statistics()

    async def _wait(self, ticket: Ticket) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        try:
            # Shielded: a cancelled future could not be handed its place any more.
            await asyncio.shield(future)
        except asyncio.CancelledError:
            self._waiting.pop(ticket, None)
            self.leave(ticket)
            raise
