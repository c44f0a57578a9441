"""Promise: a backup is one consistent file that stands alone; a restore is all of it or nothing."""

import asyncio
import sqlite3

import pytest

from ocpd.errors import BadRequest, Overloaded
from ocpd.store import backup
from ocpd.store.audit import AuditEntry
from ocpd.store.migrations import VERSION
from ocpd.store.records import Wanted, digest_of
from tests.unit.store.stage import NOON, held, make_row, open_store, run


async def _fill(store):
    record, secret = await store.keys.add("one", Wanted(models=("m",)))
    await store.quotas.set(record.id, {("requests", "daily"): 5})
    await store.knobs.put({"maxConcurrent": 4}, "me")
    await store.keys.set_admin_key(digest_of("admin"))
    store.plan.note("five_hour", 0.5, NOON, "allowed", NOON)
    await store.audit.write(AuditEntry(NOON, 0, "socket", "me", "test", ""))
    await store.cache.put("a", b"x", "m")
    for _ in range(3):
        store.usage.record(make_row(key_id=record.id, key_name="one"))
    return record, secret


def test_a_backup_is_a_whole_file_that_stands_alone(tmp_path):
    async def main():
        async with open_store(tmp_path / "state") as store:
            await _fill(store)
            data = await store.backup()
            assert sorted(p.name for p in (tmp_path / "state").iterdir()) == [
                "ocpd.db",
                "ocpd.db-shm",
                "ocpd.db-wal",
                "ocpd.lock",
            ]
            return data

    path = tmp_path / "saved.db"
    path.write_bytes(run(main()))
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("SELECT COUNT(*) FROM usage").fetchone() == (3,)
    connection.close()


def test_a_backup_waits_for_no_writer_and_no_writer_for_it(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            await store.keys.add("one")
            async with held(store):
                data = await store._db.read(backup.copy_database)
        async with open_store(tmp_path / "other") as other:
            assert (await other.restore(data)).keys == 1

    run(main())


def test_a_restore_replaces_everything_in_the_file_and_in_memory(tmp_path):
    async def main():
        async with open_store(tmp_path / "a") as store:
            record, secret = await _fill(store)
            data = await store.backup()
        async with open_store(tmp_path / "b") as store:
            _, other = await store.keys.add("other")
            await store.knobs.put({"x": 1}, "me")
            store.usage.record(make_row())
            restored = await store.restore(data)
            assert (restored.keys, restored.usage, restored.settings) == (1, 3, 1)
            assert store.keys.find(other) is None
        for directory in ("b", "b"):
            async with open_store(tmp_path / directory) as store:
                assert store.keys.find(secret) == record
                assert store.keys.find(other) is None
                assert store.keys.is_admin("admin")
                assert store.quotas.of(record.id)[0].amount == 5
                assert store.knobs.all() == {"maxConcurrent": 4}
                assert store.plan.latest()["five_hour"].utilization == 0.5
                assert (await store.usage.totals(record.id)).requests == 3
                assert len(await store.audit.tail(5)) == 1
                assert await store._db.read(
                    lambda c: c.execute("PRAGMA journal_mode").fetchone()
                ) == ("wal",)

    run(main())


def test_memory_after_a_restore_is_what_a_restart_would_find(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            _, first = await _fill(store)
            data = await store.backup()
            _, second = await store.keys.add("two")
            await store.keys.revoke(1)
            await store.restore(data)
            assert store.keys.find(first) is not None
            assert store.keys.find(second) is None
            assert [key.name for key in store.keys.list()] == ["one"]
            store.usage.record(make_row())
            third, _ = await store.keys.add("three")
            assert len(await store.usage.recent()) == 4
            return third.id

    assert run(main()) == 2


def _damaged(data):
    return data[:6000] + b"\xa5" * 3000 + data[9000:]


def _edited(data, *statements):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    if data:
        connection.deserialize(data)
    for statement in statements:
        connection.execute(statement)
    edited = connection.serialize()
    connection.close()
    return edited


BAD = {
    "nothing": lambda data: b"",
    "text": lambda data: b"hello " * 1000,
    "cut": lambda data: data[: len(data) // 2],
    "header only": lambda data: data[:100],
    "damaged": _damaged,
    "empty": lambda data: _edited(b"", "PRAGMA user_version = 0", "VACUUM"),
    "foreign": lambda data: _edited(b"", "CREATE TABLE x (y)"),
    "other application": lambda data: _edited(data, "PRAGMA application_id = 5"),
    "too new": lambda data: _edited(
        data,
        f"PRAGMA user_version = {VERSION + 1}",
        f"UPDATE meta SET value = '{VERSION + 1}' WHERE name = 'min_reader'",
    ),
    "missing table": lambda data: _edited(data, "DROP TABLE knob"),
    "trigger": lambda data: _edited(
        data, "CREATE TRIGGER t AFTER INSERT ON usage BEGIN DELETE FROM api_key; END"
    ),
    "dangling quota": lambda data: _edited(
        data, "PRAGMA foreign_keys = OFF", "INSERT INTO quota VALUES (99, 'cost', 'daily', 1)"
    ),
    "odd models": lambda data: _edited(data, "UPDATE api_key SET models = '{'"),
    "odd admin key": lambda data: _edited(
        data, "UPDATE meta SET value = 'zz' WHERE name = 'admin_key'"
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_backup_changes_nothing_and_says_why(tmp_path, kind):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await _fill(store)
            data = BAD[kind](await store.backup())
            with pytest.raises(BadRequest, match=r"no backup that ocpd can restore: .") as no:
                await store.restore(data)
            assert no.value.code == "not_a_backup"
            assert store.keys.find(secret) == record
            assert len(await store.usage.recent()) == 3
        async with open_store(tmp_path) as store:
            assert store.keys.find(secret) == record
            assert store.statistics().moved_aside is None

    run(main())


def test_a_backup_of_another_page_size_fits_too(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await _fill(store)
            data = await store.backup()
            await store.restore(_edited(data, "PRAGMA page_size = 1024", "VACUUM"))
            assert store.keys.find(secret) == record
            store.usage.record(make_row())
            assert len(await store.usage.recent()) == 4

    run(main())


def test_a_restore_into_a_locked_file_leaves_everything_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "_PATIENCE_S", 0.05)

    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await _fill(store)
            data = await store.backup()
            await store.keys.add("later")
            other = sqlite3.connect(tmp_path / "ocpd.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(Overloaded, match="locked"):
                await store.restore(data)
            other.close()
            assert store.keys.get("later") is not None
            assert store.keys.find(secret) == record
            assert (await store.restore(data)).keys == 1
            assert store.keys.get("later") is None

    run(main())


def test_a_restore_whose_caller_left_is_made_or_not_but_never_half(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            await _fill(store)
            data = await store.backup()
            await store.keys.add("later")
            async with held(store):
                restoring = asyncio.get_running_loop().create_task(store.restore(data))
                while not store.statistics().queued:
                    await asyncio.wait([restoring], timeout=0.01)
                restoring.cancel()
                await asyncio.wait([restoring])
            await store._db.write(lambda _: None)
            assert [key.name for key in store.keys.list()] == ["one"]

    run(main())
