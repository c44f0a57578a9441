"""Promise: what was recorded is seen by the next question, sums are right, and nobody sees rows of
another scope."""

import asyncio

import pytest

from ocpd.errors import BadRequest
from ocpd.store.records import Wanted
from tests.unit.http.stage import breathe
from tests.unit.store.stage import DAY_S, NOON, Clock, make_row, open_store, run

HOUR_S = 3600.0


def test_a_row_comes_back_as_it_was_recorded(tmp_path):
    rows = [
        make_row(at=NOON + 1.25, asked_model="opus", stream=True, first_ms=None, cost_usd=0.1),
        make_row(at=NOON + 2, key_name="anonymous", status="failed", http_status=504),
    ]

    async def main():
        async with open_store(tmp_path) as store:
            for row in rows:
                store.usage.record(row)
            return await store.usage.recent()

    assert list(run(main())) == rows[::-1]


def test_recent_is_limited_after_it_is_filtered(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("quiet")
            store.usage.record(make_row(at=NOON - 60, key_id=record.id, key_name="quiet"))
            for number in range(60):
                store.usage.record(make_row(at=NOON + number))
            assert len(await store.usage.recent(50)) == 50
            for scope in ("quiet", record.id):
                (only,) = await store.usage.recent(50, scope)
                assert only.key_id == record.id
            assert await store.usage.recent(50, "nobody") == ()
            assert await store.usage.recent(-1) == ()

    run(main())


def test_sums_by_caller(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("laptop")
            mine = {"key_id": record.id, "key_name": "laptop"}
            store.usage.record(make_row(at=NOON, total_ms=100, **mine))
            store.usage.record(make_row(at=NOON + 1, total_ms=200, status="failed", **mine))
            store.usage.record(make_row(at=NOON + 2, status="cancelled", total_ms=0, **mine))
            store.usage.record(make_row(at=NOON + 3, status="refused", total_ms=0, **mine))
            store.usage.record(make_row(at=NOON + 4))
            return await store.usage.by_key()

    laptop, local = run(main())
    assert (laptop.key_name, local.key_name) == ("laptop", "local")
    assert (laptop.requests, laptop.successes, laptop.errors, laptop.cancelled) == (4, 1, 2, 1)
    assert (laptop.total_elapsed_ms, laptop.avg_elapsed_ms) == (300, 75.0)
    assert (laptop.first_request, laptop.last_request) == (NOON, NOON + 3)
    assert (laptop.total_prompt_chars, laptop.total_response_chars) == (160, 80)
    assert (laptop.input_tokens, laptop.output_tokens) == (40, 20)
    assert (laptop.cached_tokens, laptop.reasoning_tokens, laptop.cost_usd) == (8, 4, 1.0)


def test_since_and_until_are_to_the_second_on_the_same_day(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            for number in range(10):
                store.usage.record(make_row(at=NOON + number))
            (some,) = await store.usage.by_key(NOON + 3, NOON + 7)
            assert (some.requests, some.first_request, some.last_request) == (4, NOON + 3, NOON + 6)
            assert await store.usage.by_key(NOON + 10) == ()

    run(main())


def test_a_scope_sees_only_its_own(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            one, _ = await store.keys.add("one")
            two, _ = await store.keys.add("two")
            for key_id, name, count in ((one.id, "one", 1), (two.id, "two", 2), (None, "local", 3)):
                for _ in range(count):
                    store.usage.record(make_row(key_id=key_id, key_name=name))
            for scope, count in (("one", 1), (two.id, 2), ("local", 3)):
                (sums,) = await store.usage.by_key(scope=scope)
                assert sums.requests == count
                (hour,) = await store.usage.timeline(0, scope=scope)
                assert hour.requests == count
                assert len(await store.usage.recent(50, scope)) == count
            assert len(await store.usage.by_key()) == 3

    run(main())


def test_a_renamed_key_keeps_its_history_under_its_new_name(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("old")
            store.usage.record(make_row(key_id=record.id, key_name="old"))
            await store.keys.change(record.id, Wanted(name="new"))
            store.usage.record(make_row(key_id=record.id, key_name="new"))
            (sums,) = await store.usage.by_key()
            assert (sums.key_name, sums.requests) == ("new", 2)
            assert {row.key_name for row in await store.usage.recent()} == {"new"}
            assert len(await store.usage.recent(50, "new")) == 2
            assert await store.usage.recent(50, "old") == ()

    run(main())


def test_the_timeline_has_one_line_for_each_hour_with_requests(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            for at in (0, 59 * 60, 2 * HOUR_S, 2 * HOUR_S + 1, 2 * HOUR_S + 2):
                store.usage.record(make_row(at=NOON + at, total_ms=round(at)))
            hours = await store.usage.timeline(NOON)
            assert [(hour.hour, hour.requests) for hour in hours] == [
                (NOON, 2),
                (NOON + 2 * HOUR_S, 3),
            ]
            assert hours[0].avg_elapsed_ms == 59 * 30
            assert (hours[1].prompt_chars, hours[1].response_chars) == (120, 60)
            (last,) = await store.usage.timeline(NOON + HOUR_S)
            assert last.hour == NOON + 2 * HOUR_S

    run(main())


def test_totals_count_what_quotas_count(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("one")
            mine = {"key_id": record.id, "key_name": "one"}
            for fields in (
                {"at": NOON - 1},
                {},
                {"status": "cancelled"},
                {"status": "cancelled", "output_tokens": 0},
                {"status": "failed"},
                {"status": "refused"},
            ):
                store.usage.record(make_row(**(mine | fields)))
            store.usage.record(make_row())
            totals = await store.usage.totals(record.id, NOON)
            assert (totals.requests, totals.tokens, totals.cost) == (2, 30, 0.5)
            assert (totals.input_tokens, totals.output_tokens) == (20, 10)
            assert (await store.usage.totals(record.id)).requests == 3
            nothing = await store.usage.totals(99)
            assert (nothing.requests, nothing.tokens, nothing.cost) == (0, 0, 0)

    run(main())


def test_models_are_summed_by_canonical_id_and_timed_over_successes(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            store.usage.record(make_row(asked_model="opus", total_ms=100, prompt_chars=10))
            store.usage.record(make_row(asked_model="claude-opus-9", total_ms=300, prompt_chars=30))
            store.usage.record(make_row(status="failed", http_status=504, total_ms=9000))
            store.usage.record(make_row(model="claude-x", status="refused", http_status=429))
            return await store.usage.model_stats()

    opus, other = run(main())
    assert (opus.model, opus.requests, opus.successes, opus.errors) == ("claude-opus-9", 3, 2, 1)
    assert (opus.timeouts, opus.avg_elapsed_ms, opus.max_elapsed_ms) == (1, 200.0, 300)
    assert (opus.avg_prompt_chars, opus.max_prompt_chars) == (80 / 3, 40)
    assert (other.avg_elapsed_ms, other.max_elapsed_ms, other.errors) == (None, None, 1)


def test_an_empty_book_has_empty_answers(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            assert await store.usage.by_key() == ()
            assert await store.usage.timeline(0) == ()
            assert await store.usage.recent() == ()
            assert await store.usage.model_stats() == ()

    run(main())


def test_long_texts_of_callers_are_cut(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            store.usage.record(make_row(asked_model="ä" * 10_000))
            (row,) = await store.usage.recent()
            assert row.asked_model == "ä" * 200

    run(main())


def test_a_scoped_question_uses_an_index(tmp_path):
    def plan(connection):
        from ocpd.store import sums

        statement = sums._RECENT.format(fields=sums._FIELDS, scope=sums._NAMED)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", {"scope": "x", "count": 1})
        return " ".join(row[3] for row in rows)

    async def main():
        async with open_store(tmp_path) as store:
            return await store._db.read(plan)

    assert "SCAN usage" not in run(main())


@pytest.mark.parametrize("days", [0, -1])
def test_folding_keeps_at_least_a_day(tmp_path, days):
    async def main():
        async with open_store(tmp_path, Clock(NOON + DAY_S)) as store:
            with pytest.raises(BadRequest) as no:
                await store.usage.fold(days)
            assert no.value.param == "usageKeepDays"

    run(main())


def test_what_counts_can_be_taken_from_the_status(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("laptop")
            mine = {"key_id": record.id, "key_name": "laptop"}
            store.usage.record(make_row(**mine), counted=False)
            store.usage.record(make_row(status="cancelled", output_tokens=0, **mine), counted=True)
            return await store.usage.totals(record.id)

    assert run(main()).requests == 1


def test_the_past_of_a_quota_is_exactly_what_was_recorded_before(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            record, _ = await store.keys.add("laptop")
            mine = {"key_id": record.id, "key_name": "laptop"}
            for age in (5, 7, 100, 2 * DAY_S, 8 * DAY_S, 40 * DAY_S):
                store.usage.record(make_row(at=NOON - age, total_ms=2_000, **mine))
            store.usage.record(make_row(at=NOON - 5, status="failed", **mine))
            store.usage.record(make_row(at=NOON - 5))
            asking = store.usage.history(record.id, ("minute", "daily", "weekly", "lifetime"))
            task = asyncio.get_running_loop().create_task(asking)
            await breathe()
            store.usage.record(make_row(at=NOON, **mine))
            told = await task
            sums = {
                period: tuple(
                    sum(getattr(entry.spent, name) for entry in entries)
                    for name in ("requests", "input_tokens", "output_tokens", "cost")
                )
                for period, entries in told.items()
            }
            assert sums == {
                "minute": (2, 20, 10, 0.5),
                "daily": (3, 30, 15, 0.75),
                "weekly": (4, 40, 20, 1.0),
                "lifetime": (6, 60, 30, 1.5),
            }
            begun = sorted(entry.at for entry in told["minute"] if entry.spent.requests)
            assert begun == [NOON - 9, NOON - 7]

    run(main())


def test_the_past_of_a_quota_outlives_its_rows(tmp_path):
    clock = Clock()

    async def main():
        async with open_store(tmp_path, clock) as store:
            record, _ = await store.keys.add("laptop")
            for age in (3, 3, 9):
                row = make_row(at=NOON - age * DAY_S, key_id=record.id, key_name="laptop")
                store.usage.record(row)
            assert await store.usage.fold(1) == 3
            told = await store.usage.history(record.id, ("weekly", "monthly"))
            assert [entry.spent.requests for entry in told["weekly"]] == [2]
            assert sum(entry.spent.requests for entry in told["monthly"]) == 3
            before = store.usage.epoch
            await store.restore(await store.backup())
            assert store.usage.epoch > before

    run(main())
