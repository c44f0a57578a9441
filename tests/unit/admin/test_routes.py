"""The table: every route has its access, on both sockets alike, and refuses in one shape."""

import pytest

from ocpd.admin.access import Access
from ocpd.admin.routes import list_rows
from tests.unit.admin.stage import House, open_house
from tests.unit.http.stage import run


def in_house(tmp_path, play, **options):
    async def main() -> None:
        async with open_house(tmp_path, **options) as house:
            await play(house)

    run(main())


def test_whatever_changes_something_is_write_and_so_is_a_backup(tmp_path):
    async def play(house: House) -> None:
        for row in list_rows(house.desks()):
            is_change = row.method != "GET" or row.path == "/admin/backup"
            assert (row.access is Access.WRITE) == is_change, row.path

    in_house(tmp_path, play)


def test_every_route_is_refused_before_anything_is_read(tmp_path):
    async def play(house: House) -> None:
        for row in list_rows(house.desks()):
            path = row.path.replace("{ref}", "1").replace("{key}", "port")
            answer = await house.tcp(row.method, f"{path}?nonsense=1", b"{")
            assert answer.status == 401, (row.method, path, answer)
            assert answer.error["code"] == "admin_key_required"
            assert "www-authenticate" in answer.headers
            assert answer.headers["cache-control"] == "no-store"
        assert await house.actions() == []

    in_house(tmp_path, play, policy={"loopback_admin": "off"})


def test_every_route_answers_both_sockets(tmp_path):
    async def play(house: House) -> None:
        for row in list_rows(house.desks()):
            if row.access is Access.READ:
                path = row.path.replace("{ref}", "1").replace("{key}", "port")
                over_unix = await house.unix("GET", path)
                assert over_unix.status == (await house.tcp("GET", path)).status
                assert over_unix.status in (200, 404)

    in_house(tmp_path, play)


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_only_an_unknown_key_is_the_bare_text_of_old(tmp_path, method):
    async def play(house: House) -> None:
        await house.store.keys.add("laptop")
        unknown = await house.unix(method, "/api/keys/nobody/quota", {"daily": 1})
        assert unknown.json == {"error": "Key not found"}
        other = await house.unix(method, "/api/keys/laptop/quota?x=1", {"daily": 1})
        assert other.error["param"] == "x"

    in_house(tmp_path, play)
