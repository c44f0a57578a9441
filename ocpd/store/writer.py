"""The one thread that changes the file: batches, one transaction each.

What may live here: the thread, its transactions and its counts. What is written is the business
of whoever posts or submits it.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from ocpd.aio import steady_clock
from ocpd.store.faults import translate, unavailable
from ocpd.store.inbox import Entry, Inbox, Posted
from ocpd.store.opening import close_writing
from ocpd.store.ticket import Job, Ticket

_log = logging.getLogger("ocpd.store")

_TELL_EVERY_S = 60.0

Connect = Callable[[], sqlite3.Connection]


class WriterCounts(msgspec.Struct):
    """``written`` and ``lost`` are usage rows; ``last_error`` stays until the next one."""

    batches: int = 0
    written: int = 0
    lost: int = 0
    last_error: str | None = None


class Writer:
    """Takes entries from its inbox and writes them. Used from the loop, but for ``_main``."""

    def __init__(self, connect: Connect) -> None:
        self.inbox = Inbox()
        self.counts = WriterCounts()
        self.is_failing = False
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._counting = threading.Lock()
        self._told_at: float | None = None
        self._untold = 0

    def __repr__(self) -> str:
        return f"Writer({len(self.inbox)} queued, {self.counts})"

    # On the loop.

    async def start(self) -> None:
        """Start the thread and wait until the file is open; raises what opening raised.

        ``stop`` must follow, also if this is cancelled or fails.
        """
        self._opened: Ticket[None] = Ticket()
        self._ended: Ticket[None] = Ticket()
        # A daemon thread: a disk that never answers must not keep the process.
        self._thread = threading.Thread(target=self._main, name="store-writer", daemon=True)
        self._thread.start()
        await self._opened.wait()

    async def stop(self, within_s: float) -> bool:
        """Write what is queued, close the file, end the thread. False: not in time; the disk may
        hang. May be asked again.
        """
        self.inbox.close()
        if self._thread is None:
            return True
        if not await self._ended.is_done_within(within_s):
            return False
        self._thread.join()
        return True

    def abort(self) -> None:
        """Stop waiting: drop what is queued, count it, interrupt what runs."""
        self._drop(self.inbox.abandon(), unavailable("it was closed"))
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.interrupt()

    def lose(self, count: int, why: str) -> None:
        """Count lost usage rows, from any thread; tell the log at most once a minute."""
        with self._counting:
            self.counts.lost += count
            self.counts.last_error = why
            self._untold += count
            now = steady_clock()
            is_due = self._told_at is None or now - self._told_at >= _TELL_EVERY_S
            self._told_at = now if is_due else self._told_at
        if is_due:
            self._tell()

    def _tell(self) -> None:
        with self._counting:
            untold, self._untold = self._untold, 0
            why = self.counts.last_error
        if untold:
            _log.error("usage_rows_lost", extra={"rows": untold, "why": why})

    # On the thread.

    def _main(self) -> None:
        try:
            connection = self._connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - carried to the loop, whatever it is
            self._opened.fail(error)
            self._ended.settle(None)
            return
        self._opened.settle(None)
        try:
            while entries := self.inbox.take():
                self._deal_with(connection, entries)
        finally:
            self._connection = None
            self._tell()
            try:
                close_writing(connection)
            finally:
                self._ended.settle(None)

    def _deal_with(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        first = entries[0]
        try:
            if isinstance(first, Job) and first.alone:
                endings = [partial(first.ticket.settle, first.work(connection))]
            else:
                endings = self._write_batch(connection, entries)
        except Exception as error:  # noqa: BLE001 - the thread outlives every failure
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            self._drop(entries, error)
            return
        self.is_failing = False
        self.counts.batches += 1
        for end in endings:
            end()

    def _write_batch(
        self, connection: sqlite3.Connection, entries: Sequence[Entry]
    ) -> list[partial[None]]:
        """Write ``entries`` in one transaction; return what to say once it is durable."""
        endings: list[partial[None]] = []
        connection.execute("BEGIN IMMEDIATE")
        for group in _group(entries):
            if isinstance(group, Job):
                endings.append(_run_job(connection, group))
            else:
                endings.append(self._insert_rows(connection, group))
        connection.execute("COMMIT")
        return endings

    def _insert_rows(
        self, connection: sqlite3.Connection, posted: Sequence[Posted]
    ) -> partial[None]:
        statement = posted[0].statement
        try:
            _guard(connection, lambda c: c.executemany(statement, [p.row for p in posted]))
        except _Undone:
            pass
        else:
            return partial(self._count, sum(p.counted for p in posted), 0, "")
        # One row that does not fit must not take the others with it.
        written = lost = 0
        why = ""
        for one in posted:
            try:
                _guard(connection, partial(_insert, posted=one))
                written += one.counted
            except _Undone as undone:
                lost += one.counted
                why = str(undone.error)
        return partial(self._count, written, lost, why)

    def _count(self, written: int, lost: int, why: str) -> None:
        with self._counting:
            self.counts.written += written
        if lost:
            self.lose(lost, why)

    def _drop(self, entries: Sequence[Entry], error: Exception) -> None:
        self.is_failing = isinstance(error, sqlite3.Error | OSError)
        why = f"{type(error).__name__}: {error}"
        self.counts.last_error = why
        lost = 0
        for entry in entries:
            if isinstance(entry, Job):
                entry.ticket.fail(error)
            else:
                lost += entry.counted
        if lost:
            self.lose(lost, why)


class _Undone(Exception):
    """Something failed and was taken back; the transaction around it goes on."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _group(entries: Sequence[Entry]) -> list[Job[Any] | list[Posted]]:
    """Put neighbours with the same statement together; the order stays."""
    groups: list[Job[Any] | list[Posted]] = []
    for entry in entries:
        last = groups[-1] if groups else None
        if isinstance(entry, Job):
            groups.append(entry)
        elif isinstance(last, list) and last[0].statement == entry.statement:
            last.append(entry)
        else:
            groups.append([entry])
    return groups


def _insert(connection: sqlite3.Connection, posted: Posted) -> None:
    connection.execute(posted.statement, posted.row)


def _run_job(connection: sqlite3.Connection, job: Job[Any]) -> partial[None]:
    try:
        return partial(job.ticket.settle, _guard(connection, job.work))
    except _Undone as undone:
        return partial(job.ticket.fail, translate(undone.error))


def _guard(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any]) -> Any:
    """Do ``work`` so that its failure takes back only itself.

    Raises _Undone then; the failure itself if SQLite gave up the whole transaction.
    """
    connection.execute("SAVEPOINT job")
    try:
        result = work(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        raise _Undone(error) from error
    connection.execute("RELEASE job")
    return result
