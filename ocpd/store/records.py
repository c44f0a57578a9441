"""One key as the file has it: its record, its secret's digest, its row.

What may live here: the shape of a key, what its fields may hold, and SQL over ``api_key``. Memory
is the business of ``keys``.
"""

import base64
import hashlib
import math
import secrets
import sqlite3
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from ocpd.errors import BadRequest
from ocpd.store.epoch import from_ms, maybe_from_ms, maybe_ms
from ocpd.store.inbox import Value
from ocpd.store.names import check_name
from ocpd.turn.own_tools import MOST_TOOLS, find_tool_fault
from ocpd.turn.servers import find_name_fault

Role = Literal["user", "owner", "batch"]
ROLES: tuple[Role, ...] = ("user", "owner", "batch")

MOST_WEIGHT = 100

Row = dict[str, Value]
"""Columns of ``api_key`` and their values."""

_RANDOM_BYTES = 24
_SHORTEST_SHOWN = 20
_LONGEST_NOTE = 500
_MOST_MODELS = 64
_MOST_SERVERS = 64
_LONGEST_MODEL = 100
# The year 10000: beyond it nobody can spell the date.
_LATEST = 253_402_300_800

_COLUMNS = (
    "id, name, preview, created_at_ms, revoked_at_ms, expires_at_ms, models, note,"
    " last_used_at_ms, role, digest, mcp_servers, allowed_tools, weight"
)

_Told = tuple[
    int,
    str,
    str,
    int,
    int | None,
    int | None,
    str | None,
    str,
    int | None,
    str,
    bytes,
    str | None,
    str | None,
    int | None,
]

_END = f"""UPDATE api_key SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms IS NULL
    RETURNING {_COLUMNS}"""  # noqa: S608 - constants

_names_decoder: msgspec.json.Decoder[tuple[str, ...]] = msgspec.json.Decoder(tuple[str, ...])


class KeyRecord(msgspec.Struct, frozen=True):
    """What is known of a key. Times are epoch seconds; ``models`` None means every model,
    ``mcp_servers`` None every server there is to ask for, ``allowed_tools`` None those of the
    CLI's own tools that the settings allow. ``weight`` is its share of the places while others
    wait too, None that of its ``role``.

    ``preview`` is the secret's first 8 characters, "...", and its last 4. A key is active until
    ``revoked_at`` is set; an active one may still be expired.
    """

    id: int
    name: str
    preview: str
    created_at: float
    revoked_at: float | None
    expires_at: float | None
    models: tuple[str, ...] | None
    note: str
    last_used_at: float | None
    role: str
    mcp_servers: tuple[str, ...] | None = None
    allowed_tools: tuple[str, ...] | None = None
    weight: int | None = None


class StoredKey(msgspec.Struct, frozen=True):
    """A record and the SHA-256 of its secret."""

    record: KeyRecord
    digest: bytes


class LoadedKeys(msgspec.Struct, frozen=True):
    """All keys, and the digest of the admin key, as the file has them."""

    keys: tuple[StoredKey, ...]
    admin: bytes | None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a key that somebody may set; UNSET ones stay as they are."""

    name: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    expires_at: float | UnsetType | None = UNSET
    models: tuple[str, ...] | UnsetType | None = UNSET
    role: str | UnsetType = UNSET
    mcp_servers: tuple[str, ...] | UnsetType | None = UNSET
    allowed_tools: tuple[str, ...] | UnsetType | None = UNSET
    weight: int | UnsetType | None = UNSET


ANY = Wanted()
"""Nothing in particular."""


# Secrets.


def make_secret() -> str:
    """Make a new key: ``ocp_`` and 32 characters of base64url."""
    return "ocp_" + base64.urlsafe_b64encode(secrets.token_bytes(_RANDOM_BYTES)).decode("ascii")


def digest_of(token: str) -> bytes:
    """The SHA-256 that stands for ``token``; total, whatever the text holds."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def preview_of(secret: str) -> str:
    """The part of a secret that may be shown."""
    if len(secret) < _SHORTEST_SHOWN:
        return secret[:2] + "..."
    return f"{secret[:8]}...{secret[-4:]}"


