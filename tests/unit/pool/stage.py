"""What the tests of the pool share: processes to start, and a probe that finds what it is told.

What may live here: builders and waits. What is expected stands in the tests.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ocpd.claude.argv import Lane, build_argv, build_environment
from ocpd.claude.limits import Sheet
from ocpd.pool.child import Child, Spec
from ocpd.pool.fleet import PoolLimits
from ocpd.pool.home import empty_directory
from ocpd.pool.pool import Pool
from ocpd.pool.probe import Probe
from ocpd.pool.reaper import Patience
from ocpd.sched.affinity import Wanted
from ocpd.sched.seating import Room
from ocpd.sched.staffing import ChildId, SpareLimits
from ocpd.turn.events import Event, Failed, Finished, TextDelta
from tests.kit.fake_script import FakeScript, FakeTurn, make_fake_cli
from tests.unit.claude.stage import MODEL, SIGN_IN, ask

SHORT = Patience(interrupt_s=0.3, close_s=0.3, term_s=0.3)
"""Rungs that a test can wait out."""

LONG = Patience(interrupt_s=20, close_s=20, term_s=20)
"""Rungs that no test must reach the end of."""


def ignore(child: Child) -> None:
    """Hear of a change and do nothing."""


def environment_of(folder: Path) -> dict[str, str]:
    """What a child is given."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return build_environment(environ, lane=Lane(), version="0", cli_max_retries=0)


def spec_of(cli: Path, folder: Path, environment: Mapping[str, str] | None = None) -> Spec:
    """How to start ``cli``."""
    return Spec(
        argv=build_argv(str(cli), MODEL),
        environment=environment or environment_of(folder),
        directory=empty_directory(folder / "state"),
        model=MODEL,
        sign_in=SIGN_IN,
    )


async def spawn(
    folder: Path,
    script: FakeScript | FakeTurn | tuple[FakeTurn, ...] = (),
    on_change: Callable[[Child], None] = ignore,
) -> Child:
    """Start a fake that plays ``script``."""
    cli = make_fake_cli(folder / "bin", script)
    return await Child.spawn(ChildId(1), spec_of(cli, folder), on_change)


async def hear_out(child: Child) -> list[Event]:
    """Give the child a turn and read it to its end."""
    child.claim(ask(), Sheet())
    return await hear_rest(child)


async def hear_rest(child: Child) -> list[Event]:
    """Read the child's turn to its end."""
    events: list[Event] = []
    while not any(isinstance(event, Finished | Failed) for event in events):
        events += await child.next_batch()
    return events


async def lease_child(pool: Pool, model: str, *, is_listed: bool) -> Child:
    """A process for a conversation that nobody has begun."""
    wanted = Wanted(model, key=model.encode(), chain=(b"", b"new"))
    return (await pool.lease(wanted, is_listed=is_listed)).child


def text_of(events: list[Event]) -> str:
    """What was said."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def make_pool(
    folder: Path,
    script: FakeScript | FakeTurn | tuple[FakeTurn, ...] = (),
    *,
    spares: int = 0,
    most: int = 4,
    idle_s: float = 3600,
    rest_s: float = 3600,
    processes: int = 16,
    patience: Patience = LONG,
) -> Pool:
    """A pool of fakes that play ``script``; enter it."""
    make_fake_cli(folder / "bin", script)
    environ = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)}
    environment = environment_of(folder)
    limits = PoolLimits(
        SpareLimits(per_model=spares, most=most, memory_mb=10_000, idle_s=idle_s),
        Room(processes, 100_000),
        rest_s=rest_s,
    )
    probe = Probe("", environ, environment)
    return Pool(probe, environment, folder / "state", limits, patience)


async def until(is_so: Callable[[], bool], within_s: float = 10.0) -> None:
    """Let the loop run until ``is_so``."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await _tick()


async def _tick() -> None:
    ticked = asyncio.Event()
    asyncio.get_running_loop().call_later(0.005, ticked.set)
    await ticked.wait()
