"""The audit: no change without its line, no line without a change, no secret in it."""

import asyncio
import os

import pytest

from ocpd.admin.access import Actor, Via
from ocpd.admin.audit import Journal
from ocpd.errors import BadRequest, Overloaded
from ocpd.store.records import digest_of
from tests.unit.admin.stage import ADMIN_KEY, House, open_house
from tests.unit.http.stage import breathe, run
from tests.unit.store.stage import open_store

ACTOR = Actor(Via.UNIX, 4711, "somebody")


class Book:
    """An audit log that is a list; ``is_full`` lets it refuse."""

    def __init__(self) -> None:
        self.entries = []
        self.is_full = False

    async def write(self, entry) -> None:
        if self.is_full:
            raise Overloaded("the disk is full", status=503, code="store_unavailable")
        self.entries.append(entry)


async def _one() -> int:
    return 1


async def _refuse() -> int:
    raise BadRequest("no")


def test_a_change_is_written_down_with_who_and_how():
    async def main():
        book = Book()
        assert await Journal(book).carry_out(ACTOR, "do", _one(), lambda n: f"{n} done") == 1
        (entry,) = book.entries
        assert (entry.uid, entry.via, entry.actor) == (4711, "unix", "somebody")
        assert (entry.action, entry.detail) == ("do", "1 done")

    run(main())


def test_what_was_refused_is_not_written_down():
    async def main():
        book = Book()
        with pytest.raises(BadRequest):
            await Journal(book).carry_out(ACTOR, "do", _refuse(), str)
        assert book.entries == []

    run(main())


def test_a_change_stands_though_it_cannot_be_written_down(caplog):
    caplog.set_level("INFO")

    async def main():
        book = Book()
        book.is_full = True
        assert await Journal(book).carry_out(ACTOR, "do", _one(), str) == 1

    run(main())
    assert {"admin_change", "audit_not_written"} <= {r.getMessage() for r in caplog.records}


def test_a_caller_who_leaves_stops_neither_the_change_nor_its_line():
    async def main():
        book, gate = Book(), asyncio.Event()

        async def change() -> int:
            await gate.wait()
            return 1

        asking = asyncio.get_running_loop().create_task(
            Journal(book).carry_out(ACTOR, "do", change(), str)
        )
        await breathe()
        asking.cancel()
        await breathe()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert len(book.entries) == 1

    run(main())


def test_the_newest_are_shown_oldest_of_them_first(tmp_path):
    async def main():
        async with open_house(tmp_path) as house:
            await play(house)

    async def play(house: House) -> None:
        await house.store.keys.set_admin_key(digest_of(ADMIN_KEY))
        for name in ("a", "b", "c"):
            await house.unix("POST", "/api/keys", {"name": name})
        await house.admin("DELETE", "/api/keys/c")
        told = (await house.unix("GET", "/admin/audit?n=2")).json["entries"]
        assert [entry["action"] for entry in told] == ["keys.add", "keys.revoke"]
        assert [entry["uid"] for entry in told] == [os.geteuid(), None]
        assert [entry["via"] for entry in told] == ["unix", "admin-key"]
        assert told[0]["at"].endswith("Z")

    run(main())


def test_the_book_survives_a_restart(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            await Journal(store.audit).note(ACTOR, "do", "it")
        async with open_store(tmp_path) as store:
            assert [entry.detail for entry in await store.audit.tail(10)] == ["it"]

    run(main())
