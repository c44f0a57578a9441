"""The login through the back door: a token goes in and never out, an admin key goes out once."""

import pytest

from tests.kit.fake_script import make_fake_cli
from tests.unit.admin.stage import House, open_house
from tests.unit.http.stage import run

TOKEN = "sk-ant-oat01-0123456789abcdef"


def in_house(tmp_path, play, **options):
    async def main() -> None:
        async with open_house(tmp_path, **options) as house:
            await play(house)

    run(main())


def test_a_token_is_stored_used_and_never_told(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("POST", "/admin/auth/token", {"token": f" {TOKEN}\n"})
        assert answer.json == {"stored": True}
        assert (house.safe.token, house.renewals) == (TOKEN, 1)
        told = await house.unix("GET", "/admin/auth")
        assert (told.json["token_stored"], told.json["method"]) == (True, "token")
        entries = await house.store.audit.tail(10)
        for text in (told.body.decode(), *(entry.detail for entry in entries)):
            assert TOKEN not in text
        assert (await house.unix("DELETE", "/admin/auth/token")).json == {"removed": True}
        assert (await house.unix("DELETE", "/admin/auth/token")).json == {"removed": False}
        # Nothing was there to forget: no process is replaced for that.
        assert house.renewals == 2
        assert await house.actions() == ["auth.token.store", *["auth.token.remove"] * 2]

    in_house(tmp_path, play)


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 4097, "two words are no token", "tökentökentökentöken", "a\0" * 20]
)
def test_what_is_no_token_is_refused_without_repeating_it(tmp_path, token):
    async def play(house: House) -> None:
        answer = await house.unix("POST", "/admin/auth/token", {"token": token})
        assert (answer.status, answer.error["param"]) == (400, "token")
        assert not token or token not in answer.error["message"]
        assert (house.safe.token, house.renewals) == (None, 0)

    in_house(tmp_path, play)


def test_an_admin_key_is_made_once_and_rotated_when_asked(tmp_path):
    async def play(house: House) -> None:
        keys = house.store.keys
        first = await house.unix("POST", "/admin/auth/admin-key")
        assert first.status == 201
        key = first.json["key"]
        assert keys.is_admin(key)
        again = await house.unix("POST", "/admin/auth/admin-key", {"rotate": False})
        assert (again.status, again.error["code"]) == (409, "admin_key_exists")
        assert keys.is_admin(key)
        new = (await house.unix("POST", "/admin/auth/admin-key", {"rotate": True})).json["key"]
        assert keys.is_admin(new)
        assert not keys.is_admin(key)
        details = [entry.detail for entry in await house.store.audit.tail(10)]
        assert details == ["made", "rotated"]

    in_house(tmp_path, play)


def test_the_cli_and_whose_it_is_are_told(tmp_path):
    cli = make_fake_cli(tmp_path / "bin")

    async def play(house: House) -> None:
        told = (await house.unix("GET", "/admin/auth")).json
        assert (told["binary"], told["version"]) == (str(cli), "2.1.330")
        assert (told["home"], told["config_dir"]) == ("/u", "/u/.c")
        assert (told["signed_in"], told["admin_key_set"]) == (None, False)

    environ = {"HOME": "/u", "CLAUDE_CONFIG_DIR": "/u/.c"}
    in_house(tmp_path, play, claude=str(cli), environ=environ)


def test_a_refresh_renews_and_is_written_down(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("POST", "/admin/auth/refresh")
        assert answer.json.keys() >= {"signed_in", "message", "binary"}
        assert house.renewals == 1
        assert await house.actions() == ["auth.refresh"]

    in_house(tmp_path, play)
