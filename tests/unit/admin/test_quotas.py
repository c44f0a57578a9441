"""Quotas through the back door: partial changes, two shapes, names of what is wrong."""

import pytest

from ocpd.admin.quotas import place_of
from ocpd.aio import wall_clock
from tests.unit.admin.stage import House, open_house, row
from tests.unit.http.stage import run

DAY = 86_400.0


def with_key(tmp_path, play):
    async def main() -> None:
        async with open_house(tmp_path) as house:
            await house.unix("POST", "/api/keys", {"name": "wife-laptop"})
            await play(house)

    run(main())


def test_a_key_without_limits_shows_none(tmp_path):
    async def play(house: House) -> None:
        told = (await house.unix("GET", "/api/keys/wife-laptop/quota")).json
        none = {"limit": None, "used": 0}
        assert told == {
            "keyId": 1,
            "quota": {"daily": none, "weekly": none, "monthly": none},
            "daily": none,
            "weekly": none,
            "monthly": none,
            "limits": [],
        }

    with_key(tmp_path, play)


def test_a_change_is_partial_and_answers_only_what_was_sent(tmp_path):
    async def play(house: House) -> None:
        path = "/api/keys/wife-laptop/quota"
        first = await house.unix("PATCH", path, {"daily": 50, "weekly": 100})
        assert first.status == 200
        assert first.json == {
            "ok": True,
            "idOrName": "wife-laptop",
            "quota": {"daily": 50, "weekly": 100},
        }
        second = await house.unix("PATCH", path, {"daily": None})
        assert second.json["quota"] == {"daily": None}
        told = (await house.unix("GET", path)).json
        assert (told["daily"]["limit"], told["weekly"]["limit"]) == (None, 100)
        assert (await house.unix("GET", "/api/keys")).json["keys"][0]["quota_weekly"] == 100

    with_key(tmp_path, play)


def test_tokens_cost_and_other_periods_have_names_with_a_point(tmp_path):
    async def play(house: House) -> None:
        path = "/api/keys/1/quota"
        sent = {"tokens.daily": 100_000, "cost.monthly": 5.5, "requests.minute": 10}
        assert (await house.unix("PATCH", path, sent)).json["quota"] == sent
        limits = (await house.unix("GET", path)).json["limits"]
        assert {(one["what"], one["period"]): one["limit"] for one in limits} == {
            ("tokens", "daily"): 100_000,
            ("cost", "monthly"): 5.5,
            ("requests", "minute"): 10,
        }

    with_key(tmp_path, play)


def test_requests_at_once_are_a_limit_of_their_own_and_show_what_runs(tmp_path):
    async def play(house: House) -> None:
        path = "/api/keys/1/quota"
        assert (await house.unix("PATCH", path, {"streams": 3})).json["quota"] == {"streams": 3}
        told = (await house.unix("GET", path)).json["limits"]
        assert told == [{"what": "streams", "period": "at_once", "limit": 3, "used": 2}]
        for wrong in ("streams.daily", "requests.at_once", "at_once"):
            answer = await house.unix("PATCH", path, {wrong: 3})
            assert (answer.status, answer.error["param"]) == (400, wrong)
        await house.unix("PATCH", path, {"streams": None})
        assert house.store.quotas.of(1) == ()

    with_key(tmp_path, play)


def test_what_is_used_is_counted_in_each_period_from_successes(tmp_path):
    async def play(house: House) -> None:
        now = wall_clock()
        usage = house.store.usage
        for age in (0.0, 2 * DAY, 10 * DAY, 40 * DAY):
            usage.record(row(now - age, key_id=1, key_name="wife-laptop"))
        usage.record(row(now, key_id=1, status="failed", http_status=502, cost_usd=0.0))
        usage.record(row(now, key_id=None))
        path = "/api/keys/1/quota"
        await house.unix("PATCH", path, {"cost.lifetime": 9, "tokens.weekly": 1, "daily": 0})
        told = (await house.unix("GET", path)).json
        used = [told["quota"][period]["used"] for period in ("daily", "weekly", "monthly")]
        assert used == [1, 2, 3]
        assert told["daily"]["limit"] == 0
        by_limit = {one["what"]: one["used"] for one in told["limits"]}
        assert by_limit == {"requests": 1, "tokens": 240, "cost": 1.0}

    with_key(tmp_path, play)


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_an_unknown_key_is_the_text_that_old_clients_compare(tmp_path, method):
    async def play(house: House) -> None:
        answer = await house.unix(
            method, "/api/keys/nobody/quota", {} if method == "PATCH" else None
        )
        assert (answer.status, answer.json) == (404, {"error": "Key not found"})

    with_key(tmp_path, play)


BAD = [
    ({"hourly": 5}, "hourly"),
    ({"tokens.hourly": 5}, "tokens.hourly"),
    ({"money.daily": 5}, "money.daily"),
    ({"daily": -1}, "daily"),
    ({"daily": 1.5}, "daily"),
    ({"daily": 1.0}, "daily"),
    ({"daily": "50"}, "daily"),
    ({"daily": True}, "daily"),
    ({"daily": []}, "daily"),
    ({"daily": {}}, "daily"),
    ({"cost.monthly": -0.5}, "cost.monthly"),
    ({"cost.monthly": "5"}, "cost.monthly"),
    ({"tokens.daily": 2**60}, "tokens.daily"),
    ({"tokens.daily": 10**40}, "tokens.daily"),
    ({"daily": 5, "requests.daily": 6}, "requests.daily"),
    ({"daily": 5, "weekly": "x"}, "weekly"),
    (b'{"cost.daily": 1e999}', "cost.daily"),
    (b"null", None),
    (b"[]", None),
    (b"5", None),
    (b"{", None),
]


def test_what_cannot_be_meant_is_400_by_name_and_changes_nothing(tmp_path):
    async def play(house: House) -> None:
        for body, param in BAD:
            answer = await house.unix("PATCH", "/api/keys/1/quota", body)
            assert (answer.status, answer.error["param"]) == (400, param), body
        assert house.store.quotas.of(1) == ()
        assert await house.actions() == ["keys.add"]

    with_key(tmp_path, play)


def test_nothing_sent_is_nothing_changed(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("PATCH", "/api/keys/1/quota")
        assert (answer.status, answer.json["quota"]) == (200, {})

    with_key(tmp_path, play)


def test_the_change_is_written_down(tmp_path):
    async def play(house: House) -> None:
        await house.unix("PATCH", "/api/keys/1/quota", {"daily": 50, "weekly": None})
        entry = (await house.store.audit.tail(1))[0]
        assert (entry.action, entry.detail) == (
            "quota.change",
            "wife-laptop (#1): daily=50, weekly=none",
        )

    with_key(tmp_path, play)


def test_a_bare_period_counts_requests():
    assert place_of("daily") == ("requests", "daily")
    assert place_of("input_tokens.lifetime") == ("input_tokens", "lifetime")
    assert place_of("streams") == place_of("streams.at_once") == ("streams", "at_once")
