"""Promise: a key that ends ends what it began, nothing else, and leaves nothing behind."""

import asyncio
import math

import pytest

from ocpd.aio import Nursery
from ocpd.api.presence import KeyEnded, Presence
from ocpd.http.message import Headers, Request
from ocpd.turn.caller import Caller, Kind
from tests.unit.http.stage import run

REQUEST = Request("POST", "/x", "/x", "", Headers(), "1.1", "127.0.0.1")


def holder(key_id: int) -> Caller:
    return Caller(f"key {key_id}", key_id, kind=Kind.KEY)


SHARED = Caller("shared", key_stamp="abc", kind=Kind.SHARED)
NOBODY = Caller("local")


class Stage:
    """Keys by the time they have left; a caller who is not in it has no end."""

    def __init__(self) -> None:
        self.left: dict[str, float] = {}
        self.ends_running = True
        self.presence = Presence(
            lambda _, caller: self.left.get(caller.name, math.inf), lambda: self.ends_running
        )
        self.log: list[str] = []

    async def stay(self, caller: Caller, entered: asyncio.Event) -> None:
        try:
            async with self.presence.enter(REQUEST, caller):
                entered.set()
                await asyncio.Event().wait()
        except KeyEnded as error:
            self.log.append(f"{caller.name} {error.status} {error.code} {error.kind}")
        except asyncio.CancelledError:
            self.log.append(f"{caller.name} cancelled")
            raise

    async def play(self, nursery: Nursery, *callers: Caller) -> list[asyncio.Task[None]]:
        tasks = []
        for caller in callers:
            entered = asyncio.Event()
            tasks.append(nursery.spawn(self.stay(caller, entered), caller.name))
            await entered.wait()
        return tasks


def test_every_answer_of_the_key_ends_and_no_other() -> None:
    async def main() -> None:
        stage = Stage()
        async with Nursery("test") as nursery:
            tasks = await stage.play(nursery, holder(1), holder(1), holder(2), NOBODY)
            stage.left["key 1"] = 0.0
            stage.presence.review(2)
            stage.presence.review(7)
            assert repr(stage.presence) == "Presence(3)"
            stage.presence.review(1)
            # Once more, before they have noticed.
            stage.presence.review()
            await asyncio.wait(tasks[:2])
            assert stage.log == ["key 1 401 key_revoked auth_error"] * 2
        assert sorted(stage.log[2:]) == ["key 2 cancelled", "local cancelled"]
        assert repr(stage.presence) == "Presence(0)"

    run(main())


def test_a_key_without_a_number_can_be_taken_away_too() -> None:
    async def main() -> None:
        stage = Stage()
        async with Nursery("test") as nursery:
            (task,) = await stage.play(nursery, SHARED)
            stage.left["shared"] = 0.0
            stage.presence.review()
            await asyncio.wait([task])
        assert stage.log == ["shared 401 key_revoked auth_error"]

    run(main())


def test_a_key_that_runs_out_ends_its_answers_by_itself() -> None:
    async def main() -> None:
        stage = Stage()
        stage.left["key 1"] = 0.02
        async with Nursery("test") as nursery:
            (task,) = await stage.play(nursery, holder(1))
            stage.left["key 1"] = 0.0
            await asyncio.wait([task])
        assert stage.log == ["key 1 401 key_revoked auth_error"]

    run(main())


def test_a_key_that_is_given_more_time_goes_on() -> None:
    async def main() -> None:
        stage = Stage()
        stage.left["key 1"] = 0.01
        async with Nursery("test") as nursery:
            tasks = await stage.play(nursery, holder(1), holder(2))
            del stage.left["key 1"]
            stage.presence.review(1)
            # As long as the first one had, and more.
            stage.left["key 2"] = 0.05
            stage.presence.review(2)
            stage.left["key 2"] = 0.0
            await asyncio.wait(tasks[1:])
            assert not tasks[0].done()
        assert stage.log == ["key 2 401 key_revoked auth_error", "key 1 cancelled"]

    run(main())


def test_the_setting_can_let_them_go_on_and_think_again() -> None:
    async def main() -> None:
        stage = Stage()
        stage.ends_running = False
        async with Nursery("test") as nursery:
            (task,) = await stage.play(nursery, holder(1))
            stage.left["key 1"] = 0.0
            stage.presence.review(1)
            assert repr(stage.presence) == "Presence(1)"
            stage.ends_running = True
            stage.presence.review()
            await asyncio.wait([task])
        assert stage.log == ["key 1 401 key_revoked auth_error"]

    run(main())


def test_who_comes_with_a_key_that_has_just_ended_is_not_answered() -> None:
    async def main() -> None:
        stage = Stage()
        stage.left["key 1"] = 0.0
        with pytest.raises(KeyEnded):
            async with stage.presence.enter(REQUEST, holder(1)):
                await asyncio.Event().wait()
        assert repr(stage.presence) == "Presence(0)"

    run(main())


def test_what_times_out_within_is_no_revocation() -> None:
    async def main() -> None:
        stage = Stage()
        with pytest.raises(TimeoutError):
            async with stage.presence.enter(REQUEST, holder(1)):
                raise TimeoutError
        async with stage.presence.enter(REQUEST, holder(1)):
            pass
        assert repr(stage.presence) == "Presence(0)"
        stage.presence.review(1)

    run(main())
