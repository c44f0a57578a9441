"""Answers that may be given again.

What may live here: values by digest, bounded in number and size, the oldest out first. What goes
into a digest, and how long a value is good, is decided by whoever asks.
"""

import sqlite3
from collections.abc import Callable

import msgspec

from ocpd.errors import OcpdError
from ocpd.store.db import Database
from ocpd.store.epoch import from_ms, to_ms

MOST_ENTRIES = 1_000
MOST_BYTES = 64 * 1024 * 1024

_HIT = "UPDATE cache SET hits = hits + 1, last_hit_at_ms = ? WHERE digest = ?"

_PUT = """INSERT INTO cache (digest, value, model, created_at_ms) VALUES (?, ?, ?, ?)
    ON CONFLICT (digest) DO UPDATE SET value = excluded.value, model = excluded.model,
        created_at_ms = excluded.created_at_ms, last_hit_at_ms = NULL, hits = 0"""

_EVICT = """DELETE FROM cache WHERE id IN (
    SELECT id FROM (
        SELECT id,
            ROW_NUMBER() OVER newest AS place,
            SUM(LENGTH(value)) OVER newest AS bytes
        FROM cache
        WINDOW newest AS (ORDER BY created_at_ms DESC, id DESC ROWS UNBOUNDED PRECEDING)
    ) WHERE place > ? OR bytes > ?)"""


class Cached(msgspec.Struct, frozen=True):
    """A value and its history. ``created_at`` is epoch seconds; ``hits`` before this one."""

    value: bytes
    model: str
    created_at: float
    hits: int


class CacheStatistics(msgspec.Struct, frozen=True):
    """``hits`` of the entries that are there now; ``bytes`` of their values."""

    entries: int
    hits: int
    bytes: int


class CacheTable:
    """The cache's table. It may forget anything at any time."""

    def __init__(
        self,
        db: Database,
        clock: Callable[[], float],
        *,
        most_entries: int = MOST_ENTRIES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._db = db
        self._clock = clock
        self._most_entries = most_entries
        self._most_bytes = most_bytes

    async def get(self, digest: str, *, max_age_s: float) -> Cached | None:
        """Return the value of ``digest`` if it is younger than ``max_age_s``, and count the hit.

        Never raises for trouble with the file: then there is no value.
        """
        now = self._clock()
        oldest_ms = to_ms(now - max_age_s)

        def ask(connection: sqlite3.Connection) -> Cached | None:
            row = connection.execute(
                "SELECT value, model, created_at_ms, hits FROM cache"
                " WHERE digest = ? AND created_at_ms > ?",
                (digest, oldest_ms),
            ).fetchone()
            return None if row is None else Cached(row[0], row[1], from_ms(row[2]), row[3])

        try:
            found = await self._db.read(ask)
        except OcpdError:
            return None
        if found is not None:
            self._db.post(_HIT, (to_ms(now), digest))
        return found

    async def put(self, digest: str, value: bytes, model: str) -> bool:
        """Keep ``value``; what is oldest makes room. False if it is too large or the file refuses.

        An entry that is there is replaced and begins anew.
        """
        if len(value) > self._most_bytes:
            return False
        now_ms = to_ms(self._clock())

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT, (digest, value, model, now_ms))
            connection.execute(_EVICT, (self._most_entries, self._most_bytes))

        try:
            await self._db.write(put)
        except OcpdError:
            return False
        return True

    async def clear(self) -> int:
        """Forget everything; return how many entries that was."""
        return await self._db.write(lambda c: c.execute("DELETE FROM cache").rowcount)

    async def expire(self, max_age_s: float) -> int:
        """Forget what is not younger than ``max_age_s``; return how many entries that was."""
        oldest_ms = to_ms(self._clock() - max_age_s)
        return await self._db.write(
            lambda c: c.execute("DELETE FROM cache WHERE created_at_ms <= ?", (oldest_ms,)).rowcount
        )

    async def stats(self) -> CacheStatistics:
        """Count what is there."""

        def ask(connection: sqlite3.Connection) -> CacheStatistics:
            row = connection.execute(
                "SELECT COUNT(*), COALESCE(SUM(hits), 0), COALESCE(SUM(LENGTH(value)), 0)"
                " FROM cache"
            ).fetchone()
            return CacheStatistics(*row)

        await self._db.catch_up()
        return await self._db.read(ask)
