"""Keys through the back door: made, shown, changed, rotated, revoked; secrets once."""

import re

import pytest

from tests.unit.admin.stage import House, open_house
from tests.unit.http.stage import run

MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def in_house(tmp_path, play, **options):
    async def main() -> None:
        async with open_house(tmp_path, **options) as house:
            await play(house)

    run(main())


def test_a_key_is_made_with_its_secret_once_and_listed_without_it(tmp_path):
    async def play(house: House) -> None:
        made = await house.unix("POST", "/api/keys", {"name": "laptop", "note": "mine"})
        assert made.status == 201
        assert set(made.json) == {"id", "key", "name"}
        secret = made.json["key"]
        assert re.fullmatch(r"ocp_[A-Za-z0-9_-]{32}", secret)
        assert house.store.keys.find(secret).name == "laptop"

        listed = await house.unix("GET", "/api/keys")
        (key,) = listed.json["keys"]
        assert secret.encode() not in listed.body
        assert key["keyPreview"] == f"{secret[:8]}...{secret[-4:]}"
        assert MOMENT.fullmatch(key["created_at"])
        assert (key["name"], key["revoked"], key["revoked_at"]) == ("laptop", 0, None)
        assert (key["models"], key["note"], key["role"]) == (None, "mine", "user")
        assert [key[f"quota_{period}"] for period in ("daily", "weekly", "monthly")] == [None] * 3

    in_house(tmp_path, play)


@pytest.mark.parametrize("body", [None, {}, b"  ", {"name": None}])
def test_a_key_without_a_name_gets_one(tmp_path, body):
    async def play(house: House) -> None:
        made = await house.unix("POST", "/api/keys", body)
        assert made.status == 201
        assert re.fullmatch(r"key-\d{13}", made.json["name"])

    in_house(tmp_path, play)


def test_the_newest_key_comes_first_and_a_revoked_one_stays(tmp_path):
    async def play(house: House) -> None:
        for name in ("one", "two", "three"):
            await house.unix("POST", "/api/keys", {"name": name})
        gone = await house.unix("DELETE", "/api/keys/two")
        assert gone.json == {"revoked": True, "idOrName": "two"}
        keys = (await house.unix("GET", "/api/keys")).json["keys"]
        assert [(key["name"], key["revoked"]) for key in keys] == [
            ("three", 0),
            ("two", 1),
            ("one", 0),
        ]
        assert MOMENT.fullmatch(keys[1]["revoked_at"])

    in_house(tmp_path, play)


def test_a_key_is_meant_by_its_id_or_by_its_name(tmp_path):
    async def play(house: House) -> None:
        made = await house.unix("POST", "/api/keys", {"name": "my laptop"})
        by_name = await house.unix("GET", "/api/keys/my%20laptop")
        by_id = await house.unix("GET", f"/api/keys/{made.json['id']}")
        assert by_name.status == by_id.status == 200
        assert by_name.json == by_id.json

    in_house(tmp_path, play)


def test_a_key_that_is_not_there_is_404(tmp_path):
    async def play(house: House) -> None:
        for method, path in (
            ("GET", "/api/keys/nobody"),
            ("PATCH", "/api/keys/nobody"),
            ("POST", "/api/keys/nobody/rotate"),
            ("GET", "/api/keys/99999999999999999999"),
        ):
            answer = await house.unix(method, path)
            assert answer.status == 404, path
            assert answer.error["code"] == "key_not_found"

    in_house(tmp_path, play)


@pytest.mark.parametrize("ref", ["nobody", "17", "ocp_x"])
def test_revoking_what_is_not_there_is_200_as_ever(tmp_path, ref):
    async def play(house: House) -> None:
        answer = await house.unix("DELETE", f"/api/keys/{ref}")
        assert (answer.status, answer.json) == (200, {"revoked": False, "idOrName": ref})
        assert await house.actions() == []

    in_house(tmp_path, play)


def test_a_second_revocation_says_so(tmp_path):
    async def play(house: House) -> None:
        await house.unix("POST", "/api/keys", {"name": "one"})
        assert (await house.unix("DELETE", "/api/keys/one")).json["revoked"] is True
        assert (await house.unix("DELETE", "/api/keys/one")).json["revoked"] is False

    in_house(tmp_path, play)


