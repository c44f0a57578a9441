"""The shape of the file, as numbered steps. A step that was released is never edited.

What may live here: SQL that adds. A step may add tables, indexes and columns that are NULL or have
a default, and nothing else: so an older ocpd can go on with a newer file, and says so through
``min_reader``. Times are whole milliseconds since the epoch, in columns that end in ``_ms``.
"""

import sqlite3

import msgspec

from ocpd.errors import Refused
from ocpd.store.faults import Damaged

APPLICATION_ID = 0x6F637064
"""Spells "ocpd" in the file's header."""


class Step(msgspec.Struct, frozen=True):
    """One step. ``min_reader`` is the oldest version whose code can use the file after it."""

    name: str
    min_reader: int
    statements: tuple[str, ...]


_M001 = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    """CREATE TABLE api_key (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest BLOB NOT NULL UNIQUE,
        preview TEXT NOT NULL,
        name TEXT NOT NULL,
        role TEXT NOT NULL DEFAULT 'user',
        note TEXT NOT NULL DEFAULT '',
        models TEXT,
        created_at_ms INTEGER NOT NULL,
        revoked_at_ms INTEGER,
        expires_at_ms INTEGER,
        last_used_at_ms INTEGER
    ) STRICT""",
    """CREATE UNIQUE INDEX api_key_active_name ON api_key (name COLLATE NOCASE)
        WHERE revoked_at_ms IS NULL""",
    """CREATE TABLE quota (
        key_id INTEGER NOT NULL REFERENCES api_key (id),
        what TEXT NOT NULL,
        period TEXT NOT NULL,
        amount REAL NOT NULL,
        PRIMARY KEY (key_id, what, period)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE usage (
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        turn_id TEXT NOT NULL,
        key_id INTEGER,
        key_name TEXT NOT NULL,
        model TEXT NOT NULL,
        asked_model TEXT NOT NULL,
        dialect TEXT NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        first_ms INTEGER,
        total_ms INTEGER NOT NULL,
        queued_ms INTEGER NOT NULL,
        status TEXT NOT NULL,
        http_status INTEGER NOT NULL,
        prompt_chars INTEGER NOT NULL,
        response_chars INTEGER NOT NULL,
        stream INTEGER NOT NULL,
        counted INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX usage_at ON usage (at_ms)",
    "CREATE INDEX usage_key ON usage (key_id, at_ms)",
    "CREATE INDEX usage_name ON usage (key_name, at_ms) WHERE key_id IS NULL",
    """CREATE TABLE usage_day (
        day_ms INTEGER NOT NULL,
        key_id INTEGER NOT NULL,
        key_name TEXT NOT NULL,
        model TEXT NOT NULL,
        dialect TEXT NOT NULL,
        status TEXT NOT NULL,
        counted INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        timeouts INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        total_ms INTEGER NOT NULL,
        max_ms INTEGER NOT NULL,
        prompt_chars INTEGER NOT NULL,
        max_prompt_chars INTEGER NOT NULL,
        response_chars INTEGER NOT NULL,
        first_at_ms INTEGER NOT NULL,
        last_at_ms INTEGER NOT NULL,
        PRIMARY KEY (day_ms, key_id, key_name, model, dialect, status, counted)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX usage_day_key ON usage_day (key_id, day_ms)",
    """CREATE TABLE imported (
        kind TEXT NOT NULL,
        source BLOB NOT NULL,
        key_id INTEGER,
        PRIMARY KEY (kind, source)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE knob (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        changed_at_ms INTEGER NOT NULL,
        changed_by TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE cache (
        id INTEGER PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        value BLOB NOT NULL,
        model TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL,
        last_hit_at_ms INTEGER,
        hits INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE INDEX cache_created ON cache (created_at_ms, id)",
    """CREATE TABLE conversation (
        digest TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        system TEXT NOT NULL,
        model TEXT NOT NULL,
        messages BLOB,
        count INTEGER NOT NULL,
        used_at_ms INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX conversation_owner ON conversation (owner, used_at_ms)",
    """CREATE TABLE plan (
        name TEXT PRIMARY KEY,
        utilization REAL,
        utilization_at_ms INTEGER,
        resets_at_ms INTEGER,
        status TEXT NOT NULL,
        at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        uid INTEGER,
        via TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT""",
)

_M002 = ("ALTER TABLE api_key ADD COLUMN mcp_servers TEXT",)

_M003 = ("ALTER TABLE api_key ADD COLUMN allowed_tools TEXT",)

_M004 = ("ALTER TABLE api_key ADD COLUMN weight INTEGER",)

STEPS: tuple[Step, ...] = (
    Step("m001_first", min_reader=1, statements=_M001),
    # An older ocpd has no servers that a key could be kept from.
    Step("m002_mcp_servers", min_reader=1, statements=_M002),
    # Nor has it tools of the CLI's.
    Step("m003_allowed_tools", min_reader=1, statements=_M003),
    # Nor does its queue weigh anybody.
    Step("m004_weight", min_reader=1, statements=_M004),
)

VERSION = len(STEPS)
"""What this ocpd writes: ``PRAGMA user_version`` is the number of steps taken."""


def migrate(connection: sqlite3.Connection, steps: tuple[Step, ...] = STEPS) -> int:
    """Take the steps the file has not taken, each in a transaction; return how many.

    ``connection`` must be in autocommit mode. A newer file that allows older readers is left as
    it is. Raises Refused ``store_too_new`` for any other newer file, ``store_foreign`` for a
    database that is not ocpd's; sqlite3.Error passes.
    """
    version = check_origin(connection, len(steps))
    for number, step in enumerate(steps[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in step.statements:
                connection.execute(statement)
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('min_reader', ?)", (str(step.min_reader),)
            )
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return max(0, len(steps) - version)


def check_origin(connection: sqlite3.Connection, known: int = VERSION) -> int:
    """Return the version of the file: 0 for an empty one.

    Raises Refused when it is not ocpd's, or newer than ``known`` and not for older readers.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    if application == 0 and version == 0 and tables == 0:
        return 0
    if application != APPLICATION_ID or version < 1:
        raise Refused("this database is not ocpd's.", code="store_foreign")
    if version > known and _min_reader(connection) > known:
        raise Refused(
            f"this database was written by a newer ocpd (version {version}; this one knows"
            f" {known}). Install the newer ocpd, or use a backup from before.",
            code="store_too_new",
        )
    return int(version)


def check_shape(connection: sqlite3.Connection) -> None:
    """Raise Damaged unless the file has every table and column this ocpd uses, and no triggers."""
    expected = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(expected)
        missing = _columns(expected) - _columns(connection)
    finally:
        expected.close()
    if missing:
        raise Damaged(f"it has no {', '.join(sorted(missing)[:3])}")
    odd = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type NOT IN ('table', 'index')"
    ).fetchone()
    if odd is not None:
        raise Damaged(f"it has {odd[0]!r}, which is neither table nor index")


def check_pages(connection: sqlite3.Connection) -> None:
    """Let SQLite look at every page. Raises Damaged, or sqlite3.DatabaseError for the worst."""
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
    if found != ["ok"]:
        raise Damaged("; ".join(found))


def _min_reader(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = 'min_reader'").fetchone()
    # Without the row nobody promised anything.
    return int(row[0]) if row is not None and str(row[0]).isdigit() else 1 << 31


def _columns(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute(
        "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c"
        " WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return {f"{table}.{column}" for table, column in rows}
