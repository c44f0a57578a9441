"""The usage book: one row for every outcome, and what can be asked of it.

What may live here: the doors. The questions themselves are in ``sums``, what happens to old rows
in ``folding``.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import TypeVar

from ocpd.errors import BadRequest
from ocpd.sched.windows import Entry, reach_of
from ocpd.store.db import Database
from ocpd.store.epoch import DAY_MS, day_of, to_ms
from ocpd.store.folding import fold_batch
from ocpd.store.inbox import Value
from ocpd.store.sums import (
    INSERT,
    HourUsage,
    KeyUsage,
    ModelUsage,
    Scope,
    Totals,
    UsageRow,
    find_mark,
    list_burst,
    list_entries,
    list_recent,
    span_of,
    sum_hours,
    sum_keys,
    sum_models,
    sum_quota,
)

T = TypeVar("T")

FOREVER = 253_402_300_800.0
"""The year 10000 in epoch seconds: an ``until`` that leaves nothing out."""

_MOST_ROWS = 10_000

# What callers send is kept for people to read, not whole.
_LONGEST = 200


class UsageBook:
    """Usage rows. Questions see every row recorded before them, unless the file is in trouble."""

    def __init__(self, db: Database, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self.epoch = 0
        """Another number whenever the rows became others at one stroke, as by a restore."""

    def record(self, row: UsageRow, *, counted: bool | None = None) -> None:
        """Queue ``row``. Instant and never raises: a row that cannot be written is counted as lost
        and logged, at most once a minute. ``counted``: whether it counts towards quotas; None
        leaves that to its status.
        """
        try:
            values = to_columns(row, counted=counted)
        except (AttributeError, OverflowError, TypeError, ValueError) as error:
            self._db.lose(f"{type(error).__name__}: {error}")
        else:
            self._db.post(INSERT, values, counted=True)

    async def by_key(
        self, since: float = 0.0, until: float = FOREVER, scope: Scope = None
    ) -> tuple[KeyUsage, ...]:
        """Sum by caller from ``since`` to before ``until`` (epoch seconds), the busiest first."""
        span = span_of(to_ms(since), to_ms(until), scope)
        return await self._ask(lambda connection: sum_keys(connection, span))

    async def timeline(
        self, since: float, until: float = FOREVER, scope: Scope = None
    ) -> tuple[HourUsage, ...]:
        """Sum by hour, oldest first; hours without requests and folded days are left out."""
        span = span_of(to_ms(since), to_ms(until), scope)
        return await self._ask(lambda connection: sum_hours(connection, span))

    async def recent(self, limit: int = 50, scope: Scope = None) -> tuple[UsageRow, ...]:
        """Return the newest ``limit`` rows, newest first; folded ones are gone."""
        count = min(max(0, limit), _MOST_ROWS)
        return await self._ask(lambda connection: list_recent(connection, count, scope))

    async def totals(self, key_id: int, since: float = 0.0) -> Totals:
        """Sum what counts towards the key's quotas since ``since``."""
        span = span_of(to_ms(since), to_ms(FOREVER), key_id)
        return await self._ask(lambda connection: sum_quota(connection, span))

    async def history(
        self, scope: str | int, periods: Iterable[str]
    ) -> dict[str, tuple[Entry, ...]]:
        """Return what counts towards the quotas of ``scope`` in each of ``periods``: exactly what
        was recorded before this call.

        Raises Overloaded ``store_unavailable``.
        """
        # Asked of the writer, in the order of the queue. Nothing may wait before.
        mark = await self._db.write(find_mark)

        def ask(connection: sqlite3.Connection) -> dict[str, tuple[Entry, ...]]:
            now = self._clock()
            told: dict[str, tuple[Entry, ...]] = {}
            for period in periods:
                span = span_of(to_ms(reach_of(period, now)), to_ms(FOREVER), scope)
                span["mark"] = mark
                listing = list_burst if period == "minute" else list_entries
                told[period] = listing(connection, span)
            return told

        return await self._db.read(ask)

    def adopt(self) -> None:
        """The rows are others now; for the store."""
        self.epoch += 1

    async def model_stats(self, since: float = 0.0) -> tuple[ModelUsage, ...]:
        """Sum by canonical model, the busiest first."""
        span = span_of(to_ms(since), to_ms(FOREVER), None)
        return await self._ask(lambda connection: sum_models(connection, span))

    async def fold(self, keep_days: int) -> int:
        """Turn rows older than ``keep_days`` whole UTC days into sums per day; return how many.

        In small batches, each a job of its own, so that no other writer waits for long. May be
        cancelled between two. Raises BadRequest for less than one day.
        """
        if keep_days < 1:
            raise BadRequest("usageKeepDays must be at least 1", param="usageKeepDays")
        before_ms = day_of(to_ms(self._clock())) - keep_days * DAY_MS
        folded = 0
        while batch := await self._db.write(lambda connection: fold_batch(connection, before_ms)):
            folded += batch
        return folded

    async def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        await self._db.catch_up()
        return await self._db.read(question)


def to_columns(row: UsageRow, *, counted: bool | None = None) -> tuple[Value, ...]:
    """Make the values of INSERT. Raises what a field of another type raises."""
    if counted is None:
        counted = row.status == "finished" or (row.status == "cancelled" and row.output_tokens > 0)
    return (
        to_ms(row.at),
        _clip(row.turn_id),
        row.key_id,
        _clip(row.key_name),
        _clip(row.model),
        _clip(row.asked_model),
        _clip(row.dialect),
        row.input_tokens,
        row.output_tokens,
        row.cached_tokens,
        row.reasoning_tokens,
        float(row.cost_usd),
        None if row.first_ms is None else round(row.first_ms),
        round(row.total_ms),
        round(row.queued_ms),
        row.status,
        row.http_status,
        row.prompt_chars,
        row.response_chars,
        int(row.stream),
        int(counted),
    )


def _clip(text: str) -> str:
    clipped = text[:_LONGEST]
    return clipped if clipped.isascii() else clipped.encode("utf-8", "replace").decode("utf-8")
