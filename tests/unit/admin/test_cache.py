"""The cache through the back door: its counts, and forgetting all of it."""

from tests.unit.admin.stage import open_house
from tests.unit.http.stage import run


def test_what_is_kept_is_counted_and_forgotten(tmp_path):
    async def main():
        async with open_house(tmp_path) as house:
            assert await house.store.cache.put("digest", b"12345", "claude-opus-5")
            told = (await house.unix("GET", "/cache/stats")).json
            assert told["entries"] == 1
            assert told["sizeBytes"] >= 5
            assert (told["totalHits"], told["inflight"], told["requesters"]) == (0, 0, 0)
            assert await house.store.cache.get("digest", max_age_s=60.0) is not None
            assert (await house.unix("DELETE", "/cache")).json == {"cleared": 1}
            assert (await house.unix("GET", "/cache/stats")).json["entries"] == 0
            assert await house.actions() == ["cache.clear"]

    run(main())