# What fields may hold.


def check_fields(wanted: Wanted, now: float) -> Row:
    """Return the columns for what is set in ``wanted``. Raises BadRequest naming the field."""
    row: Row = {}
    if not isinstance(wanted.name, UnsetType):
        row["name"] = check_name(wanted.name)
    if not isinstance(wanted.note, UnsetType):
        if len(wanted.note) > _LONGEST_NOTE:
            raise BadRequest(f"note must be at most {_LONGEST_NOTE} characters", param="note")
        row["note"] = wanted.note
    if not isinstance(wanted.expires_at, UnsetType):
        row["expires_at_ms"] = maybe_ms(_check_expiry(wanted.expires_at, now))
    if not isinstance(wanted.models, UnsetType):
        row["models"] = _spell_models(wanted.models)
    if not isinstance(wanted.mcp_servers, UnsetType):
        row["mcp_servers"] = _spell_servers(wanted.mcp_servers)
    if not isinstance(wanted.allowed_tools, UnsetType):
        row["allowed_tools"] = _spell_tools(wanted.allowed_tools)
    return row | _check_standing(wanted)


def _check_standing(wanted: Wanted) -> Row:
    row: Row = {}
    if not isinstance(wanted.role, UnsetType):
        if wanted.role not in ROLES:
            raise BadRequest(f"role must be one of {', '.join(ROLES)}", param="role")
        row["role"] = wanted.role
    if not isinstance(wanted.weight, UnsetType):
        if wanted.weight is not None and not 1 <= wanted.weight <= MOST_WEIGHT:
            raise BadRequest(
                f"weight must be a whole number from 1 to {MOST_WEIGHT}, or null for that of the"
                " role",
                param="weight",
            )
        row["weight"] = wanted.weight
    return row


def _check_expiry(expires_at: float | None, now: float) -> float | None:
    if expires_at is None:
        return None
    if not math.isfinite(expires_at) or not now < expires_at < _LATEST:
        raise BadRequest(
            "expires_at must lie in the future, before the year 10000", param="expires_at"
        )
    return expires_at


def _spell_models(models: tuple[str, ...] | None) -> str | None:
    if models is None:
        return None
    if not 1 <= len(models) <= _MOST_MODELS:
        raise BadRequest(
            f"models must name 1 to {_MOST_MODELS} models, or be null for every model",
            param="models",
        )
    if any(not 1 <= len(model) <= _LONGEST_MODEL for model in models):
        raise BadRequest(
            f"models must be names of 1 to {_LONGEST_MODEL} characters", param="models"
        )
    return msgspec.json.encode(models).decode("utf-8")


def _spell_servers(servers: tuple[str, ...] | None) -> str | None:
    if servers is None:
        return None
    if len(servers) > _MOST_SERVERS:
        raise BadRequest(
            f"mcp_servers must name at most {_MOST_SERVERS} servers, or be null for every server",
            param="mcp_servers",
        )
    for name in servers:
        if (fault := find_name_fault(name)) is not None:
            raise BadRequest(f"mcp_servers: {name[:80]!r}: {fault}", param="mcp_servers")
    return msgspec.json.encode(sorted(set(servers))).decode("utf-8")


def _spell_tools(tools: tuple[str, ...] | None) -> str | None:
    if tools is None:
        return None
    if len(tools) > MOST_TOOLS:
        raise BadRequest(
            f"allowed_tools must name at most {MOST_TOOLS} tools, or be null for what the setting"
            " allowedTools says",
            param="allowed_tools",
        )
    for name in tools:
        if (fault := find_tool_fault(name)) is not None:
            raise BadRequest(f"allowed_tools: {name[:80]!r} is {fault}", param="allowed_tools")
    return msgspec.json.encode(sorted(set(tools))).decode("utf-8")


# Rows. All of these run inside a transaction of the caller's.


