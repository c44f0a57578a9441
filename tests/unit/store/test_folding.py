"""Promise: folding changes no sum over whole days, goes in small batches, and can be repeated."""

import asyncio
import itertools

import msgspec
import pytest

from ocpd.store import folding
from tests.unit.store.stage import DAY_S, NOON, Clock, make_row, open_store, query, run

STATUSES = ("finished", "failed", "cancelled", "refused")


def _rows(key_id):
    for day, status, number in itertools.product(range(6), STATUSES, range(12)):
        is_key = number % 2
        yield make_row(
            at=NOON - day * DAY_S + number,
            key_id=key_id if is_key else None,
            key_name="one" if is_key else "local",
            model=f"claude-{number % 3}",
            status=status,
            http_status=504 if status == "failed" else 200,
            output_tokens=number,
            total_ms=100 * number + day,
            prompt_chars=number,
            cost_usd=0.25,
        )


async def _questions(store, key_id):
    return msgspec.to_builtins(
        [
            await store.usage.by_key(),
            await store.usage.by_key(scope="local"),
            await store.usage.by_key(scope=key_id),
            await store.usage.model_stats(),
            await store.usage.totals(key_id),
        ]
    )


def test_sums_are_the_same_before_and_after(tmp_path, monkeypatch):
    monkeypatch.setattr(folding, "BATCH_ROWS", 7)

    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("one")
            for row in _rows(record.id):
                store.usage.record(row)
            before = await _questions(store, record.id)
            # Today and the two days before stay; the three before those are folded.
            assert await store.usage.fold(2) == 3 * 48
            assert await _questions(store, record.id) == before
            assert await store.usage.fold(2) == 0
            assert len(await store.usage.recent(500)) == 3 * 48
            # Everything, in a second round onto the same days.
            store.usage.record(make_row(at=NOON - 5 * DAY_S))
            assert await store.usage.fold(2) == 1
            (local,) = await store.usage.by_key(scope="local")
            assert local.requests == 6 * 24 + 1

    run(main())
    ((requests, most),) = query(tmp_path, "SELECT SUM(requests), COUNT(*) FROM usage_day")
    assert requests == 3 * 48 + 1
    assert most < requests


def test_a_folded_day_counts_as_a_whole_where_the_span_touches_it(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            for hour in (-6, 0, 6):
                store.usage.record(make_row(at=NOON - 10 * DAY_S + hour * 3600))
            assert await store.usage.fold(3) == 3
            (sums,) = await store.usage.by_key(NOON - 10 * DAY_S)
            assert sums.requests == 3
            assert sums.first_request == NOON - 10 * DAY_S - 6 * 3600
            assert await store.usage.by_key(NOON - 9 * DAY_S) == ()
            assert await store.usage.by_key(0, NOON - 11 * DAY_S) == ()

    run(main())


def test_rows_of_the_last_whole_day_that_is_kept_stay(tmp_path):
    midnight = NOON - DAY_S / 2

    async def main():
        async with open_store(tmp_path, Clock(NOON)) as store:
            store.usage.record(make_row(at=midnight - DAY_S))
            store.usage.record(make_row(at=midnight - DAY_S - 0.001))
            assert await store.usage.fold(1) == 1
            (kept,) = await store.usage.recent()
            assert kept.at == midnight - DAY_S

    run(main())


@pytest.mark.parametrize("rows", [1200])
def test_others_write_between_two_batches(tmp_path, rows):
    async def main():
        async with open_store(tmp_path) as store:
            for _ in range(rows):
                store.usage.record(make_row(at=NOON - 10 * DAY_S))
            await store.flush()
            folding_all = asyncio.get_running_loop().create_task(store.usage.fold(1))
            await asyncio.wait([folding_all], timeout=0)
            record, _ = await store.keys.add("between")
            assert not folding_all.done()
            assert store.keys.get("between") == record
            assert await folding_all == rows

    run(main())
