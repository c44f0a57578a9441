"""The store as a whole through the back door: out as bytes, in as bytes, or not at all."""

import asyncio
import base64

from ocpd.admin.backup import PIECE
from ocpd.store.records import Wanted
from tests.unit.admin.stage import House, open_house
from tests.unit.http.stage import run
from tests.unit.store.test_ocp_import import Ocp


def in_house(tmp_path, play, **options):
    async def main() -> None:
        async with open_house(tmp_path, **options) as house:
            await play(house)

    run(main())


def test_a_backup_is_a_database_that_nobody_may_keep(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("GET", "/admin/backup")
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.body.startswith(b"SQLite format 3\0")
        assert await house.actions() == ["store.backup"]

    in_house(tmp_path, play)


def test_a_backup_longer_than_a_piece_comes_whole_and_can_be_put_back(tmp_path):
    async def play(house: House) -> None:
        adding = (house.store.keys.add(f"key {n}", Wanted(note="n" * 500)) for n in range(600))
        await asyncio.gather(*adding)
        data = (await house.unix("GET", "/admin/backup")).body
        assert len(data) > PIECE
        await house.store.keys.add("later")
        answer = await house.unix("POST", "/admin/restore", data)
        assert answer.json == {"keys": 600, "usage": 0, "settings": 0}
        assert house.store.keys.get("later") is None

    in_house(tmp_path, play)


def test_restored_settings_are_applied_or_left_alone(tmp_path):
    async def play(house: House) -> None:
        await house.unix("PATCH", "/settings", {"spares": 2, "maxSpares": 4})
        data = (await house.unix("GET", "/admin/backup")).body
        await house.unix("PATCH", "/settings", {"spares": 1, "maxSpares": 4})
        assert (await house.unix("POST", "/admin/restore", data)).json["settings"] == 2
        assert house.applied[-1].spares == 2
        # They go with nothing that the file says now: what held goes on to hold.
        await house.unix("PATCH", "/settings", {"spares": None, "maxSpares": None})
        house.file["maxSpares"] = 1
        house.file["spares"] = 1
        assert (await house.unix("POST", "/admin/reload")).status == 200
        assert (await house.unix("POST", "/admin/restore", data)).status == 200
        assert house.desk.settings.spares == 2

    in_house(tmp_path, play)


def test_what_is_no_backup_is_400_and_not_written_down(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("POST", "/admin/restore", b"no database")
        assert (answer.status, answer.error["code"]) == (400, "not_a_backup")
        assert await house.actions() == []

    in_house(tmp_path, play)


def test_an_import_takes_base64_and_a_dry_run_is_not_written_down(tmp_path):
    ocp = Ocp(tmp_path / "theirs")
    ocp.add_key("laptop")
    ocp.connection.close()
    body = {"db": base64.b64encode(ocp.path.read_bytes()).decode(), "wal": None}

    async def play(house: House) -> None:
        tried = await house.unix("POST", "/admin/import-ocp", body | {"dry_run": True})
        assert tried.json["dry_run"] is True
        assert [key["state"] for key in tried.json["keys"]] == ["new"]
        assert house.store.keys.get("laptop") is None
        assert await house.actions() == []
        done = await house.unix("POST", "/admin/import-ocp", body)
        assert done.status == 200
        assert house.store.keys.get("laptop") is not None
        assert await house.actions() == ["store.import-ocp"]

    in_house(tmp_path, play)


def test_an_import_that_is_no_base64_or_no_database_is_400(tmp_path):
    async def play(house: House) -> None:
        for body, param in (({"db": "%%"}, "db"), ({}, "db"), ({"db": "", "nope": 1}, "nope")):
            answer = await house.unix("POST", "/admin/import-ocp", body)
            assert (answer.status, answer.error["param"]) == (400, param)
        answer = await house.unix("POST", "/admin/import-ocp", {"db": "bm90IGl0"})
        assert (answer.status, answer.error["code"]) == (400, "not_an_ocp_database")

    in_house(tmp_path, play)
