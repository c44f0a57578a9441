"""Promise: a changed setting keeps its value and its type, all of a change or none of it."""

import asyncio

import pytest

from ocpd.errors import BadRequest
from tests.unit.store.stage import held, open_store, query, run

VALUES = {"text": "x", "whole": 4, "float": 2.0, "yes": True, "no": False, "empty": ""}


def test_values_and_their_types_survive(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            assert store.knobs.all() == {}
            await store.knobs.put(VALUES, "uid 1000")
            assert store.knobs.all() == VALUES
        async with open_store(tmp_path) as store:
            kept = store.knobs.all()
            assert kept == VALUES
            assert {k: type(v) for k, v in kept.items()} == {k: type(v) for k, v in VALUES.items()}
            await store.knobs.put({"text": None, "whole": 5, "never": None}, "uid 0")
            assert store.knobs.all() == {k: v for k, v in VALUES.items() if k != "text"} | {
                "whole": 5
            }

    run(main())
    assert query(tmp_path, "SELECT changed_by FROM knob WHERE name = 'whole'") == [("uid 0",)]


def test_a_change_is_seen_when_it_is_durable_and_not_before(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            async with held(store):
                putting = asyncio.get_running_loop().create_task(store.knobs.put({"a": 1}, "me"))
                await asyncio.wait([putting], timeout=0.01)
                assert store.knobs.all() == {}
            await putting
            assert store.knobs.all() == {"a": 1}

    run(main())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_one_bad_value_changes_nothing(tmp_path, bad):
    async def main():
        async with open_store(tmp_path) as store:
            with pytest.raises(BadRequest) as no:
                await store.knobs.put({"good": 1, "bad": bad}, "me")
            assert no.value.param == "bad"
            assert store.knobs.all() == {}

    run(main())


def test_what_all_returns_is_the_callers(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            store.knobs.all()["x"] = 1
            assert store.knobs.all() == {}

    run(main())


def test_a_value_that_cannot_be_read_is_left_out_and_told(tmp_path, caplog):
    async def main():
        async with open_store(tmp_path) as store:
            await store.knobs.put({"good": 1, "odd": 2}, "me")
            await store._db.write(
                lambda c: c.execute("UPDATE knob SET value = '{' WHERE name = 'odd'")
            )
        async with open_store(tmp_path) as store:
            assert store.knobs.all() == {"good": 1}

    run(main())
    assert [r.knob for r in caplog.records if r.message == "store_knob_unreadable"] == ["odd"]
