"""Promise: what is young enough comes back byte for byte, the oldest makes room, and a cache in
trouble is an empty one."""

import sqlite3

from ocpd.store.cache import CacheStatistics, CacheTable
from tests.unit.store.stage import NOON, Clock, held, open_store, run


def test_a_value_comes_back_until_it_is_too_old(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            assert await store.cache.get("a", max_age_s=60) is None
            assert await store.cache.put("a", b"\0\xff", "claude-x")
            clock.now += 59
            found = await store.cache.get("a", max_age_s=60)
            assert (found.value, found.model, found.created_at, found.hits) == (
                b"\0\xff",
                "claude-x",
                NOON,
                0,
            )
            await store.flush()
            assert (await store.cache.get("a", max_age_s=60)).hits == 1
            clock.now += 1
            assert await store.cache.get("a", max_age_s=60) is None
            assert await store.cache.stats() == CacheStatistics(entries=1, hits=2, bytes=2)
            assert await store.cache.expire(60) == 1
            assert await store.cache.stats() == CacheStatistics(entries=0, hits=0, bytes=0)

    run(main())


def test_putting_again_begins_anew(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            await store.cache.put("a", b"one", "m")
            await store.cache.get("a", max_age_s=60)
            await store.flush()
            clock.now += 100
            await store.cache.put("a", b"two", "n")
            found = await store.cache.get("a", max_age_s=60)
            assert (found.value, found.model, found.hits) == (b"two", "n", 0)
            assert found.created_at == clock.now

    run(main())


def test_the_oldest_makes_room_by_number_and_by_size(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            cache = CacheTable(store._db, clock, most_entries=3, most_bytes=100)

            async def there():
                return [d for d in "abcdef" if await cache.get(d, max_age_s=1e6)]

            for digest in "abcd":
                clock.now += 1
                assert await cache.put(digest, b"x" * 10, "m")
            assert await there() == ["b", "c", "d"]
            clock.now += 1
            await cache.put("b", b"x" * 10, "m")
            clock.now += 1
            await cache.put("e", b"x" * 85, "m")
            assert await there() == ["b", "e"]
            assert not await cache.put("f", b"x" * 101, "m")
            assert await there() == ["b", "e"]
            assert await cache.clear() == 2
            assert await there() == []

    run(main())


def test_trouble_with_the_file_is_no_trouble_of_the_caller(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            await store.cache.put("a", b"x", "m")
            other = sqlite3.connect(tmp_path / "ocpd.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            assert not await store.cache.put("b", b"x", "m")
            assert await store.cache.get("a", max_age_s=60)
            other.close()
        assert await store.cache.get("a", max_age_s=60) is None
        assert not await store.cache.put("b", b"x", "m")

    run(main())


def test_looking_up_does_not_wait_for_the_writer(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            await store.cache.put("a", b"x", "m")
            async with held(store):
                assert (await store.cache.get("a", max_age_s=60)).value == b"x"

    run(main())
