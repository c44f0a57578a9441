"""What SQLite's and the disk's failures mean to whoever asked.

What may live here: the translation of foreign exceptions at this room's edge.
"""

import sqlite3

from ocpd.errors import OcpdError, Overloaded

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_REASONS = {
    sqlite3.SQLITE_BUSY: "another program holds it locked",
    sqlite3.SQLITE_LOCKED: "another program holds it locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_IOERR: "the disk reports a fault",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database",
}


class Damaged(Exception):
    """A database file is not what SQLite once wrote. Never leaves this room."""


def is_damage(error: BaseException) -> bool:
    """Whether ``error`` says that the file itself is broken, not that it cannot be reached."""
    return isinstance(error, Damaged) or _primary(error) in _CORRUPT


def translate(error: BaseException) -> BaseException:
    """Make ``error`` one of ours if it comes from SQLite or the disk; others pass as they are."""
    if isinstance(error, OcpdError):
        return error
    if isinstance(error, sqlite3.Error | OSError):
        return unavailable(explain(error), f"{type(error).__name__}: {error}")
    return error


def explain(error: sqlite3.Error | OSError) -> str:
    """Say in a few words, for people, why the file could not be used."""
    if isinstance(error, OSError):
        return error.strerror or "the disk refused"
    return _REASONS.get(_primary(error), "SQLite refused")


def unavailable(reason: str, detail: str = "") -> Overloaded:
    """The database cannot do this now: 503, ``store_unavailable``."""
    return Overloaded(
        f"ocpd's database cannot be used now: {reason}.",
        status=503,
        code="store_unavailable",
        detail=detail,
    )


def _primary(error: BaseException) -> int:
    # The low byte is the class of failure; the rest says where in SQLite it was met.
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