def load_keys(connection: sqlite3.Connection) -> LoadedKeys:
    """Read every key and the admin key."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM api_key").fetchall()  # noqa: S608 - constants
    admin = connection.execute("SELECT value FROM meta WHERE name = 'admin_key'").fetchone()
    return LoadedKeys(
        keys=tuple(_read_row(row) for row in rows),
        admin=None if admin is None else bytes.fromhex(admin[0]),
    )


def insert_key(connection: sqlite3.Connection, row: Row) -> StoredKey:
    """Add a key. Raises BadRequest 409 ``name_taken``."""
    names, holes = ", ".join(row), ", ".join("?" * len(row))
    statement = f"INSERT INTO api_key ({names}) VALUES ({holes}) RETURNING {_COLUMNS}"  # noqa: S608 - constants
    return _read_row(_execute(connection, statement, row).fetchone())


def update_key(connection: sqlite3.Connection, key_id: int, row: Row) -> StoredKey:
    """Change an active key. Raises BadRequest: 404 ``key_not_found``, 409 ``key_revoked`` or
    ``name_taken``.
    """
    found = connection.execute(
        "SELECT revoked_at_ms FROM api_key WHERE id = ?", (key_id,)
    ).fetchone()
    if found is None:
        raise BadRequest("there is no such key", status=404, code="key_not_found")
    if found[0] is not None:
        raise BadRequest("the key is revoked", status=409, code="key_revoked")
    # Setting the id to itself makes a change of no fields a statement like the others.
    sets = ", ".join(f"{name} = ?" for name in ("id", *row))
    statement = f"UPDATE api_key SET {sets} WHERE id = ? RETURNING {_COLUMNS}"  # noqa: S608 - constants
    fields: Row = {"id": key_id} | row | {"where": key_id}
    return _read_row(_execute(connection, statement, fields).fetchone())


def end_key(connection: sqlite3.Connection, key_id: int, now_ms: int) -> StoredKey | None:
    """Revoke a key; None if it is unknown or revoked already."""
    row = connection.execute(_END, (now_ms, key_id)).fetchone()
    return None if row is None else _read_row(row)


def make_name(connection: sqlite3.Connection, now_ms: int) -> str:
    """Make the name of a key that was given none: the first free one from now on."""
    while True:
        name = f"key-{now_ms}"
        taken = connection.execute(
            "SELECT 1 FROM api_key WHERE name = ? AND revoked_at_ms IS NULL", (name,)
        ).fetchone()
        if taken is None:
            return name
        now_ms += 1


def write_admin(connection: sqlite3.Connection, digest: bytes | None) -> None:
    """Keep the digest of the admin key; None forgets it."""
    if digest is None:
        connection.execute("DELETE FROM meta WHERE name = 'admin_key'")
    else:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('admin_key', ?)", (digest.hex(),))


def _execute(connection: sqlite3.Connection, statement: str, row: Row) -> sqlite3.Cursor:
    try:
        return connection.execute(statement, tuple(row.values()))
    except sqlite3.IntegrityError as error:
        if "name" not in row or error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        raise BadRequest(
            f"the name {row['name']!r} is taken by another key",
            status=409,
            code="name_taken",
            param="name",
        ) from error


def _read_row(row: tuple[object, ...]) -> StoredKey:
    told: _Told = row  # type: ignore[assignment] # STRICT columns keep their types
    models, servers, tools = told[6], told[11], told[12]
    record = KeyRecord(
        id=told[0],
        name=told[1],
        preview=told[2],
        created_at=from_ms(told[3]),
        revoked_at=maybe_from_ms(told[4]),
        expires_at=maybe_from_ms(told[5]),
        models=None if models is None else _names_decoder.decode(models),
        note=told[7],
        last_used_at=maybe_from_ms(told[8]),
        role=told[9],
        mcp_servers=None if servers is None else _names_decoder.decode(servers),
        allowed_tools=None if tools is None else _names_decoder.decode(tools),
        weight=told[13],
    )
    return StoredKey(record, told[10])
