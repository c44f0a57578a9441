"""Where the daemon is, from its start to its end.

What may live here: the states, their moves, and what the outside may ask of a daemon that runs.
"""

import asyncio
import contextlib
import enum
import logging
from collections.abc import Awaitable, Callable

import msgspec

from ocpd.api.health import Report
from ocpd.dispatch.hall import Hall
from ocpd.http.listener import Server
from ocpd.settings.values import Settings

_log = logging.getLogger("ocpd.daemon")


class State(enum.Enum):
    """Where the daemon is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


MOVES: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.READY, State.STOPPED}),
    State.READY: frozenset({State.DRAINING, State.STOPPED}),
    State.DRAINING: frozenset({State.STOPPED}),
    State.STOPPED: frozenset(),
}


class Handles(msgspec.Struct, frozen=True):
    """What a daemon is held by. ``addresses`` is where it listens on TCP, ``urls`` the same
    for clients, ``socket`` the path of its Unix socket; ``reload`` reads its files again;
    ``end_followers`` ends answers without end."""

    settings: Callable[[], Settings]
    addresses: Callable[[], tuple[tuple[str, int], ...]]
    urls: Callable[[], tuple[str, ...]]
    socket: str
    server: Server
    hall: Hall
    report: Callable[[], Report]
    reload: Callable[[], Awaitable[None]]
    end_followers: Callable[[], None]


class Daemon:
    """A running ocpd. Made by ``house.open_daemon``; ``drain`` before leaving its block, if turns
    may finish."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self.state = State.STARTING

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on, the first ones of all."""
        return self._handles.addresses()[0]

    @property
    def url(self) -> str:
        """The same for a client."""
        return self.urls[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it listens on TCP, for clients."""
        return self._handles.urls()

    @property
    def socket(self) -> str:
        """The path of its Unix socket."""
        return self._handles.socket

    def report(self) -> Report:
        """What /health says."""
        return self._handles.report()

    async def reload(self) -> None:
        """Read the config file and the models table again. What does not fit changes nothing and
        is logged. If cancelled, a change that was begun is still made."""
        await self._handles.reload()

    async def drain(self) -> bool:
        """Take no new work and wait for the running turns; False when ``drainTimeout`` cut it.

        If cancelled, the turns that still run are cut by leaving the block.
        """
        self.move(State.DRAINING)
        handles = self._handles
        handles.server.stop_accepting()
        handles.end_followers()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(handles.settings().drain_timeout_ms / 1000):
                await handles.server.wait_idle()
                await handles.hall.wait_idle()
                return True
        return False

    def move(self, state: State) -> None:
        """Go to ``state``; raises ValueError for a move the table does not have."""
        if state not in MOVES[self.state]:
            raise ValueError(f"the daemon cannot go from {self.state.name} to {state.name}")
        self.state = state
        _log.info("daemon_%s", state.value)
