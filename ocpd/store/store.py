"""Everything ocpd remembers, as one thing to enter and leave.

What may live here: the tables put together, and what concerns all of them at once.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from ocpd.aio import wall_clock
from ocpd.errors import OcpdError
from ocpd.store.audit import AuditLog
from ocpd.store.backup import Restored, copy_database, prepare_database, replace_database
from ocpd.store.cache import CacheTable
from ocpd.store.conversations import Conversations
from ocpd.store.db import Database, StoreStatistics
from ocpd.store.epoch import to_ms
from ocpd.store.keys import Keys
from ocpd.store.knobs import Knobs
from ocpd.store.ocp_import import DryRun, Imported, Resolve, take_over
from ocpd.store.ocp_source import OcpSource, read_source
from ocpd.store.plan import PlanBook
from ocpd.store.quotas import Quotas
from ocpd.store.records import digest_of
from ocpd.store.snapshot import Snapshot, load_snapshot
from ocpd.store.usage import UsageBook

BUSY_S = 2.0
"""How long the writer waits for another program's lock, before the batch is given up."""


class Store:
    """``async with Store(directory)``: open, checked, in memory. One process per directory.

    Entering raises Overloaded ``store_in_use`` (another ocpd has the directory) or
    ``store_unavailable``, and Refused ``store_too_new`` or ``store_foreign``. Leaving writes what
    is queued, within five seconds, and leaves no thread and no lock behind. Not to be entered
    twice.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], float] = wall_clock,
        busy_s: float = BUSY_S,
    ) -> None:
        self._clock = clock
        self._db = Database(directory, busy_s=busy_s)
        self.keys = Keys(self._db, clock)
        self.quotas = Quotas(self._db)
        self.usage = UsageBook(self._db, clock)
        self.knobs = Knobs(self._db, clock)
        self.cache = CacheTable(self._db, clock)
        self.plan = PlanBook(self._db)
        self.conversations = Conversations(self._db, clock)
        self.audit = AuditLog(self._db)

    def __repr__(self) -> str:
        return f"Store({self._db}, {self.keys})"

    async def __aenter__(self) -> "Store":
        await self._db.open()
        try:
            self._adopt(await self._db.read(load_snapshot), afresh=True)
        except BaseException:
            await self._db.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._db.close()

    def statistics(self) -> StoreStatistics:
        """Return the counts of this moment."""
        return self._db.statistics()

    async def flush(self) -> bool:
        """Wait, five seconds at most, until all that is queued is durable; False if it is not.

        Rows that were lost before are in ``statistics``, and not waited for.
        """
        return await self._db.flush()

    async def backup(self) -> bytes:
        """Return all of it, of one moment, as a SQLite file that stands alone.

        Whoever writes meanwhile is not held up. Rows recorded before the call are in it.
        """
        await self._db.catch_up()
        return await self._db.read(copy_database)

    async def restore(self, data: bytes) -> Restored:
        """Put the contents of a backup in the place of everything; durable on return.

        Raises BadRequest ``not_a_backup`` when ``data`` is damaged, foreign or too new, and
        Overloaded ``store_unavailable``; then everything is as it was. Cancelled: it is as it was
        or as in ``data``, nothing between.
        """
        prepared = await self._db.read(lambda _: prepare_database(data))
        try:
            await self._db.write(
                lambda connection: replace_database(connection, prepared),
                lambda snapshot: self._adopt(snapshot, afresh=True),
                alone=True,
            )
        except OcpdError:
            # It may never have come to the writer.
            prepared.connection.close()
            raise
        return prepared.restored

    async def import_ocp(
        self, source: OcpSource, *, dry_run: bool, resolve: Resolve = str
    ) -> Imported:
        """Take over the keys, quotas, usage and admin key of an OCP installation.

        All in one transaction, durable on return; a second time nothing is new. ``dry_run``
        reports the same and changes nothing. ``resolve`` makes a model's name canonical. Raises
        BadRequest ``not_an_ocp_database``, and Overloaded ``store_unavailable``: then nothing was
        imported.
        """
        now_ms = to_ms(self._clock())
        directory = self._db.directory
        data = await self._db.read(lambda _: read_source(source, directory, now_ms))
        admin = digest_of(source.admin_key) if source.admin_key else None

        def work(connection: sqlite3.Connection) -> tuple[Imported, Snapshot]:
            report = take_over(connection, data, admin, resolve)
            if dry_run:
                raise DryRun(msgspec.structs.replace(report, dry_run=True))
            return report, load_snapshot(connection)

        try:
            report, _ = await self._db.write(work, lambda done: self._adopt(done[1], afresh=False))
        except DryRun as done:
            return done.report
        return report

    def _adopt(self, snapshot: Snapshot, *, afresh: bool) -> None:
        self.keys.adopt(snapshot.keys, afresh=afresh)
        self.quotas.adopt(snapshot.quotas)
        self.usage.adopt()
        self.knobs.adopt(snapshot.knobs)
        self.plan.adopt(snapshot.plan)
        self.conversations.adopt(snapshot.conversations)
