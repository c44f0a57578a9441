"""What the usage book can be asked, and in which shape it answers.

What may live here: SQL over ``usage`` and ``usage_day``, and the records it fills. A key's rows
count under the name the key has now; rows without a key under the name they were written with.
Rows that were folded have no hour any more: a folded day counts as a whole wherever the asked
span touches it.
"""

import sqlite3
from collections.abc import Mapping

import msgspec

from ocpd.sched.windows import Entry, Spent
from ocpd.store.epoch import HOUR_MS, SECOND_MS, day_of, from_ms
from ocpd.turn.request import TurnId

Scope = str | int | None
"""Whose rows: None everybody's, a name that caller's, an id that key's."""

Parameters = dict[str, str | int | None]


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome. ``at`` is epoch seconds, spans are milliseconds.

    ``model`` is the canonical id that ran, ``asked_model`` what the caller wrote. ``input_tokens``
    is the whole prompt, of which ``cached_tokens`` came from the upstream's cache;
    ``reasoning_tokens`` are part of ``output_tokens``. ``key_name`` is who it was, key or not.
    ``status`` is finished, failed, cancelled or refused.
    """

    at: float
    turn_id: TurnId
    key_id: int | None
    key_name: str
    model: str
    asked_model: str
    dialect: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float
    first_ms: int | None
    total_ms: int
    queued_ms: int
    status: str
    http_status: int
    prompt_chars: int
    response_chars: int
    stream: bool


class KeyUsage(msgspec.Struct, frozen=True):
    """What one caller used. Times are epoch seconds; ``errors`` are failed and refused ones."""

    key_name: str
    requests: int
    successes: int
    errors: int
    cancelled: int
    total_prompt_chars: int
    total_response_chars: int
    total_elapsed_ms: int
    avg_elapsed_ms: float
    first_request: float
    last_request: float
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float


class HourUsage(msgspec.Struct, frozen=True):
    """One hour that had requests; ``hour`` is its start in epoch seconds."""

    hour: float
    requests: int
    prompt_chars: int
    response_chars: int
    avg_elapsed_ms: float
    input_tokens: int
    output_tokens: int
    cost_usd: float


class ModelUsage(msgspec.Struct, frozen=True):
    """One canonical model. Elapsed ones are over successes, None without any; ``timeouts`` (504)
    are among the errors.
    """

    model: str
    requests: int
    successes: int
    errors: int
    timeouts: int
    avg_elapsed_ms: float | None
    max_elapsed_ms: int | None
    avg_prompt_chars: float
    max_prompt_chars: int


class Totals(msgspec.Struct, frozen=True):
    """What counts towards quotas: finished outcomes, and others that said something.

    Named as quotas name them; ``tokens`` is input and output, ``cost`` US dollars.
    """

    requests: int
    input_tokens: int
    output_tokens: int
    tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: float


_FIELDS = (
    "at_ms, turn_id, key_id, key_name, model, asked_model, dialect, input_tokens, output_tokens,"
    " cached_tokens, reasoning_tokens, cost_usd, first_ms, total_ms, queued_ms, status,"
    " http_status, prompt_chars, response_chars, stream"
)

INSERT = f"INSERT INTO usage ({_FIELDS}, counted) VALUES ({', '.join('?' * 21)})"  # noqa: S608 - constants

# Spelled so that each part has its index. Key id 0 is how folded days say "no key".
_NAMED = """key_id IN (SELECT id FROM api_key WHERE name = :scope)
    OR (key_id IS NULL AND key_name = :scope) OR (key_id = 0 AND key_name = :scope)"""

_SCOPES: Mapping[type, str] = {type(None): "1", str: _NAMED, int: "key_id = :scope"}

# Raw rows and folded days in one shape; {scope} is one of _SCOPES.
_ENTRIES = """
    SELECT key_id, key_name, model, status, counted, 1 AS requests, http_status = 504 AS timeouts,
        input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_usd, total_ms,
        total_ms AS max_ms, prompt_chars, prompt_chars AS max_prompt_chars, response_chars,
        at_ms AS first_at_ms, at_ms AS last_at_ms
    FROM usage WHERE at_ms >= :since AND at_ms < :until AND ({scope})
    UNION ALL
    SELECT key_id, key_name, model, status, counted, requests, timeouts,
        input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_usd, total_ms,
        max_ms, prompt_chars, max_prompt_chars, response_chars,
        first_at_ms, last_at_ms
    FROM usage_day WHERE day_ms >= :since_day AND day_ms < :until AND ({scope})
"""

_BY_KEY = """
    SELECT COALESCE(k.name, e.key_name) AS caller, SUM(requests) AS asked,
        SUM(requests * (status = 'finished')), SUM(requests * (status IN ('failed', 'refused'))),
        SUM(requests * (status = 'cancelled')), SUM(prompt_chars), SUM(response_chars),
        SUM(total_ms), 1.0 * SUM(total_ms) / SUM(requests), MIN(first_at_ms) / 1000.0,
        MAX(last_at_ms) / 1000.0,
        SUM(input_tokens), SUM(output_tokens), SUM(cached_tokens), SUM(reasoning_tokens),
        SUM(cost_usd)
    FROM ({entries}) e LEFT JOIN api_key k ON k.id = e.key_id
    GROUP BY caller ORDER BY asked DESC, caller
"""

_BY_MODEL = """
    SELECT model, SUM(requests) AS asked, SUM(requests * (status = 'finished')),
        SUM(requests * (status IN ('failed', 'refused'))), SUM(timeouts),
        1.0 * SUM(total_ms * (status = 'finished'))
            / NULLIF(SUM(requests * (status = 'finished')), 0),
        MAX(CASE WHEN status = 'finished' THEN max_ms END),
        1.0 * SUM(prompt_chars) / SUM(requests), MAX(max_prompt_chars)
    FROM ({entries}) GROUP BY model ORDER BY asked DESC, model
