"""Opening the database: pragmas, the check at start, what happens to a damaged file.

What may live here: how a connection is made; nothing that lasts.
"""

import logging
import sqlite3
from pathlib import Path

import msgspec

from ocpd.store.faults import is_damage, unavailable
from ocpd.store.files import make_private, move_aside
from ocpd.store.migrations import check_pages, migrate

_log = logging.getLogger("ocpd.store")

# The first with STRICT tables.
_OLDEST_SQLITE = (3, 37, 0)

_WAL_KEPT_BYTES = 16 * 1024 * 1024


class Opened(msgspec.Struct, frozen=True):
    """A connection for the writer, and where the damaged file went if there was one."""

    connection: sqlite3.Connection
    moved_aside: Path | None


def open_checked(path: Path, busy_s: float) -> Opened:
    """Open ``path`` for writing, whole and of our version; make it if it is missing.

    A damaged file is moved aside, loudly, and a fresh one begins. Raises Refused for a file that
    is not ours or too new; sqlite3.Error and OSError pass.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        needed = ".".join(map(str, _OLDEST_SQLITE))
        raise unavailable(f"SQLite {needed} is needed, this one is {sqlite3.sqlite_version}")
    try:
        return Opened(_open(path, busy_s), moved_aside=None)
    except Exception as error:
        if not is_damage(error):
            raise
        aside = move_aside(path)
        _log.error(
            "store_damaged",
            extra={"path": str(path), "kept_as": str(aside), "fault": str(error)},
        )
    return Opened(_open(path, busy_s), moved_aside=aside)


def open_reading(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open another connection to ``path`` that cannot change it."""
    connection = _connect(path, busy_s)
    connection.execute("PRAGMA query_only = ON")
    return connection


def close_writing(connection: sqlite3.Connection) -> None:
    """Put what is in the log into the file, then close. The last to close removes -wal and -shm."""
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        # Nothing is lost: the log is read at the next start.
        _log.warning("store_checkpoint_failed", extra={"error": str(error)})
    finally:
        connection.close()


def _open(path: Path, busy_s: float) -> sqlite3.Connection:
    make_private(path)
    connection = _connect(path, busy_s)
    try:
        check_pages(connection)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            _log.warning("store_without_wal", extra={"path": str(path), "mode": mode})
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    for pragma in (
        "synchronous = FULL",
        # Only macOS knows it: there a plain fsync may stop in the drive's cache.
        "fullfsync = ON",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "temp_store = MEMORY",
        f"journal_size_limit = {_WAL_KEPT_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection
