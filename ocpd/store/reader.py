"""The read door: a second connection on a second thread, so that a long question delays no row.

What may live here: the thread. Questions are asked through ``db.Database.read``.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable

from ocpd.store.faults import unavailable
from ocpd.store.inbox import Inbox
from ocpd.store.ticket import Job, Ticket


class Reader:
    """Answers one job after the other. Used from the loop, but for ``_main``."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self.inbox = Inbox(batch=1)
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Reader({len(self.inbox)} queued)"

    async def start(self) -> None:
        """Start the thread and wait until it can read. ``stop`` must follow, also on failure."""
        self._opened: Ticket[None] = Ticket()
        self._ended: Ticket[None] = Ticket()
        self._thread = threading.Thread(target=self._main, name="store-reader", daemon=True)
        self._thread.start()
        await self._opened.wait()

    async def stop(self, within_s: float) -> bool:
        """End the thread: what waits is refused, what runs is interrupted. False: not in time."""
        for entry in self.inbox.abandon():
            if isinstance(entry, Job):
                entry.ticket.fail(unavailable("it was closed"))
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.interrupt()
        if self._thread is None:
            return True
        if not await self._ended.is_done_within(within_s):
            return False
        self._thread.join()
        return True

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
                for entry in entries:
                    if isinstance(entry, Job):
                        _answer(connection, entry)
        finally:
            self._connection = None
            try:
                connection.close()
            finally:
                self._ended.settle(None)


def _answer(connection: sqlite3.Connection, job: Job[object]) -> None:
    try:
        job.ticket.settle(job.work(connection))
    except Exception as error:  # noqa: BLE001 - carried to the loop, whatever it is
        job.ticket.fail(error)
