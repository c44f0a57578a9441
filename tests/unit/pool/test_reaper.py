"""Promise: whatever a child does, it is gone when its ladder is climbed, and no harder means than
needed was used."""

import asyncio
import signal
from pathlib import Path

import pytest

from ocpd.claude.limits import Sheet
from ocpd.pool.child import Child
from ocpd.pool.reaper import Patience, retire, settle
from tests.kit.fake_script import FakeScript, Silent
from tests.kit.leaks import is_alive
from tests.unit.claude.stage import ask
from tests.unit.http.stage import run
from tests.unit.pool.stage import LONG, SHORT, hear_out, spawn, until


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[signal.Signals]:
    """The signals that children are sent."""
    sent: list[signal.Signals] = []
    plain = Child.signal_group

    def note(self: Child, number: signal.Signals) -> None:
        sent.append(number)
        plain(self, number)

    monkeypatch.setattr(Child, "signal_group", note)
    return sent


def test_an_idle_child_ends_without_a_signal(tmp_path: Path, signals: list[signal.Signals]) -> None:
    async def main() -> None:
        child = await spawn(tmp_path)
        await retire(child, LONG)
        assert not is_alive(child.pid)
        assert signals == []

    run(main())


def test_a_child_that_lingers_is_asked_to_end(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, FakeScript(lingers_at_eof=True))
        await hear_out(child)
        await retire(child, Patience(close_s=0.1, term_s=20))
        assert not is_alive(child.pid)
        assert signals == [signal.SIGTERM]

    run(main())


def test_a_child_that_ignores_that_is_killed(tmp_path: Path, signals: list[signal.Signals]) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, FakeScript(ignores_sigterm=True, lingers_at_eof=True))
        await hear_out(child)
        await retire(child, SHORT)
        assert not is_alive(child.pid)
        assert signals == [signal.SIGTERM, signal.SIGKILL]

    run(main())


def test_a_reaper_that_is_cancelled_kills_before_it_goes(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, FakeScript(ignores_sigterm=True, lingers_at_eof=True))
        await hear_out(child)
        reaping = asyncio.get_running_loop().create_task(retire(child, LONG))
        await until(lambda: child.session.state.name == "STOPPING")
        reaping.cancel()
        await asyncio.wait([reaping])
        assert reaping.cancelled()
        await child.ended.wait()
        assert not is_alive(child.pid)

    run(main())


def test_a_child_that_is_gone_already_is_no_work(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, FakeScript(on_start="exit"))
        await child.ended.wait()
        await retire(child, LONG)
        await retire(child, LONG)
        assert signals == []

    run(main())


def test_settling_waits_for_the_word_of_the_child(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, Silent(after=1))
        child.claim(ask(), Sheet())
        await child.next_batch()
        child.interrupt()
        assert await settle(child, LONG)
        await retire(child, LONG)

    run(main())


def test_settling_gives_up_on_a_child_that_does_not_hear(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, Silent(after=1, deaf=True))
        child.claim(ask(), Sheet())
        await child.next_batch()
        child.interrupt()
        assert not await settle(child, SHORT)
        await retire(child, SHORT)
        assert not is_alive(child.pid)

    run(main())
