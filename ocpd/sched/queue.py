"""Who runs and who waits: a bounded number of places and a bounded queue before them.

What may live here: the pure decision. ``dispatch.admission`` holds what the tickets wait on; it
asks here and acts on the answer. Every operation is synchronous, so no ticket is ever between
two states.
"""

import enum
from collections import deque
from typing import NewType

import msgspec

Ticket = NewType("Ticket", int)
"""Stands for one turn in the queue; never used twice."""


class Answer(enum.Enum):
    """What became of a ticket that asked for a place."""

    ADMITTED = "admitted"
    WAITING = "waiting"
    FULL = "full"


class QueueStatistics(msgspec.Struct, frozen=True):
    """Counts of the queue; ``rejections`` since the start."""

    running: int
    waiting: int
    max_running: int
    max_waiting: int
    rejections: int


class Queue:
    """First come, first served."""

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._running: set[Ticket] = set()
        self._waiting: deque[Ticket] = deque()
        self._rejections = 0

    def __repr__(self) -> str:
        return (
            f"Queue(running {len(self._running)}/{self._max_running}, "
            f"waiting {len(self._waiting)}/{self._max_waiting})"
        )

    def ask(self, ticket: Ticket) -> Answer:
        """Ask for a place. A WAITING ticket is named later by ``leave`` or ``resize``."""
        if len(self._running) < self._max_running and not self._waiting:
            self._running.add(ticket)
            return Answer.ADMITTED
        if len(self._waiting) >= self._max_waiting:
            self._rejections += 1
            return Answer.FULL
        self._waiting.append(ticket)
        return Answer.WAITING

    def leave(self, ticket: Ticket) -> list[Ticket]:
        """Give a place back or stop waiting; returns the tickets that now have a place.

        A ticket that is in neither is no error: leaving twice changes nothing.
        """
        if ticket in self._running:
            self._running.remove(ticket)
        elif ticket in self._waiting:
            self._waiting.remove(ticket)
        return self._admit()

    def resize(self, max_running: int, max_waiting: int) -> list[Ticket]:
        """Change the bounds; returns the tickets that now have a place. Nobody is thrown out:
        after a cut, places and queue shrink as turns end."""
        self._max_running, self._max_waiting = max_running, max_waiting
        return self._admit()

    def statistics(self) -> QueueStatistics:
        """Return the counts of this moment."""
        return QueueStatistics(
            running=len(self._running),
            waiting=len(self._waiting),
            max_running=self._max_running,
            max_waiting=self._max_waiting,
            rejections=self._rejections,
        )

    def _admit(self) -> list[Ticket]:
        admitted: list[Ticket] = []
        while self._waiting and len(self._running) < self._max_running:
            ticket = self._waiting.popleft()
            self._running.add(ticket)
            admitted.append(ticket)
        return admitted
