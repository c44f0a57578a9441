"""The log through the back door: the last lines, those that come, and a follower that is slow."""

import asyncio
import logging

import msgspec
import pytest

from ocpd.admin import logs
from ocpd.admin.logs import FOLLOWERS, QUEUED, Follower
from tests.unit.admin.stage import House, open_house
from tests.unit.http.stage import breathe, run

_log = logging.getLogger("ocpd.test")


@pytest.fixture(autouse=True)
def loud():
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(before)


def in_house(tmp_path, play, **options):
    async def main() -> None:
        async with open_house(tmp_path, **options) as house:
            logging.getLogger().addHandler(house.ring)
            try:
                await play(house)
            finally:
                logging.getLogger().removeHandler(house.ring)

    run(main())


class Reader:
    """A client that follows."""

    def __init__(self, house: House, query: str = "") -> None:
        self._house = house
        self._query = query

    async def __aenter__(self) -> "Reader":
        self.stream, self._writer = await asyncio.open_unix_connection(str(self._house.socket))
        target = f"/logs?follow=1{self._query}"
        self._writer.write(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        self.head = await self.stream.readuntil(b": follow\n\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def next_line(self) -> dict[str, str]:
        await self.stream.readuntil(b"data: ")
        return msgspec.json.decode(await self.stream.readuntil(b"\n\n"), type=dict[str, str])


def test_the_last_lines_are_texts_filtered_by_level(tmp_path):
    async def play(house: House) -> None:
        _log.debug("small", extra={"count": 3, "is_so": True, "nothing": None})
        _log.warning("middling")
        _log.critical("large")
        told = (await house.unix("GET", "/logs?n=3")).json
        assert (told["count"], told["level"]) == (3, "all")
        first = told["entries"][0]
        assert (first["event"], first["count"], first["is_so"]) == ("small", "3", "true")
        assert "nothing" not in first
        assert [line["level"] for line in told["entries"]] == ["debug", "warn", "error"]
        errors = (await house.unix("GET", "/logs?level=error")).json
        assert [line["event"] for line in errors["entries"]] == ["large"]
        assert (await house.unix("GET", "/logs?n=0")).json["entries"] == []

    in_house(tmp_path, play)


def test_a_level_nobody_knows_is_400(tmp_path):
    async def play(house: House) -> None:
        answer = await house.unix("GET", "/logs?level=loud")
        assert (answer.status, answer.error["param"]) == (400, "level")

    in_house(tmp_path, play)


def test_a_follower_gets_the_old_lines_then_the_new_ones_and_an_end(tmp_path):
    async def play(house: House) -> None:
        _log.warning("before")
        async with Reader(house, "&n=1&level=warn") as reader:
            assert b"text/event-stream" in reader.head
            assert (await reader.next_line())["event"] == "before"
            _log.info("not wanted")
            await asyncio.to_thread(_log.warning, "from a thread")
            assert (await reader.next_line())["event"] == "from a thread"
            house.logs.close()
            assert await reader.stream.readuntil(b"0\r\n\r\n")
        # Whoever comes while it stops would hold it up.
        assert (await house.unix("GET", "/logs?follow=1")).status >= 429

    in_house(tmp_path, play)


def test_a_follower_that_leaves_is_forgotten(tmp_path):
    async def play(house: House) -> None:
        before = list(logging.getLogger().handlers)
        async with Reader(house, "&n=0"):
            assert len(logging.getLogger().handlers) == len(before) + 1
        while logging.getLogger().handlers != before:
            _log.warning("one more line, to notice it")
            await breathe()

    in_house(tmp_path, play)


def test_there_are_only_so_many_followers(tmp_path):
    async def play(house: House) -> None:
        async with asyncio.TaskGroup() as group:
            readers = [Reader(house, "&n=0") for _ in range(FOLLOWERS)]
            for reader in readers:
                group.create_task(reader.__aenter__())
        answer = await house.unix("GET", "/logs?follow=1")
        assert answer.error["code"] == "too_many_followers"
        assert (await house.unix("GET", "/logs")).status == 200
        for reader in readers:
            await reader.__aexit__()

    in_house(tmp_path, play)


def test_a_slow_follower_loses_lines_and_is_told_how_many():
    async def main() -> None:
        follower = Follower("all")
        for number in range(QUEUED + 7):
            follower.handle(logging.makeLogRecord({"msg": f"line_{number}"}))
        lines = await follower.take()
        assert lines is not None
        assert len(lines) == QUEUED + 1
        assert (lines[-1]["event"], lines[-1]["count"]) == ("log_lines_dropped", "7")
        follower.end()
        assert await follower.take() is None
        follower.close()

    run(main())


def test_silence_is_broken_by_a_beat(monkeypatch):
    monkeypatch.setattr(logs, "BEAT_S", 0.01)

    async def main() -> None:
        follower = Follower("all")
        assert await follower.take() == []
        follower.close()

    run(main())
