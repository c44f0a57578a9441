"""Usage by key: whose rows, from when, and in the shape that clients of old read."""

import pytest

from ocpd.aio import wall_clock
from tests.unit.admin.stage import House, open_house, row
from tests.unit.http.stage import run

HOUR, DAY = 3_600.0, 86_400.0

BY_KEY = {
    "key_name",
    "requests",
    "successes",
    "errors",
    "total_prompt_chars",
    "total_response_chars",
    "total_elapsed_ms",
    "avg_elapsed_ms",
    "first_request",
    "last_request",
}
RECENT = {
    "key_name",
    "model",
    "prompt_chars",
    "response_chars",
    "elapsed_ms",
    "success",
    "created_at",
}


def with_rows(tmp_path, play):
    async def main() -> None:
        async with open_house(tmp_path) as house:
            await house.unix("POST", "/api/keys", {"name": "laptop"})
            now = wall_clock()
            record = house.store.usage.record
            for _ in range(3):
                record(row(now, key_id=1, key_name="laptop"))
            record(row(now, key_id=1, status="failed", http_status=504))
            record(row(now - 2 * DAY))
            await play(house)

    run(main())


def test_without_a_key_all_rows_are_shown(tmp_path):
    async def play(house: House) -> None:
        for ask in (house.unix, house.tcp):
            told = (await ask("GET", "/api/usage")).json
            assert told["scope"] == {"self": None, "all": True}
            names = {one["key_name"]: one for one in told["byKey"]}
            assert set(names) == {"laptop", "local"}
            laptop = names["laptop"]
            assert set(laptop) >= BY_KEY
            counts = [laptop[what] for what in ("requests", "successes", "errors")]
            assert counts == [4, 3, 1]
            assert laptop["avg_elapsed_ms"] == 2_000
            assert len(laptop["last_request"]) == 19

    with_rows(tmp_path, play)


def test_recent_turns_and_hours_have_their_shapes(tmp_path):
    async def play(house: House) -> None:
        told = (await house.unix("GET", "/api/usage?limit=4&hours=1")).json
        assert len(told["recent"]) == 4
        for turn in told["recent"]:
            assert set(turn) >= RECENT
            assert turn["model"] == "sonnet"
            assert turn["canonical_model"] == "claude-sonnet-5"
            assert len(turn["created_at"]) == 19
        assert {turn["success"] for turn in told["recent"]} == {0, 1}
        assert sum(hour["requests"] for hour in told["timeline"]) == 4
        for hour in told["timeline"]:
            assert hour["hour"][10:] in {f"T{h:02}:00:00" for h in range(24)}

    with_rows(tmp_path, play)


def test_a_keys_holder_sees_his_own_rows_whatever_he_asks(tmp_path):
    async def play(house: House) -> None:
        made = (await house.unix("POST", "/api/keys", {"name": "tablet"})).json
        house.store.usage.record(row(wall_clock(), key_id=made["id"], key_name="tablet"))
        headers = {"authorization": f"bearer {made['key']}"}
        for query in ("", "?all=true", "?all=false", "?limit=500"):
            told = (await house.tcp("GET", f"/api/usage{query}", headers=headers)).json
            assert told["scope"] == {"self": "tablet", "all": False}
            assert [one["key_name"] for one in told["byKey"]] == ["tablet"]
            assert [one["key_name"] for one in told["recent"]] == ["tablet"]
        for path in ("/usage", "/api/keys", "/settings", "/logs"):
            assert (await house.tcp("GET", path, headers=headers)).status == 403

    with_rows(tmp_path, play)


def test_whoever_administers_may_ask_for_his_own_rows_only(tmp_path):
    async def play(house: House) -> None:
        told = (await house.tcp("GET", "/api/usage?all=false")).json
        assert told["scope"] == {"self": "local", "all": False}
        assert [one["key_name"] for one in told["byKey"]] == ["local"]

    with_rows(tmp_path, play)


def test_since_and_until_bound_the_callers_sums_only(tmp_path):
    async def play(house: House) -> None:
        told = (await house.unix("GET", "/api/usage?until=2001-01-01")).json
        assert told["byKey"] == []
        assert len(told["recent"]) == 5
        moment = "2001-01-01T00:00:00%2B01:00"
        told = (await house.unix("GET", f"/api/usage?since={moment}&until=")).json
        assert len(told["byKey"]) == 2

    with_rows(tmp_path, play)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("since=x", "since"),
        ("until=tomorrow", "until"),
        ("hours=x", "hours"),
        ("hours=-1", "hours"),
        ("limit=1.5", "limit"),
        ("limit=", "limit"),
        ("all=maybe", "all"),
        ("key=laptop", "key"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_question_that_cannot_be_meant_is_400_by_name(tmp_path, query, param):
    async def play(house: House) -> None:
        answer = await house.unix("GET", f"/api/usage?{query}")
        assert (answer.status, answer.error["param"]) == (400, param)

    with_rows(tmp_path, play)


def test_numbers_beyond_their_range_are_brought_back(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("GET", "/api/usage?hours=99999999&limit=0")
        assert answer.status == 200
        assert len(answer.json["recent"]) == 1

    with_rows(tmp_path, play)
