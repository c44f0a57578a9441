"""Promise: limits are kept exactly, all of a change or none of it, and answered from memory."""

import pytest

from ocpd.errors import BadRequest
from ocpd.sched.quota import Limit
from tests.unit.store.stage import open_store, run


def test_limits_are_kept_in_a_fixed_order_and_survive(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("one")
            assert store.quotas.of(record.id) == ()
            await store.quotas.set(
                record.id,
                {
                    ("cost", "monthly"): 5,
                    ("tokens", "daily"): 2**53,
                    ("requests", "minute"): 0,
                    ("requests", "daily"): None,
                    ("streams", "at_once"): 3,
                },
            )
            limits = (
                Limit("requests", "minute", 0),
                Limit("tokens", "daily", 2**53),
                Limit("cost", "monthly", 5.0),
                Limit("streams", "at_once", 3),
            )
            assert store.quotas.of(record.id) == limits
            assert [type(limit.amount) for limit in limits] == [int, int, float, int]
        async with open_store(tmp_path) as store:
            assert store.quotas.of(record.id) == limits
            kept = [type(limit.amount) for limit in store.quotas.of(record.id)]
            assert kept == [int, int, float, int]
            await store.quotas.set(record.id, {("requests", "minute"): None})
            assert store.quotas.of(record.id) == limits[1:]
            await store.quotas.set(record.id, {("cost", "monthly"): 0.125})
            assert store.quotas.of(record.id)[-2].amount == 0.125

    run(main())


@pytest.mark.parametrize(
    ("place", "amount"),
    [
        (("requests", "hourly"), 1),
        (("wishes", "daily"), 1),
        (("streams", "daily"), 1),
        (("requests", "daily"), -1),
        (("requests", "daily"), 1.0),
        (("requests", "daily"), True),
        (("requests", "daily"), 2**53 + 1),
        (("cost", "daily"), -0.01),
        (("cost", "daily"), float("nan")),
        (("cost", "daily"), float("inf")),
        (("cost", "daily"), True),
    ],
)
def test_a_limit_that_cannot_be_is_named_and_nothing_is_changed(tmp_path, place, amount):
    async def main():
        async with open_store(tmp_path) as store:
            record, _ = await store.keys.add("one")
            with pytest.raises(BadRequest) as no:
                await store.quotas.set(record.id, {("tokens", "daily"): 1, place: amount})
            assert no.value.param == ".".join(place)
            assert store.quotas.of(record.id) == ()

    run(main())


def test_a_key_that_does_not_exist_has_no_limits_and_gets_none(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            with pytest.raises(BadRequest) as no:
                await store.quotas.set(7, {("tokens", "daily"): 1})
            assert (no.value.status, no.value.code) == (404, "key_not_found")
            assert store.quotas.of(7) == ()

    run(main())
