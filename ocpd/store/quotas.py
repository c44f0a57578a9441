"""Quotas: how much a key may use in a period.

What may live here: the limits themselves. Whether one is reached is decided in ``sched.quota``,
from ``usage.history``.
"""

import math
import sqlite3
from collections.abc import Mapping

from ocpd.errors import BadRequest
from ocpd.sched.quota import AT_ONCE, STREAMS, Limit
from ocpd.sched.windows import PERIODS, WHATS
from ocpd.store.db import Database

Amount = int | float

PLACES = (*((what, period) for what in WHATS for period in PERIODS), (STREAMS, AT_ONCE))
"""Every limit there is, by what it counts and in which period."""

# The largest count a REAL keeps exactly.
_LARGEST = 2**53


LoadedQuotas = dict[int, tuple[Limit, ...]]


class Quotas:
    """The limits of every key, in memory and in the file."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._limits: LoadedQuotas = {}

    def __repr__(self) -> str:
        return f"Quotas({len(self._limits)} keys)"

    def of(self, key_id: int) -> tuple[Limit, ...]:
        """Return the key's limits in the order of PLACES. Instant."""
        return self._limits.get(key_id, ())

    async def set(self, key_id: int, changes: Mapping[tuple[str, str], Amount | None]) -> None:
        """Set limits by ``(what, period)``; None removes one, the others stay. All or nothing.

        Durable on return. Raises BadRequest: 404 ``key_not_found``, else 400 with param
        ``what.period``.
        """
        wanted = {
            (what, period): _check(what, period, amount)
            for (what, period), amount in changes.items()
        }

        def put(connection: sqlite3.Connection) -> tuple[Limit, ...]:
            known = connection.execute("SELECT 1 FROM api_key WHERE id = ?", (key_id,)).fetchone()
            if known is None:
                raise BadRequest("there is no such key", status=404, code="key_not_found")
            for (what, period), amount in wanted.items():
                write_limit(connection, (key_id, what, period), amount)
            return load_quotas(connection).get(key_id, ())

        def apply(limits: tuple[Limit, ...]) -> None:
            self._limits[key_id] = limits

        await self._db.write(put, apply)

    def adopt(self, loaded: LoadedQuotas) -> None:
        """Forget everything and know ``loaded`` instead; for the store."""
        self._limits = loaded


def load_quotas(connection: sqlite3.Connection) -> LoadedQuotas:
    """Read every key's limits."""
    found: dict[int, list[Limit]] = {}
    rows = connection.execute("SELECT key_id, what, period, amount FROM quota")
    for key_id, what, period, amount in rows:
        if (what, period) in PLACES:
            exact = amount if what == "cost" else int(amount)
            found.setdefault(key_id, []).append(Limit(what, period, exact))
    return {key_id: tuple(sorted(limits, key=_rank_of)) for key_id, limits in found.items()}


def write_limit(
    connection: sqlite3.Connection, place: tuple[int, str, str], amount: Amount | None
) -> None:
    """Set the limit of ``(key_id, what, period)``; None removes it."""
    if amount is None:
        connection.execute("DELETE FROM quota WHERE key_id = ? AND what = ? AND period = ?", place)
    else:
        connection.execute("INSERT OR REPLACE INTO quota VALUES (?, ?, ?, ?)", (*place, amount))


def _check(what: str, period: str, amount: Amount | None) -> Amount | None:
    param = f"{what}.{period}"
    if (what, period) not in PLACES:
        raise BadRequest(
            f"unknown quota {param!r}: use one of {', '.join(WHATS)}, a dot, and one of"
            f" {', '.join(PERIODS)}; or {STREAMS}.{AT_ONCE}",
            param=param,
        )
    if amount is None:
        return None
    if what == "cost":
        if isinstance(amount, bool) or not math.isfinite(amount) or amount < 0:
            raise BadRequest(f"{param} must be a number of US dollars, at least 0", param=param)
        return float(amount)
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= _LARGEST:
        raise BadRequest(f"{param} must be a whole number from 0 to {_LARGEST}", param=param)
    return amount


def _rank_of(limit: Limit) -> int:
    return PLACES.index((limit.what, limit.period))
