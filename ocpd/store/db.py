"""The database: the directory, the writer and the read door, as one thing that opens and closes.

What may live here: lifetimes and doors. What stands in which table is the business of the other
files of this room; they come through ``write``, ``post`` and ``read``.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from ocpd.aio import finish
from ocpd.errors import OcpdError
from ocpd.store.faults import explain, unavailable
from ocpd.store.files import DATABASE, claim_directory, release_directory, remove_scratch
from ocpd.store.inbox import Posted, Value
from ocpd.store.opening import open_checked, open_reading
from ocpd.store.reader import Reader
from ocpd.store.ticket import Job
from ocpd.store.writer import Writer

T = TypeVar("T")

_log = logging.getLogger("ocpd.store")

CLOSE_S = 5.0
_SHORT_S = 2.0
_GLANCE_S = 1.0


class StoreStatistics(msgspec.Struct, frozen=True):
    """``queued`` entries wait now; the rest counts since the start. ``written`` and ``lost`` are
    usage rows. ``moved_aside`` is where a damaged database went at the start.
    """

    queued: int
    batches: int
    written: int
    lost: int
    last_error: str | None
    moved_aside: str | None


class Database:
    """``ocpd.db`` of one directory. One process has it at a time."""

    def __init__(self, directory: Path, *, busy_s: float) -> None:
        self.directory = directory
        self.path = directory / DATABASE
        self._busy_s = busy_s
        self._lock: int | None = None
        self._moved_aside: Path | None = None
        self._is_open = False
        self._writer = Writer(self._open_writing)
        self._reader = Reader(self._open_reading)

    def __repr__(self) -> str:
        return f"Database({self.path}, {self._writer}, {self._reader})"

    async def open(self) -> None:
        """Claim the directory, check and open the file. ``close`` must follow, unless it raises.

        Raises Overloaded ``store_in_use`` or ``store_unavailable``, and Refused for a file that is
        not ours or too new. Not reusable after ``close``.
        """
        try:
            await self._writer.start()
            await self._reader.start()
        except BaseException:
            await self.close()
            raise
        self._is_open = True

    async def close(self) -> None:
        """Write what is queued, at most CLOSE_S, and let go of everything. Cancelled: it is still
        finished. Rows that could not be written by then are counted and logged as lost.
        """
        self._is_open = False
        await finish(self._close(), CLOSE_S + 3 * _SHORT_S)

    async def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        apply: Callable[[T], None] | None = None,
        *,
        alone: bool = False,
    ) -> T:
        """Do ``work`` on the writer's thread, in a transaction; return once it is durable.

        ``apply`` runs on the loop first, with the result. What ``work`` raises is raised here and
        takes back only its own changes; trouble with the file is Overloaded
        ``store_unavailable``. Cancelled: the work is still done and applied. ``alone`` is for work
        that cannot be part of a transaction.
        """
        job = Job(work, apply, alone=alone)
        if not self._is_open or not self._writer.inbox.put(job):
            raise unavailable("too much waits to be written" if self._is_open else "it is closed")
        return await job.ticket.wait()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` at the read door. Raises like ``write``; sees what is durable."""
        job = Job(work)
        if not self._is_open or not self._reader.inbox.put(job):
            raise unavailable("too many questions wait" if self._is_open else "it is closed")
        return await job.ticket.wait()

    def post(self, statement: str, row: tuple[Value, ...], *, counted: bool = False) -> None:
        """Queue a row that nobody waits for. Instant, never raises; ``counted`` rows that are not
        written are counted as lost.
        """
        posted = self._is_open and self._writer.inbox.put(Posted(statement, row, counted))
        if counted and not posted:
            self._writer.lose(1, "the queue is full" if self._is_open else "the store is closed")

    def lose(self, why: str) -> None:
        """Count a usage row that could not even be queued."""
        self._writer.lose(1, why)

    async def flush(self, within_s: float = CLOSE_S) -> bool:
        """Wait until all that waits is written; False if it was not, or not in time. What was lost
        before the call is counted, and not waited for.
        """
        if self._writer.inbox.is_idle():
            return True
        try:
            async with asyncio.timeout(within_s):
                await self.write(lambda _: None)
        except (OcpdError, TimeoutError):
            return False
        return True

    async def catch_up(self) -> None:
        """Give posted rows the chance to be seen by the next ``read``; not if the file is in
        trouble, and never for long.
        """
        if not self._writer.is_failing:
            await self.flush(_GLANCE_S)

    def statistics(self) -> StoreStatistics:
        """Return the counts of this moment."""
        counts = self._writer.counts
        return StoreStatistics(
            queued=len(self._writer.inbox),
            batches=counts.batches,
            written=counts.written,
            lost=counts.lost,
            last_error=counts.last_error,
            moved_aside=None if self._moved_aside is None else str(self._moved_aside),
        )

    def _open_writing(self) -> sqlite3.Connection:
        self._lock = claim_directory(self.directory)
        remove_scratch(self.directory)
        try:
            opened = open_checked(self.path, self._busy_s)
        except (sqlite3.Error, OSError) as error:
            raise unavailable(f"{self.path}: {explain(error)}", str(error)) from error
        self._moved_aside = opened.moved_aside
        return opened.connection

    def _open_reading(self) -> sqlite3.Connection:
        return open_reading(self.path, self._busy_s)

    async def _close(self) -> None:
        # The reader first: the last connection to close cleans up -wal and -shm.
        await self._reader.stop(_SHORT_S)
        if not await self._writer.stop(CLOSE_S):
            self._writer.abort()
            if not await self._writer.stop(_SHORT_S):
                # The lock stays with the thread that may still write.
                _log.error("store_hangs", extra={"path": str(self.path)})
                return
        if self._lock is not None:
            release_directory(self._lock)
            self._lock = None