def test_rotating_gives_a_new_secret_and_ends_the_old_one(tmp_path):
    async def play(house: House) -> None:
        made = (await house.unix("POST", "/api/keys", {"name": "one"})).json
        again = await house.unix("POST", "/api/keys/one/rotate")
        assert again.status == 200
        assert (again.json["id"], again.json["name"]) == (made["id"], "one")
        assert house.store.keys.find(made["key"]) is None
        assert house.store.keys.find(again.json["key"]).id == made["id"]

    in_house(tmp_path, play)


def test_a_change_touches_what_is_sent_and_nothing_else(tmp_path):
    async def play(house: House) -> None:
        await house.unix("POST", "/api/keys", {"name": "one", "note": "a", "models": ["opus"]})
        changed = await house.unix(
            "PATCH", "/api/keys/one", {"name": "uno", "expires_at": "2126-11-21T11:00:00Z"}
        )
        assert changed.status == 200
        key = changed.json
        assert (key["name"], key["note"]) == ("uno", "a")
        assert key["models"] == ["claude-opus-5"]
        assert key["expires_at"] == "2126-11-21 11:00:00"
        cleared = await house.unix(
            "PATCH", "/api/keys/uno", {"expires_at": None, "models": None, "note": ""}
        )
        assert (cleared.json["expires_at"], cleared.json["models"]) == (None, None)

    in_house(tmp_path, play)


def test_a_key_may_be_kept_to_some_servers(tmp_path):
    async def play(house: House) -> None:
        await house.unix("POST", "/api/keys", {"name": "one"})
        await house.unix("POST", "/api/keys", {"name": "two", "mcp_servers": ["web", "files"]})
        await house.unix("POST", "/api/keys", {"name": "three", "mcp_servers": []})
        told = [(await house.unix("GET", f"/api/keys/{key}")).json for key in ("one", "two", "3")]
        assert [key["mcp_servers"] for key in told] == [None, ["files", "web"], []]
        changed = await house.unix("PATCH", "/api/keys/one", {"mcp_servers": ["web"]})
        assert changed.json["mcp_servers"] == ["web"]
        kept = await house.unix("PATCH", "/api/keys/one", {"note": "x"})
        assert kept.json["mcp_servers"] == ["web"]
        freed = await house.unix("PATCH", "/api/keys/one", {"mcp_servers": None})
        assert freed.json["mcp_servers"] is None

    in_house(tmp_path, play)


def test_a_key_stands_where_it_is_told_to(tmp_path):
    async def play(house: House) -> None:
        await house.unix("POST", "/api/keys", {"name": "one"})
        await house.unix("POST", "/api/keys", {"name": "two", "role": "batch", "weight": 3})
        told = [(await house.unix("GET", f"/api/keys/{key}")).json for key in ("one", "two")]
        found = [(key["role"], key["weight"]) for key in told]
        assert found == [("user", None), ("batch", 3)]
        changed = await house.unix("PATCH", "/api/keys/one", {"role": "owner", "weight": 100})
        assert (changed.json["role"], changed.json["weight"]) == ("owner", 100)
        kept = await house.unix("PATCH", "/api/keys/one", {"note": "x"})
        assert (kept.json["role"], kept.json["weight"]) == ("owner", 100)
        freed = await house.unix("PATCH", "/api/keys/one", {"weight": None})
        assert freed.json["weight"] is None

    in_house(tmp_path, play)


def test_a_key_may_have_tools_of_its_own(tmp_path):
    async def play(house: House) -> None:
        await house.unix("POST", "/api/keys", {"name": "one"})
        await house.unix("POST", "/api/keys", {"name": "two", "allowed_tools": ["Read", "Bash"]})
        await house.unix("POST", "/api/keys", {"name": "three", "allowed_tools": []})
        told = [(await house.unix("GET", f"/api/keys/{key}")).json for key in ("one", "two", "3")]
        assert [key["allowed_tools"] for key in told] == [None, ["Bash", "Read"], []]
        changed = await house.unix("PATCH", "/api/keys/one", {"allowed_tools": ["Read"]})
        assert changed.json["allowed_tools"] == ["Read"]
        kept = await house.unix("PATCH", "/api/keys/one", {"mcp_servers": []})
        assert kept.json["allowed_tools"] == ["Read"]
        freed = await house.unix("PATCH", "/api/keys/one", {"allowed_tools": None})
        assert freed.json["allowed_tools"] is None

    in_house(tmp_path, play)


