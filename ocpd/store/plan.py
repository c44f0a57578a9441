"""How much of the plan is used, as the CLI last said it, window by window.

What may live here: the last word on every window and when it was said. Whether that is stale is
for the reader to judge: every value has its time.
"""

import math
import sqlite3

import msgspec

from ocpd.store.db import Database
from ocpd.store.epoch import from_ms, maybe_from_ms, maybe_ms, to_ms

# The CLI names about ten; what names a window comes from outside.
_MOST_WINDOWS = 32
_LONGEST = 64
# A window may be used to more than all of it; what is far beyond is nonsense.
_MOST_USED = 100.0
# The same window's reset may be told a little differently each time.
_SAME_RESET_S = 60.0

_PUT = "INSERT OR REPLACE INTO plan VALUES (?, ?, ?, ?, ?, ?)"


class PlanWindow(msgspec.Struct, frozen=True):
    """One window of the plan, "five_hour" for example. Times are epoch seconds.

    ``utilization`` (0 to 1) may be older than the rest: some messages leave it out, and
    ``utilization_at`` says when it was told. None: not told since the window began.
    """

    window: str
    utilization: float | None
    utilization_at: float | None
    resets_at: float | None
    status: str
    at: float


class PlanBook:
    """The last word on every window, in memory and in the file."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._windows: dict[str, PlanWindow] = {}

    def __repr__(self) -> str:
        return f"PlanBook({', '.join(sorted(self._windows))})"

    def note(
        self,
        window: str,
        utilization: float | None,
        resets_at: float | None,
        status: str,
        at: float,
    ) -> None:
        """Keep what was said of ``window`` at ``at``. Instant; written soon, or not at all.

        Older news than what is known is dropped. Without ``utilization`` the last one stays,
        unless the window has begun anew; without ``resets_at`` the last one stays.
        """
        known = self._windows.get(window)
        if known is None and (len(self._windows) >= _MOST_WINDOWS or len(window) > _LONGEST):
            return
        if known is not None and at < known.at:
            return
        if not all(math.isfinite(told) for told in (at, utilization or 0.0, resets_at or 0.0)):
            return
        if utilization is not None:
            utilization = min(max(utilization, 0.0), _MOST_USED)
        utilization_at = None if utilization is None else at
        if known is not None and resets_at is None:
            resets_at = known.resets_at
        if known is not None and utilization is None and _is_same(known.resets_at, resets_at):
            utilization, utilization_at = known.utilization, known.utilization_at
        told = PlanWindow(window, utilization, utilization_at, resets_at, status[:_LONGEST], at)
        self._windows[window] = told
        self._db.post(_PUT, _row_of(told))

    def latest(self) -> dict[str, PlanWindow]:
        """Return the last word on every window; the dict is the caller's. Instant."""
        return dict(self._windows)

    def adopt(self, loaded: dict[str, PlanWindow]) -> None:
        """Forget everything and know ``loaded`` instead; for the store."""
        self._windows = loaded


def load_plan(connection: sqlite3.Connection) -> dict[str, PlanWindow]:
    """Read the last word on every window."""
    rows = connection.execute(
        "SELECT name, utilization, utilization_at_ms, resets_at_ms, status, at_ms FROM plan"
    )
    return {
        row[0]: PlanWindow(
            window=row[0],
            utilization=row[1],
            utilization_at=maybe_from_ms(row[2]),
            resets_at=maybe_from_ms(row[3]),
            status=row[4],
            at=from_ms(row[5]),
        )
        for row in rows
    }


def _is_same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _SAME_RESET_S


def _row_of(told: PlanWindow) -> tuple[str | float | int | None, ...]:
    return (
        told.window,
        told.utilization,
        maybe_ms(told.utilization_at),
        maybe_ms(told.resets_at),
        told.status,
        to_ms(told.at),
    )
