"""What the tests of the store share: a clock, a loop to run in, rows, a way to hold the writer.

What may live here: stand-ins and drivers; no assertion about the room itself.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from ocpd.store.store import Store
from ocpd.store.sums import UsageRow
from ocpd.turn.request import TurnId

T = TypeVar("T")

NOON = 1_700_049_600.0
"""2023-11-15 12:00:00 UTC."""

DAY_S = 86_400.0
LONG_S = 20.0
BUSY_S = 0.2


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a loop like the daemon's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(main, LONG_S))


class Clock:
    """A wall clock that stands until it is moved."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def open_store(directory: Path, clock: Clock | None = None) -> Store:
    """A store that gives up on locks soon; to be entered."""
    return Store(directory, clock=clock or Clock(), busy_s=BUSY_S)


def make_row(**fields: Any) -> UsageRow:
    """A usage row of somebody without a key, but for ``fields``."""
    plain: dict[str, Any] = {
        "at": NOON,
        "turn_id": TurnId("0" * 32),
        "key_id": None,
        "key_name": "local",
        "model": "claude-opus-9",
        "asked_model": "opus",
        "dialect": "openai_chat",
        "input_tokens": 10,
        "output_tokens": 5,
        "cached_tokens": 2,
        "reasoning_tokens": 1,
        "cost_usd": 0.25,
        "first_ms": 50,
        "total_ms": 100,
        "queued_ms": 3,
        "status": "finished",
        "http_status": 200,
        "prompt_chars": 40,
        "response_chars": 20,
        "stream": False,
    }
    return UsageRow(**plain | fields)


def query(directory: Path, statement: str) -> list[tuple[Any, ...]]:
    """Ask the closed database of ``directory`` directly."""
    connection = sqlite3.connect(directory / "ocpd.db")
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


@asynccontextmanager
async def held(store: Store) -> AsyncIterator[None]:
    """Keep the writer's thread from doing anything while the block runs."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(_connection: sqlite3.Connection) -> None:
        entered.set()
        assert go_on.wait(LONG_S)

    holding = asyncio.get_running_loop().create_task(store._db.write(wait))
    try:
        assert await asyncio.to_thread(entered.wait, LONG_S)
        yield
    finally:
        go_on.set()
        await holding