def test_a_key_may_expire_in_days(tmp_path):
    async def play(house: House) -> None:
        await house.unix("POST", "/api/keys", {"name": "one", "expires_in_days": 30})
        record = house.store.keys.get("one")
        assert 29.9 < (record.expires_at - record.created_at) / 86_400 < 30.1

    in_house(tmp_path, play)


BAD_BODIES = [
    (b"null", None),
    (b"[]", None),
    (b'"x"', None),
    (b"5", None),
    (b"{", None),
    (b'{"name": "\xff"}', None),
    ({"nome": "x"}, "nome"),
    ({"name": 5}, "name"),
    ({"name": "a/b"}, "name"),
    ({"name": ""}, "name"),
    ({"name": "17"}, "name"),
    ({"name": "admin"}, "name"),
    ({"name": "x" * 65}, "name"),
    ({"note": None}, "note"),
    ({"note": "x" * 501}, "note"),
    ({"models": "opus"}, "models"),
    ({"models": ["gpt-4"]}, "models"),
    ({"models": []}, "models"),
    ({"mcp_servers": "files"}, "mcp_servers"),
    ({"mcp_servers": ["a b"]}, "mcp_servers"),
    ({"mcp_servers": ["x" * 200]}, "mcp_servers"),
    ({"allowed_tools": "Read"}, "allowed_tools"),
    ({"allowed_tools": ["mcp__files__read"]}, "allowed_tools"),
    ({"allowed_tools": ["X" * 200]}, "allowed_tools"),
    ({"expires_at": "tomorrow"}, "expires_at"),
    ({"expires_at": "2001-01-01"}, "expires_at"),
    ({"expires_in_days": 0}, "expires_in_days"),
    ({"expires_in_days": -1}, "expires_in_days"),
    ({"expires_in_days": 1.5}, "expires_in_days"),
    ({"expires_in_days": 10**30}, "expires_in_days"),
    ({"expires_in_days": "7"}, "expires_in_days"),
    ({"expires_in_days": 7, "expires_at": "2126-01-01"}, "expires_in_days"),
    ({"role": "king"}, "role"),
    ({"role": None}, "role"),
    ({"weight": 0}, "weight"),
    ({"weight": 101}, "weight"),
    ({"weight": 1.5}, "weight"),
    ({"weight": "3"}, "weight"),
]


def test_what_cannot_be_meant_is_400_and_names_the_field(tmp_path):
    async def play(house: House) -> None:
        for body, param in BAD_BODIES:
            answer = await house.unix("POST", "/api/keys", body)
            assert (answer.status, answer.error["param"]) == (400, param), body
            assert answer.error["type"] == "invalid_request_error"
        assert house.store.keys.list() == ()
        assert await house.actions() == []

    in_house(tmp_path, play)


def test_a_name_that_is_taken_is_409(tmp_path):
    async def play(house: House) -> None:
        await house.unix("POST", "/api/keys", {"name": "one"})
        again = await house.unix("POST", "/api/keys", {"name": "ONE"})
        assert (again.status, again.error["code"]) == (409, "name_taken")
        await house.unix("POST", "/api/keys", {"name": "two"})
        renamed = await house.unix("PATCH", "/api/keys/two", {"name": "one"})
        assert (renamed.status, renamed.error["param"]) == (409, "name")

    in_house(tmp_path, play)


def test_a_revoked_key_cannot_be_changed_or_rotated(tmp_path):
    async def play(house: House) -> None:
        await house.unix("POST", "/api/keys", {"name": "one"})
        await house.unix("DELETE", "/api/keys/one")
        for method, path in (("PATCH", "/api/keys/one"), ("POST", "/api/keys/one/rotate")):
            answer = await house.unix(method, path)
            assert (answer.status, answer.error["code"]) == (409, "key_revoked")

    in_house(tmp_path, play)


def test_every_change_is_written_down_without_a_secret(tmp_path):
    async def play(house: House) -> None:
        made = (await house.unix("POST", "/api/keys", {"name": "one"})).json
        await house.unix("PATCH", "/api/keys/one", {"note": "x"})
        rotated = (await house.unix("POST", "/api/keys/one/rotate")).json
        await house.unix("DELETE", "/api/keys/one")
        assert await house.actions() == ["keys.add", "keys.change", "keys.rotate", "keys.revoke"]
        for entry in await house.store.audit.tail(10):
            assert "one (#1)" in entry.detail
            assert made["key"] not in entry.detail
            assert rotated["key"] not in entry.detail

    in_house(tmp_path, play)
