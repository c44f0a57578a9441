"""Promise: a revoked key ends what it began, nothing else, and leaves nothing behind."""

import asyncio

import pytest

from ocpd.aio import Nursery
from ocpd.api.presence import KeyEnded, Presence
from tests.unit.http.stage import run


async def stay(presence: Presence, key_id: int | None, entered: asyncio.Event, log: list[str]):
    try:
        async with presence.enter(key_id):
            entered.set()
            await asyncio.Event().wait()
    except KeyEnded as error:
        log.append(f"{key_id} {error.status} {error.code} {error.kind}")
    except asyncio.CancelledError:
        log.append(f"{key_id} cancelled")
        raise


async def play(
    nursery: Nursery, presence: Presence, *keys: int | None
) -> tuple[list[str], list[asyncio.Task[None]]]:
    """What becomes of answers to the holders of ``keys``, and their tasks."""
    log: list[str] = []
    tasks = []
    for key_id in keys:
        entered = asyncio.Event()
        tasks.append(nursery.spawn(stay(presence, key_id, entered, log), f"{key_id}"))
        await entered.wait()
    return log, tasks


def test_every_answer_of_the_key_ends_and_no_other() -> None:
    async def main() -> None:
        presence = Presence(lambda: True)
        async with Nursery("test") as nursery:
            log, tasks = await play(nursery, presence, 1, 1, 2, None)
            presence.revoked(1)
            presence.revoked(7)
            await asyncio.wait(tasks[:2])
            assert log == ["1 401 key_revoked auth_error"] * 2
        assert sorted(log[2:]) == ["2 cancelled", "None cancelled"]
        assert repr(presence) == "Presence(0)"

    run(main())


def test_the_setting_can_let_them_go_on() -> None:
    async def main() -> None:
        presence = Presence(lambda: False)
        async with Nursery("test") as nursery:
            log, _ = await play(nursery, presence, 1)
            presence.revoked(1)
            assert repr(presence) == "Presence(1)"
        assert log == ["1 cancelled"]

    run(main())


def test_what_times_out_within_is_no_revocation() -> None:
    async def main() -> None:
        presence = Presence(lambda: True)
        with pytest.raises(TimeoutError):
            async with presence.enter(1):
                raise TimeoutError
        async with presence.enter(1):
            pass
        assert repr(presence) == "Presence(0)"
        presence.revoked(1)

    run(main())
