"""The database of an OCP installation, read.

What may live here: its schema as it is in the field, and what of it is worth taking. Keys stand
there in plain text: the copy on disk is private, and gone before anybody sees the result.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ocpd.errors import BadRequest
from ocpd.store.epoch import to_ms
from ocpd.store.faults import Damaged
from ocpd.store.files import SCRATCH
from ocpd.store.migrations import check_pages
from ocpd.store.records import digest_of, preview_of

_MAGIC = b"SQLite format 3\0"

_SIZES = ("prompt_chars", "response_chars", "elapsed_ms")
_USAGE = ("id", "created_at", "key_id", "key_name", "model", "success", *_SIZES)
_NEEDED = {"api_keys": {"id", "key", "name"}, "usage_log": set(_USAGE)}
# Added by later versions of OCP: NULL where they are missing.
_QUOTAS = ("quota_daily", "quota_weekly", "quota_monthly")


_LARGEST = 2**53


class OcpSource(msgspec.Struct, frozen=True):
    """What ocpctl sends: ``ocp.db``, the ``-wal`` beside it if there is one, the admin key."""

    db: bytes
    wal: bytes | None
    admin_key: str | None


class OcpKey(msgspec.Struct, frozen=True):
    """A key of OCP's; the secret is hashed already. Quotas are requests."""

    id: int
    digest: bytes
    preview: str
    name: str
    created_at_ms: int
    is_revoked: bool
    quotas: tuple[tuple[str, int], ...]


class OcpUsage(msgspec.Struct, frozen=True):
    """A row of OCP's usage log; ``source`` is the same for the same row, whenever it is read."""

    source: bytes
    at_ms: int
    key_id: int | None
    key_name: str
    model: str
    prompt_chars: int
    response_chars: int
    elapsed_ms: int
    is_success: bool


class OcpData(msgspec.Struct, frozen=True):
    """What was found, in the order of ids; ``notes`` say what was left out."""

    keys: tuple[OcpKey, ...]
    usage: tuple[OcpUsage, ...]
    notes: tuple[str, ...]


def read_source(source: OcpSource, directory: Path, now_ms: int) -> OcpData:
    """Read ``source`` by way of a private copy in ``directory``, which is removed again.

    ``now_ms`` stands in for times that cannot be read. Raises BadRequest ``not_an_ocp_database``.
    """
    if not source.db.startswith(_MAGIC):
        raise _unfit("it is no SQLite database")
    with _copied(source, directory) as path:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            check_pages(connection)
            connection.execute("PRAGMA query_only = ON")
            columns = _check_schema(connection)
            return _read(connection, columns, now_ms)
        except (sqlite3.Error, Damaged) as error:
            raise _unfit(f"it is damaged ({error})") from error
        finally:
            connection.close()


@contextlib.contextmanager
def _copied(source: OcpSource, directory: Path) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=directory))
    try:
        path = scratch / "ocp.db"
        _write_private(path, source.db)
        if source.wal:
            # SQLite finds it by its name, and ignores one that belongs to another file.
            _write_private(scratch / "ocp.db-wal", source.wal)
        yield path
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_private(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(data)
    path.chmod(0o600)


def _check_schema(connection: sqlite3.Connection) -> set[str]:
    """Return the columns of api_keys. Raises BadRequest for a schema that is not OCP's."""
    found: dict[str, set[str]] = {}
    for table, needed in _NEEDED.items():
        rows = connection.execute(
            "SELECT c.name FROM sqlite_schema s, pragma_table_info(s.name) c"
            " WHERE s.type = 'table' AND s.name = ?",
            (table,),
        )
        found[table] = {name for (name,) in rows}
        if missing := needed - found[table]:
            raise _unfit(f"{table} has no column {', '.join(sorted(missing))}")
    return found["api_keys"]


def _read(connection: sqlite3.Connection, columns: set[str], now_ms: int) -> OcpData:
    connection.row_factory = sqlite3.Row
    connection.text_factory = _read_text
    notes: list[str] = []
    keys: list[OcpKey] = []
    for row in connection.execute("SELECT * FROM api_keys ORDER BY id"):
        if (key := _maybe_key(row, columns, now_ms)) is None:
            notes.append(f"key {row['id']} was left out: it has no text as its secret or name")
        else:
            keys.append(key)
    usage: list[OcpUsage] = []
    unread = 0
    for row in connection.execute("SELECT * FROM usage_log ORDER BY id"):
        if (entry := _maybe_usage(row)) is None:
            unread += 1
        else:
            usage.append(entry)
    if unread:
        notes.append(f"{unread} usage rows were left out: their time or sizes cannot be read")
    return OcpData(tuple(keys), tuple(usage), tuple(notes))


def _maybe_key(row: sqlite3.Row, columns: set[str], now_ms: int) -> OcpKey | None:
    secret, name = row["key"], row["name"]
    if not isinstance(secret, str) or not secret or not isinstance(name, str):
        return None
    created_at_ms = _maybe_time(row["created_at"]) if "created_at" in columns else None
    quotas = [
        (column.removeprefix("quota_"), row[column])
        for column in _QUOTAS
        if column in columns and isinstance(row[column], int) and row[column] >= 0
    ]
    return OcpKey(
        id=row["id"],
        digest=digest_of(secret),
        preview=preview_of(secret),
        name=name,
        created_at_ms=now_ms if created_at_ms is None else created_at_ms,
        is_revoked="revoked" in columns and bool(row["revoked"]),
        quotas=tuple(quotas),
    )


def _maybe_usage(row: sqlite3.Row) -> OcpUsage | None:
    at_ms = _maybe_time(row["created_at"])
    sizes = [row[name] or 0 for name in _SIZES]
    if at_ms is None or not all(_is_size(size) for size in sizes):
        return None
    prompt_chars, response_chars, elapsed_ms = (round(size) for size in sizes)
    key_id = row["key_id"]
    return OcpUsage(
        source=digest_of("\0".join(str(row[name]) for name in _USAGE))[:16],
        at_ms=at_ms,
        key_id=key_id if isinstance(key_id, int) else None,
        key_name=str(row["key_name"] or "anonymous"),
        model=str(row["model"] or "unknown"),
        prompt_chars=prompt_chars,
        response_chars=response_chars,
        elapsed_ms=elapsed_ms,
        is_success=bool(row["success"]),
    )


def _is_size(size: object) -> bool:
    return isinstance(size, int | float) and abs(size) < _LARGEST


def _maybe_time(text: object) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # OCP writes UTC without saying so.
    return to_ms((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _read_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _unfit(reason: str) -> BadRequest:
    return BadRequest(
        f"this is no database of OCP that ocpd can read: {reason}. Nothing was imported.",
        code="not_an_ocp_database",
    )
