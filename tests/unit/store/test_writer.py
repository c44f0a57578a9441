"""Promise: what is acknowledged is durable, one failure takes nothing else with it, and a row that
cannot be written is counted, told once a minute, and holds up nobody."""

import asyncio
import sqlite3
import time

import pytest

from ocpd.errors import BadRequest, Overloaded
from ocpd.store import inbox, writer
from tests.unit.store.stage import BUSY_S, held, make_row, open_store, query, run


def test_what_waits_is_written_in_one_batch(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            before = store.statistics().batches
            async with held(store):
                for _ in range(100):
                    store.usage.record(make_row())
                assert store.statistics().queued == 100
            assert await store.flush()
            after = store.statistics()
            assert after.batches - before == 2
            assert (after.queued, after.written, after.lost) == (0, 100, 0)

    run(main())


def test_a_job_that_fails_takes_back_only_itself(tmp_path):
    def spoil(connection):
        connection.execute("INSERT INTO meta VALUES ('spoiled', '1')")
        raise BadRequest("no")

    async def main():
        async with open_store(tmp_path) as store:
            async with held(store):
                store.usage.record(make_row())
                loop = asyncio.get_running_loop()
                adding = loop.create_task(store.keys.add("one"))
                failing = loop.create_task(store._db.write(spoil))
                last = loop.create_task(store.keys.add("two"))
                await asyncio.wait([adding], timeout=0)
            with pytest.raises(BadRequest, match="no"):
                await failing
            await adding
            await last

    run(main())
    assert query(tmp_path, "SELECT name FROM api_key") == [("one",), ("two",)]
    assert query(tmp_path, "SELECT COUNT(*) FROM usage") == [(1,)]
    assert query(tmp_path, "SELECT * FROM meta WHERE name = 'spoiled'") == []


def test_a_row_that_does_not_fit_does_not_take_its_neighbours(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            async with held(store):
                for number in range(10):
                    tokens = 2**70 if number == 5 else 1
                    store.usage.record(make_row(input_tokens=tokens))
                store.usage.record(make_row(http_status="what"))
            await store.flush()
            counts = store.statistics()
            assert (counts.written, counts.lost) == (9, 2)
            assert counts.last_error

    run(main())
    assert query(tmp_path, "SELECT COUNT(*) FROM usage") == [(9,)]


def test_recording_never_raises_whatever_the_row(tmp_path):
    rows = [
        make_row(at=float("nan")),
        make_row(at=float("inf")),
        make_row(total_ms=None),
        make_row(model=None),
        make_row(key_name="\ud800 \0 ok"),
    ]

    async def main():
        async with open_store(tmp_path) as store:
            for row in rows:
                store.usage.record(row)
            await store.flush()
            assert store.statistics().lost == 4
            (kept,) = await store.usage.recent()
            assert kept.key_name == "? \0 ok"

    run(main())


def test_a_full_queue_loses_rows_and_counts_them(tmp_path, monkeypatch):
    monkeypatch.setattr(inbox, "_POSTED_LIMIT", 10)

    async def main():
        async with open_store(tmp_path) as store:
            async with held(store):
                for _ in range(25):
                    store.usage.record(make_row())
                assert store.statistics().lost == 15
            assert await store.flush()
            assert store.statistics().written == 10
            store.usage.record(make_row())
            assert await store.flush()
            assert store.statistics().written == 11

    run(main())


def test_a_full_queue_of_jobs_refuses_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setattr(inbox, "_JOBS_LIMIT", 1)

    async def main():
        async with open_store(tmp_path) as store:
            async with held(store):
                waiting = asyncio.get_running_loop().create_task(store.keys.add("one"))
                await asyncio.wait([waiting], timeout=0.01)
                with pytest.raises(Overloaded, match="too much waits"):
                    await store.keys.add("two")
            await waiting

    run(main())


def test_a_locked_file_costs_rows_but_never_time_and_then_all_is_well(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, secret = await store.keys.add("one")
            other = sqlite3.connect(tmp_path / "ocpd.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            try:
                began = time.monotonic()
                for _ in range(100):
                    store.usage.record(make_row())
                assert time.monotonic() - began < BUSY_S
                assert store.keys.find(secret) == record
                with pytest.raises(Overloaded, match="another program holds it locked") as no:
                    await store.keys.add("two")
                assert no.value.status == 503
                store.usage.record(make_row())
                assert not await store.flush()
                # Whoever asks is answered: readers do not need the lock.
                assert await store.usage.recent() == ()
                counts = store.statistics()
                assert (counts.written, counts.lost) == (0, 101)
                assert "locked" in counts.last_error
            finally:
                other.close()
            store.usage.record(make_row())
            await store.keys.add("two")
            assert await store.flush()
            assert store.statistics().written == 1
            assert len(await store.usage.recent()) == 1

    run(main())


def test_a_full_disk_costs_rows_and_nothing_else(tmp_path):
    def limit(pages):
        return lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    async def main():
        async with open_store(tmp_path) as store:
            _, secret = await store.keys.add("one")
            await store._db.write(limit(1))
            for number in range(200):
                store.usage.record(make_row(asked_model=f"{number}" * 60))
            assert not await store.flush()
            with pytest.raises(Overloaded, match="the disk is full"):
                await store.knobs.put({"knob": "x" * 20_000}, "me")
            assert store.keys.find(secret) is not None
            assert store.knobs.all() == {}
            counts = store.statistics()
            assert counts.lost == 200
            assert "full" in counts.last_error
            await store._db.write(limit(1_000_000))
            store.usage.record(make_row())
            await store.keys.add("two")
            assert await store.flush()
            assert store.statistics().written == 1

    run(main())


def test_lost_rows_are_told_at_once_and_then_once_a_minute(tmp_path, caplog, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(writer, "steady_clock", lambda: now[0])

    async def main():
        store = open_store(tmp_path)
        for at in (1000.0, 1001.0, 1059.0, 1060.0):
            now[0] = at
            store.usage.record(make_row())
        assert store.statistics().lost == 4

    run(main())
    told = [record.rows for record in caplog.records if record.message == "usage_rows_lost"]
    assert told == [1, 3]


def test_memory_follows_the_file_even_if_the_caller_has_left(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            async with held(store):
                adding = asyncio.get_running_loop().create_task(store.keys.add("one"))
                await asyncio.wait([adding], timeout=0.01)
                adding.cancel()
                await asyncio.wait([adding])
                assert store.keys.get("one") is None
            await store._db.write(lambda _: None)
            assert store.keys.get("one") is not None

    run(main())


def test_a_disk_that_hangs_does_not_keep_the_daemon(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("ocpd.store.db.CLOSE_S", 0.05)
    monkeypatch.setattr("ocpd.store.db._SHORT_S", 0.05)

    async def main():
        store = open_store(tmp_path)
        async with store:
            holding = held(store)
            await holding.__aenter__()
            store.usage.record(make_row())
        assert store.statistics().lost == 1
        await holding.__aexit__(None, None, None)
        return store

    store = run(main())
    store._db._writer._thread.join(10)
    assert not store._db._writer._thread.is_alive()
    assert "store_hangs" in [record.message for record in caplog.records]
