"""The bounded queue between the loop and one thread.

What may live here: waiting and counting. What the entries mean is the thread's business.
"""

import threading
from collections import deque
from typing import Any

import msgspec

from ocpd.store.ticket import Job

Value = str | int | float | bytes | None

BATCH = 512
"""Most entries of one transaction."""

GATHER_S = 0.1
"""How long posted rows wait for company, so that a quiet hour costs one write, not a hundred."""

_POSTED_LIMIT = 8192
_JOBS_LIMIT = 256


class Posted(msgspec.Struct, frozen=True):
    """A row nobody awaits; ``counted`` ones are missed when they are lost."""

    statement: str
    row: tuple[Value, ...]
    counted: bool


Entry = Posted | Job[Any]


class Inbox:
    """First in, first out; full means refused, never waiting. ``batch``: most that go at once."""

    def __init__(self, batch: int = BATCH) -> None:
        self._batch = batch
        self._changed = threading.Condition()
        self._entries: deque[Entry] = deque()
        self._jobs = 0
        self._busy = False
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: Entry) -> bool:
        """Add ``entry``; False if there is no room for its kind, or the inbox is closed."""
        is_job = isinstance(entry, Job)
        with self._changed:
            posted = len(self._entries) - self._jobs
            full = self._jobs >= _JOBS_LIMIT if is_job else posted >= _POSTED_LIMIT
            if full or self._closed:
                return False
            self._entries.append(entry)
            self._jobs += is_job
            # The thread sleeps through the rows between: each wake would cost a switch.
            if is_job or len(self._entries) in (1, self._batch):
                self._changed.notify()
            return True

    def take(self) -> list[Entry]:
        """Wait for entries and return the next batch; a job that wants to be alone is one.

        Posted rows are held back for GATHER_S unless a job comes or a batch is full. Returns an
        empty list once the inbox is closed and drained. Called by the thread only.
        """
        with self._changed:
            self._busy = False
            self._changed.wait_for(lambda: self._entries or self._closed)
            self._changed.wait_for(self._is_due, timeout=GATHER_S)
            batch = self._pop_batch()
            self._busy = bool(batch)
            return batch

    def is_idle(self) -> bool:
        """Whether all that was ever put here has been dealt with."""
        with self._changed:
            return not self._entries and not self._busy

    def close(self) -> None:
        """Refuse new entries; those that are here are still taken."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def abandon(self) -> list[Entry]:
        """Close, and return what will never be taken."""
        with self._changed:
            self._closed = True
            left = list(self._entries)
            self._entries.clear()
            self._jobs = 0
            self._changed.notify()
            return left

    def _is_due(self) -> bool:
        return self._jobs > 0 or self._closed or len(self._entries) >= self._batch

    def _pop_batch(self) -> list[Entry]:
        batch: list[Entry] = []
        while self._entries and len(batch) < self._batch:
            entry = self._entries[0]
            alone = isinstance(entry, Job) and entry.alone
            if alone and batch:
                break
            batch.append(self._entries.popleft())
            self._jobs -= isinstance(entry, Job)
            if alone:
                break
        return batch
