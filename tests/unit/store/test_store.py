"""Promise: entering gives all or nothing, and a book of its own survives everything else."""

import asyncio
import sqlite3
import threading

import pytest

from ocpd.errors import Overloaded
from ocpd.store import db, opening
from ocpd.store.faults import is_damage, translate
from ocpd.store.snapshot import load_snapshot
from tests.unit.store.stage import make_row, open_store, run


def _threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("store-")]


def test_entering_that_is_cancelled_leaves_no_thread_and_no_lock(tmp_path, monkeypatch):
    entered, go_on = threading.Event(), threading.Event()
    real = opening.open_checked

    def slow(path, busy_s):
        entered.set()
        assert go_on.wait(10)
        return real(path, busy_s)

    monkeypatch.setattr(db, "open_checked", slow)

    async def main():
        loop = asyncio.get_running_loop()
        entering = loop.create_task(open_store(tmp_path).__aenter__())
        assert await asyncio.to_thread(entered.wait, 10)
        entering.cancel()
        loop.call_later(0.05, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert _threads() == []
        async with open_store(tmp_path) as store:
            await store.keys.add("one")

    run(main())


def test_a_file_whose_rows_cannot_be_read_is_not_half_opened(tmp_path):
    async def spoil():
        async with open_store(tmp_path) as store:
            await store.keys.add("one")
            await store._db.write(lambda c: c.execute("UPDATE api_key SET models = '{'"))

    async def main():
        async with open_store(tmp_path):
            pytest.fail("it opened")

    run(spoil())
    with pytest.raises(ValueError, match="array"):
        run(main())
    assert _threads() == []


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "ocpd.db").mkdir()

    async def main():
        async with open_store(tmp_path):
            pytest.fail("it opened")

    with pytest.raises(Overloaded, match=r"ocpd\.db: Is a directory"):
        run(main())
    assert _threads() == []


def test_an_old_sqlite_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "_OLDEST_SQLITE", (99, 0, 0))

    async def main():
        async with open_store(tmp_path):
            pytest.fail("it opened")

    with pytest.raises(Overloaded, match=r"SQLite 99\.0\.0 is needed"):
        run(main())


def test_what_the_file_says_is_what_memory_says(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("one")
            await store.quotas.set(record.id, {("cost", "daily"): 1})
            await store.knobs.put({"a": True}, "me")
            store.plan.note("five_hour", 0.5, None, "allowed", 1.0)
            store.keys.touch(record.id)
            await store.flush()
            snapshot = await store._db.read(load_snapshot)
            assert tuple(stored.record for stored in snapshot.keys.keys) == store.keys.list()
            assert snapshot.quotas == {record.id: store.quotas.of(record.id)}
            assert snapshot.knobs == store.knobs.all()
            assert snapshot.plan == store.plan.latest()

    run(main())


def test_the_store_describes_itself_without_secrets(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            _, secret = await store.keys.add("one")
            store.usage.record(make_row())
            said = repr(store)
            assert "1 queued" in said
            assert "Keys(1, 1 usable)" in said
            assert secret not in said

    run(main())


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_CORRUPT | 1 << 8, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_IOERR | 10 << 8, False),
    ],
)
def test_only_a_broken_file_is_damage_and_every_failure_is_ours(code, damage):
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    assert is_damage(error) is damage
    ours = translate(error)
    assert isinstance(ours, Overloaded)
    assert (ours.status, ours.code) == (503, "store_unavailable")
    assert "x" in ours.detail