"""

_TOTALS = """
    SELECT SUM(requests), SUM(input_tokens), SUM(output_tokens),
        SUM(input_tokens) + SUM(output_tokens), SUM(cached_tokens), SUM(reasoning_tokens),
        SUM(cost_usd)
    FROM ({entries}) WHERE counted = 1
"""

# What a quota's bucket needs: rows up to a mark, in buckets; folded days as of their last row.
_BUCKETS = """
    SELECT MIN(at_ms), COUNT(*), SUM(input_tokens), SUM(output_tokens), SUM(cost_usd)
    FROM usage WHERE id <= :mark AND at_ms >= :since AND counted = 1 AND ({scope})
    GROUP BY at_ms / :hour_ms
    UNION ALL
    SELECT last_at_ms, requests, input_tokens, output_tokens, cost_usd
    FROM usage_day WHERE last_at_ms >= :since AND counted = 1 AND ({scope})
"""

_BURST = """
    SELECT at_ms, total_ms, input_tokens, output_tokens, cost_usd
    FROM usage WHERE id <= :mark AND at_ms >= :since AND counted = 1 AND ({scope})
"""

_BY_HOUR = """
    SELECT at_ms / :hour_ms AS hour, COUNT(*), SUM(prompt_chars), SUM(response_chars),
        AVG(total_ms), SUM(input_tokens), SUM(output_tokens), SUM(cost_usd)
    FROM usage WHERE at_ms >= :since AND at_ms < :until AND ({scope})
    GROUP BY hour ORDER BY hour
"""

_RECENT = """
    SELECT {fields}, (SELECT name FROM api_key WHERE id = key_id)
    FROM usage WHERE ({scope}) ORDER BY at_ms DESC, usage.id DESC LIMIT :count
"""


def sum_keys(connection: sqlite3.Connection, span: Parameters) -> tuple[KeyUsage, ...]:
    """Sum by caller, the busiest first."""
    return tuple(KeyUsage(*row) for row in connection.execute(_over_all(_BY_KEY, span), span))


def sum_models(connection: sqlite3.Connection, span: Parameters) -> tuple[ModelUsage, ...]:
    """Sum by canonical model, the busiest first."""
    return tuple(ModelUsage(*row) for row in connection.execute(_over_all(_BY_MODEL, span), span))


def sum_quota(connection: sqlite3.Connection, span: Parameters) -> Totals:
    """Sum what counts towards quotas."""
    row = connection.execute(_over_all(_TOTALS, span), span).fetchone()
    return Totals(*(value or 0 for value in row))


def find_mark(connection: sqlite3.Connection) -> int:
    """Return the id of the newest row, 0 if there is none."""
    return int(connection.execute("SELECT COALESCE(MAX(id), 0) FROM usage").fetchone()[0])


def list_entries(connection: sqlite3.Connection, span: Parameters) -> tuple[Entry, ...]:
    """List what counts towards quotas, by the hour; of rows up to the mark in ``span``."""
    statement = _BUCKETS.format(scope=_scope_of(span))
    rows = connection.execute(statement, span | {"hour_ms": HOUR_MS})
    return tuple(Entry(from_ms(at_ms), Spent(*spent)) for at_ms, *spent in rows)


def list_burst(connection: sqlite3.Connection, span: Parameters) -> tuple[Entry, ...]:
    """The same one by one: each request when it began, what it used when it ended."""
    found: list[Entry] = []
    for at_ms, total_ms, asked, told, cost in connection.execute(
        _BURST.format(scope=_scope_of(span)), span
    ):
        found.append(Entry(from_ms(at_ms - total_ms), Spent(requests=1)))
        found.append(Entry(from_ms(at_ms), Spent(0, asked, told, cost)))
    return tuple(found)


def sum_hours(connection: sqlite3.Connection, span: Parameters) -> tuple[HourUsage, ...]:
    """Sum by hour, oldest first; only rows that are not folded."""
    statement = _BY_HOUR.format(scope=_scope_of(span))
    hour_s = HOUR_MS // SECOND_MS
    rows = connection.execute(statement, span | {"hour_ms": HOUR_MS})
    return tuple(HourUsage(float(row[0] * hour_s), *row[1:]) for row in rows)


def list_recent(connection: sqlite3.Connection, count: int, scope: Scope) -> tuple[UsageRow, ...]:
    """Return the newest rows, newest first; only rows that are not folded."""
    span: Parameters = {"scope": scope, "count": count}
    statement = _RECENT.format(fields=_FIELDS, scope=_scope_of(span))
    return tuple(_read_row(row) for row in connection.execute(statement, span))


def span_of(since_ms: int, until_ms: int, scope: Scope) -> Parameters:
    """Make the parameters of a question about ``since_ms`` to before ``until_ms``."""
    return {
        "since": since_ms,
        "since_day": day_of(since_ms),
        "until": until_ms,
        "scope": scope,
    }


def _over_all(question: str, span: Parameters) -> str:
    return question.format(entries=_ENTRIES.format(scope=_scope_of(span)))


def _scope_of(span: Parameters) -> str:
    return _SCOPES[type(span["scope"])]


def _read_row(row: tuple[object, ...]) -> UsageRow:
    """Make a record of _FIELDS and the key's present name, if it still has one."""
    *values, present = row
    fields = dict(zip(UsageRow.__struct_fields__, values, strict=True))
    at_ms = msgspec.convert(fields["at"], int)
    fields |= {"at": from_ms(at_ms), "stream": bool(fields["stream"])}
    if present is not None:
        fields["key_name"] = present
    return msgspec.convert(fields, UsageRow)
