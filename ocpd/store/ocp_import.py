"""Taking over an OCP installation's keys, quotas and usage, so that nobody has to change a key.

What may live here: what becomes of each row, in one transaction of the caller's. What was taken is
remembered row by row: doing it twice changes nothing, even if a key was rotated or renamed since.
"""

import sqlite3
from collections.abc import Callable
from typing import Literal

import msgspec

from ocpd.store.epoch import from_ms
from ocpd.store.names import fit_name
from ocpd.store.ocp_source import OcpData, OcpKey, OcpUsage
from ocpd.store.quotas import write_limit
from ocpd.store.records import insert_key, load_keys, write_admin
from ocpd.store.sums import INSERT, UsageRow
from ocpd.store.usage import to_columns
from ocpd.turn.request import TurnId

State = Literal["new", "renamed", "present", "revoked"]

Resolve = Callable[[str], str]
"""From the name of a model as a caller wrote it to the canonical id."""

# OCP spoke nothing else.
_DIALECT = "openai_chat"
_KEY = "ocp-key"
_USAGE = "ocp-usage"

_REMEMBER = "INSERT OR IGNORE INTO imported (kind, source, key_id) VALUES (?, ?, ?)"


class ImportedKey(msgspec.Struct, frozen=True):
    """One key: its ``name`` there, what it is called here (``as``), its id here."""

    name: str
    called: str = msgspec.field(name="as")
    id: int
    state: State


class Imported(msgspec.Struct, frozen=True):
    """What was taken over, or with ``dry_run`` would be. ``usage`` counts new rows;
    ``admin_key`` says whether it was taken; ``notes`` are sentences for people.
    """

    dry_run: bool
    keys: tuple[ImportedKey, ...]
    usage: int
    admin_key: bool
    notes: tuple[str, ...]


class DryRun(Exception):
    """Carries the report out of a transaction that is to be taken back."""

    def __init__(self, report: Imported) -> None:
        super().__init__("dry run")
        self.report = report


def take_over(
    connection: sqlite3.Connection, data: OcpData, admin: bytes | None, resolve: Resolve
) -> Imported:
    """Add what is new in ``data`` and report on all of it. ``admin`` is the admin key's digest."""
    notes = list(data.notes)
    taken = _take_keys(connection, data.keys)
    callers = {there.id: here for there, here in zip(data.keys, taken, strict=True)}
    usage = 0
    for row in data.usage:
        caller = callers.get(row.key_id) if row.key_id is not None else None
        usage += _take_usage(connection, row, caller, resolve)
    return Imported(
        dry_run=False,
        keys=taken,
        usage=usage,
        admin_key=_take_admin(connection, admin, notes),
        notes=tuple(notes),
    )


def _take_keys(connection: sqlite3.Connection, keys: tuple[OcpKey, ...]) -> tuple[ImportedKey, ...]:
    known = {stored.digest: stored.record.id for stored in load_keys(connection).keys}
    known |= dict(connection.execute("SELECT source, key_id FROM imported WHERE kind = ?", (_KEY,)))
    taken = {
        name.lower()
        for (name,) in connection.execute("SELECT name FROM api_key WHERE revoked_at_ms IS NULL")
    }
    report: list[ImportedKey] = []
    for key in keys:
        found = _find_present(connection, key, known.get(key.digest))
        if found is None:
            # Names of revoked keys are in nobody's way.
            found = _add_key(connection, key, fit_name(key.name, () if key.is_revoked else taken))
            known[key.digest] = found.id
            if not key.is_revoked:
                taken.add(found.called.lower())
        connection.execute(_REMEMBER, (_KEY, key.digest, found.id))
        report.append(found)
    return tuple(report)


def _find_present(
    connection: sqlite3.Connection, key: OcpKey, key_id: int | None
) -> ImportedKey | None:
    row = connection.execute("SELECT name FROM api_key WHERE id = ?", (key_id,)).fetchone()
    if key_id is None or row is None:
        return None
    return ImportedKey(name=key.name, called=row[0], id=key_id, state="present")


def _add_key(connection: sqlite3.Connection, key: OcpKey, name: str) -> ImportedKey:
    stored = insert_key(
        connection,
        {
            "digest": key.digest,
            "preview": key.preview,
            "name": name,
            "created_at_ms": key.created_at_ms,
            # OCP did not keep when.
            "revoked_at_ms": key.created_at_ms if key.is_revoked else None,
        },
    )
    for period, amount in key.quotas:
        write_limit(connection, (stored.record.id, "requests", period), amount)
    state: State = "new" if name == key.name else "renamed"
    if key.is_revoked:
        state = "revoked"
    return ImportedKey(name=key.name, called=name, id=stored.record.id, state=state)


def _take_usage(
    connection: sqlite3.Connection, row: OcpUsage, caller: ImportedKey | None, resolve: Resolve
) -> bool:
    """Add the row; False if it was taken before."""
    key_id = None if caller is None else caller.id
    if not connection.execute(_REMEMBER, (_USAGE, row.source, key_id)).rowcount:
        return False
    usage = UsageRow(
        at=from_ms(row.at_ms),
        turn_id=TurnId(""),
        key_id=key_id,
        key_name=row.key_name if caller is None else caller.called,
        model=resolve(row.model),
        asked_model=row.model,
        dialect=_DIALECT,
        input_tokens=0,
        output_tokens=0,
        cached_tokens=0,
        reasoning_tokens=0,
        cost_usd=0.0,
        first_ms=None,
        total_ms=row.elapsed_ms,
        queued_ms=0,
        status="finished" if row.is_success else "failed",
        http_status=200 if row.is_success else 500,
        prompt_chars=row.prompt_chars,
        response_chars=row.response_chars,
        stream=False,
    )
    connection.execute(INSERT, to_columns(usage))
    return True


def _take_admin(connection: sqlite3.Connection, admin: bytes | None, notes: list[str]) -> bool:
    present = load_keys(connection).admin
    if admin is None or admin == present:
        return False
    if present is not None:
        notes.append("the admin key was not taken over: ocpd has one already")
        return False
    write_admin(connection, admin)
    return True
