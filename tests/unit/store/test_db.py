"""Promise: one process has the directory, its files are its own, and leaving leaves nothing."""

import asyncio
import os
import sqlite3
import stat
import threading

import pytest

from ocpd.errors import Overloaded, Refused
from tests.unit.store.stage import held, make_row, open_store, query, run


def _modes(directory):
    return {p.name: stat.S_IMODE(p.stat().st_mode) for p in (directory, *directory.iterdir())}


def _threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("store-")]


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_directory_and_files_are_private_whatever_the_umask(tmp_path, umask):
    directory = tmp_path / "state"

    async def main():
        async with open_store(directory) as store:
            await store.keys.add("one")
            return _modes(directory)

    open_modes = run(main())
    assert set(open_modes) == {"state", "ocpd.db", "ocpd.db-wal", "ocpd.db-shm", "ocpd.lock"}
    assert open_modes.pop("state") == 0o700
    assert set(open_modes.values()) == {0o600}
    assert _modes(directory) == {"state": 0o700, "ocpd.db": 0o600, "ocpd.lock": 0o600}


def test_modes_that_were_loosened_are_tightened_at_the_next_start(tmp_path):
    async def main():
        async with open_store(tmp_path):
            pass

    run(main())
    tmp_path.chmod(0o777)
    (tmp_path / "ocpd.db").chmod(0o644)
    run(main())
    assert set(_modes(tmp_path).values()) == {0o700, 0o600}


def test_a_directory_everybody_shares_is_left_as_it_is(tmp_path):
    tmp_path.chmod(0o1777)

    async def main():
        async with open_store(tmp_path):
            pass

    run(main())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_leaving_ends_the_threads_and_removes_what_sqlite_keeps_beside_the_file(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            assert sorted(_threads()) == ["store-reader", "store-writer"]
            store.usage.record(make_row())

    run(main())
    assert _threads() == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ocpd.db", "ocpd.lock"]
    assert query(tmp_path, "SELECT COUNT(*) FROM usage") == [(1,)]


def test_the_pragmas_are_what_durability_needs(tmp_path):
    def look(connection):
        names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    async def main():
        async with open_store(tmp_path) as store:
            return await store._db.write(look)

    assert run(main()) == ["wal", 2, 1, 0]


def test_the_read_door_cannot_write(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            with pytest.raises(Overloaded, match="cannot be written"):
                await store._db.read(lambda c: c.execute("DELETE FROM api_key"))

    run(main())


def test_a_second_ocpd_on_the_directory_is_refused_until_the_first_has_left(tmp_path):
    async def main():
        async with open_store(tmp_path) as first:
            await first.keys.add("one")
            with pytest.raises(Overloaded, match=rf"another ocpd \(process {os.getpid()}\)") as no:
                async with open_store(tmp_path):
                    pytest.fail("two have it")
            assert no.value.code == "store_in_use"
            assert len(_threads()) == 2
            await first.keys.add("two")
        async with open_store(tmp_path) as second:
            assert [key.name for key in second.keys.list()] == ["two", "one"]

    run(main())


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    async def main():
        async with open_store(tmp_path / "file" / "state"):
            pytest.fail("it opened")

    with pytest.raises(Overloaded, match="file/state") as no:
        run(main())
    assert no.value.code == "store_unavailable"
    assert _threads() == []


def test_a_damaged_file_is_moved_aside_and_never_deleted(tmp_path, caplog):
    database = tmp_path / "ocpd.db"
    for number in (1, 2):
        database.write_bytes(b"not a database at all" * 100)

        async def main(number=number):
            async with open_store(tmp_path) as store:
                moved = store.statistics().moved_aside
                assert moved == str(tmp_path / f"ocpd.db.corrupt-{number}")
                await store.keys.add("fresh")

        run(main())
        assert (tmp_path / f"ocpd.db.corrupt-{number}").read_bytes().startswith(b"not a database")
    assert [r.levelname for r in caplog.records if r.message == "store_damaged"] == ["ERROR"] * 2
    assert query(tmp_path, "SELECT name FROM api_key") == [("fresh",)]


def test_a_damaged_page_deep_inside_is_found_at_the_start(tmp_path):
    async def fill():
        async with open_store(tmp_path) as store:
            for number in range(300):
                store.usage.record(make_row(asked_model="x" * 200, at=number))

    run(fill())
    data = bytearray((tmp_path / "ocpd.db").read_bytes())
    # Everything but the first pages, where the schema is.
    data[4096 * 20 : 4096 * 24] = b"\xa5" * (4096 * 4)
    (tmp_path / "ocpd.db").write_bytes(data)

    async def main():
        async with open_store(tmp_path) as store:
            return store.statistics().moved_aside

    assert run(main()) is not None


def test_a_locked_file_is_not_taken_for_a_damaged_one(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            await store.keys.add("one")
        other = sqlite3.connect(tmp_path / "ocpd.db", isolation_level=None)
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        try:
            with pytest.raises(Overloaded, match="another program holds it locked"):
                async with open_store(tmp_path):
                    pytest.fail("it opened")
        finally:
            other.close()
        async with open_store(tmp_path) as store:
            assert store.keys.get("one") is not None
            assert store.statistics().moved_aside is None

    run(main())


def test_a_database_that_is_not_ours_is_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / "ocpd.db")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()

    async def main():
        async with open_store(tmp_path):
            pytest.fail("it opened")

    with pytest.raises(Refused, match=r"not ocpd's") as no:
        run(main())
    assert no.value.code == "store_foreign"
    assert query(tmp_path, "SELECT name FROM sqlite_schema") == [("theirs",)]


def test_what_a_crash_left_of_an_import_is_removed(tmp_path):
    left = tmp_path / ".ocp-import-abc"
    left.mkdir()
    (left / "ocp.db").write_bytes(b"secrets")
    (tmp_path / "empty").mkdir()

    async def main():
        async with open_store(tmp_path):
            pass

    run(main())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "ocpd.db", "ocpd.lock"]


def test_before_and_after_nothing_works_and_nothing_breaks(tmp_path):
    async def main():
        store = open_store(tmp_path)
        store.usage.record(make_row())
        with pytest.raises(Overloaded, match="closed"):
            await store.keys.add("early")
        async with store:
            await store.keys.add("one")
        store.usage.record(make_row())
        with pytest.raises(Overloaded, match="closed"):
            await store.usage.recent()
        assert store.keys.get("one") is not None
        assert store.statistics().lost == 2

    run(main())


def test_questions_that_wait_when_the_store_closes_are_refused(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            entered, go_on = threading.Event(), threading.Event()

            def wait(_connection):
                entered.set()
                go_on.wait(5)

            loop = asyncio.get_running_loop()
            running = loop.create_task(store._db.read(wait))
            waiting = loop.create_task(store._db.read(lambda _: 1))
            assert await asyncio.to_thread(entered.wait, 5)
            loop.call_later(0.05, go_on.set)
        assert running.done()
        with pytest.raises(Overloaded, match="closed"):
            await waiting

    run(main())


def test_what_is_queued_at_the_end_is_written(tmp_path):
    async def main():
        async with open_store(tmp_path) as store, held(store):
            for _ in range(2000):
                store.usage.record(make_row())

    run(main())
    assert query(tmp_path, "SELECT COUNT(*) FROM usage") == [(2000,)]
