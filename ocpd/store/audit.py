"""Who changed what, and through which door.

What may live here: entries, in and out. What is worth one is decided where the change is made.
"""

import sqlite3

import msgspec

from ocpd.store.db import Database
from ocpd.store.epoch import from_ms, to_ms

_KEPT = 100_000
_LONGEST = 2_000


class AuditEntry(msgspec.Struct, frozen=True):
    """One change. ``at`` is epoch seconds; ``uid`` is the peer's, as the kernel told it, if the
    door is a Unix socket; ``via`` names the door, ``actor`` who it was, ``action`` what was done.
    """

    at: float
    uid: int | None
    via: str
    actor: str
    action: str
    detail: str


class AuditLog:
    """The book of changes. It keeps the newest hundred thousand."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def write(self, entry: AuditEntry) -> None:
        """Add ``entry``; durable on return. Long texts are cut."""
        row = (
            to_ms(entry.at),
            entry.uid,
            entry.via[:_LONGEST],
            entry.actor[:_LONGEST],
            entry.action[:_LONGEST],
            entry.detail[:_LONGEST],
        )

        def add(connection: sqlite3.Connection) -> None:
            cursor = connection.execute(
                "INSERT INTO audit (at_ms, uid, via, actor, action, detail)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            oldest = (cursor.lastrowid or 0) - _KEPT
            connection.execute("DELETE FROM audit WHERE id <= ?", (oldest,))

        await self._db.write(add)

    async def tail(self, count: int) -> tuple[AuditEntry, ...]:
        """Return the newest ``count`` entries, oldest of them first."""

        def ask(connection: sqlite3.Connection) -> tuple[AuditEntry, ...]:
            rows = connection.execute(
                "SELECT at_ms, uid, via, actor, action, detail FROM audit ORDER BY id DESC LIMIT ?",
                (max(0, count),),
            ).fetchall()
            return tuple(AuditEntry(from_ms(row[0]), *row[1:]) for row in reversed(rows))

        return await self._db.read(ask)
