"""``/admin/backup``, ``/admin/restore`` and ``/admin/import-ocp``: the store as a whole.

What may live here: bytes to and from ``store``. Files are ocpctl's business, opened with the rights
of whoever calls it; only bytes come here.
"""

import logging
from collections.abc import Awaitable, Callable

import msgspec

from ocpd.admin.access import Actor
from ocpd.admin.answers import NO_STORE, read_body, read_query, send
from ocpd.admin.audit import Journal
from ocpd.admin.desk import Rejected
from ocpd.admin.takeover import Takeover
from ocpd.admin.wire import ImportAnswer, ImportedKey, ImportOcp, RestoreAnswer
from ocpd.http.exchange import Exchange
from ocpd.store.backup import Restored
from ocpd.store.ocp_source import OcpSource
from ocpd.store.store import Store

_log = logging.getLogger("ocpd.admin")

MOST_RESTORED = 512 * 1024 * 1024
MOST_IMPORTED = 256 * 1024 * 1024
PIECE = 262_144

BACKUP_HEADERS = (
    ("content-type", "application/octet-stream"),
    ("content-disposition", 'attachment; filename="ocpd.db"'),
    NO_STORE,
)


class Backup:
    """Answers for the store as a whole. ``on_restored`` makes what is in memory follow a store
    that was replaced; it may raise Rejected for settings that do not fit."""

    def __init__(
        self,
        store: Store,
        takeover: Takeover,
        on_restored: Callable[[], Awaitable[None]],
        journal: Journal,
    ) -> None:
        self._store = store
        self._takeover = takeover
        self._on_restored = on_restored
        self._journal = journal

    async def save(self, exchange: Exchange, actor: Actor) -> None:
        """Answer a consistent copy of the database, in pieces."""
        read_query(exchange)
        data = await self._journal.carry_out(
            actor, "store.backup", self._store.backup(), lambda data: f"{len(data)} bytes"
        )
        await exchange.start(200, BACKUP_HEADERS)
        for at in range(0, len(data), PIECE):
            await exchange.write(data[at : at + PIECE])
        await exchange.finish()

    async def restore(self, exchange: Exchange, actor: Actor) -> None:
        """Put the body in the place of everything; 400 if it is no backup, and nothing changes."""
        read_query(exchange)
        data = await exchange.read_body(MOST_RESTORED)
        done = await self._journal.carry_out(
            actor,
            "store.restore",
            self._restore(data),
            lambda done: f"{done.keys} keys, {done.usage} requests, {done.settings} settings",
        )
        await send(exchange, RestoreAnswer(done.keys, done.usage, done.settings))

    async def take_over(self, exchange: Exchange, actor: Actor) -> None:
        """Take over an OCP installation's keys, quotas, usage and settings."""
        read_query(exchange)
        sent = await read_body(exchange, ImportOcp, MOST_IMPORTED)
        source = OcpSource(db=sent.db, wal=sent.wal, admin_key=sent.admin_key)
        work = self._takeover.run(source, sent.environment, actor.name, dry_run=sent.dry_run)
        if sent.dry_run:
            answer = await work
        else:
            answer = await self._journal.carry_out(actor, "store.import-ocp", work, _tell)
        await send(exchange, answer)

    async def _restore(self, data: bytes) -> Restored:
        done = await self._store.restore(data)
        try:
            await self._on_restored()
        except Rejected as error:
            _log.warning("restored_settings_do_not_fit", extra={"reason": error.message})
        return done


def _tell(done: ImportAnswer) -> str:
    fresh = sum(_is_fresh(key) for key in done.keys)
    settings = msgspec.json.encode(done.settings).decode()
    return f"{fresh} keys, {done.usage} requests, settings {settings}"


def _is_fresh(key: ImportedKey) -> bool:
    return key.state != "present"
