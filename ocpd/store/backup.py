"""The whole database as bytes, and bytes as the whole database.

What may live here: copies, and what makes a copy fit to replace what is there. Copies live in
memory: a full disk must not keep anybody from saving what is on it.
"""

import sqlite3
from collections.abc import Callable

import msgspec

from ocpd.aio import steady_clock
from ocpd.errors import BadRequest, OcpdError
from ocpd.store.faults import Damaged, unavailable
from ocpd.store.migrations import check_pages, check_shape, migrate
from ocpd.store.snapshot import Snapshot, load_snapshot

_MAGIC = b"SQLite format 3\0"
# Bytes 18 and 19 of the header: 2 says that a -wal belongs to the file, 1 that it stands alone.
_JOURNAL = slice(18, 20)
_ALONE = b"\x01\x01"
_HEADER_BYTES = 100

_PATIENCE_S = 5.0


class Restored(msgspec.Struct, frozen=True):
    """What is there after a restore: keys (revoked ones too), requests in the usage book, knobs."""

    keys: int
    usage: int
    settings: int


class Prepared(msgspec.Struct, frozen=True):
    """A checked database in memory, ready to take over; ``replace_database`` closes it."""

    connection: sqlite3.Connection
    snapshot: Snapshot
    restored: Restored


def copy_database(connection: sqlite3.Connection) -> bytes:
    """Return the database of one moment as a file that stands alone. Others go on writing."""
    connection.execute("BEGIN")
    try:
        # The first read fixes the moment.
        connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        return _stand_alone(connection.serialize())
    finally:
        connection.execute("ROLLBACK")


def prepare_database(data: bytes) -> Prepared:
    """Open ``data`` in memory, check it, bring it to our version, and read it.

    Raises BadRequest ``not_a_backup`` saying why it cannot be used.
    """
    if len(data) < _HEADER_BYTES or not data.startswith(_MAGIC):
        raise _unfit("it is no SQLite database")
    # Made at the read door, used by the writer, never by both at once.
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.deserialize(_stand_alone(data))
        _check(connection)
        return Prepared(connection, load_snapshot(connection), _count(connection))
    except (sqlite3.Error, Damaged, ValueError) as error:
        connection.close()
        raise _unfit(f"it is damaged or incomplete ({error})") from error
    except OcpdError as error:
        connection.close()
        raise _unfit(error.message) from error
    except BaseException:
        connection.close()
        raise


def replace_database(connection: sqlite3.Connection, prepared: Prepared) -> Snapshot:
    """Put ``prepared`` in the place of everything ``connection`` has, in one transaction.

    A crash in the middle leaves the old contents. sqlite3.Error and Overloaded pass: then nothing
    has changed. Not inside a transaction.
    """
    try:
        size = connection.execute("PRAGMA page_size").fetchone()
        if prepared.connection.execute("PRAGMA page_size").fetchone() != size:
            # SQLite copies pages, so they must be of one size.
            prepared.connection.execute(f"PRAGMA page_size = {int(size[0])}")
            prepared.connection.execute("VACUUM")
        prepared.connection.backup(connection, progress=_patience())
    finally:
        prepared.connection.close()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return prepared.snapshot


def _check(connection: sqlite3.Connection) -> None:
    check_pages(connection)
    if connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone() == (0,):
        raise Damaged("it is empty")
    migrate(connection)
    check_shape(connection)
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise Damaged("a row refers to one that is missing")


def _count(connection: sqlite3.Connection) -> Restored:
    counts = connection.execute(
        "SELECT (SELECT COUNT(*) FROM api_key), (SELECT COUNT(*) FROM usage)"
        " + (SELECT COALESCE(SUM(requests), 0) FROM usage_day), (SELECT COUNT(*) FROM knob)"
    ).fetchone()
    return Restored(*counts)


def _stand_alone(data: bytes) -> bytes:
    whole = memoryview(data)
    # Slices of bytes would each be another copy of all of it.
    return b"".join((whole[: _JOURNAL.start], _ALONE, whole[_JOURNAL.stop :]))


def _patience() -> Callable[[int, int, int], None]:
    """Make the progress callback of a copy: without one Python waits for a lock for ever."""
    deadline = steady_clock() + _PATIENCE_S

    def look(status: int, _remaining: int, _total: int) -> None:
        is_waiting = status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        if is_waiting and steady_clock() > deadline:
            raise unavailable("another program holds it locked")

    return look


def _unfit(reason: str) -> BadRequest:
    return BadRequest(
        f"this is no backup that ocpd can restore: {reason.rstrip('.')}. Nothing was changed.",
        code="not_a_backup",
    )
