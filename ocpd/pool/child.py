"""One process of the CLI: pipes with back-pressure, its session, its exit.

What may live here: carrying bytes between the process and its ``Session``, and signals. When to
do what is decided elsewhere.

Back-pressure is one chain: who reads ``batches`` slowly fills the inbox, a full inbox pauses the
child's stdout pipe, and the CLI waits.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from ocpd.aio import steady_clock
from ocpd.claude.claim import Sheet
from ocpd.claude.lifecycle import State
from ocpd.claude.session import Session
from ocpd.errors import Upstream
from ocpd.sched.staffing import ChildId
from ocpd.turn.events import Event
from ocpd.turn.request import Turn

_log = logging.getLogger("ocpd.pool")

INBOX_HIGH = 256
STDERR_TAIL_BYTES = 4096
STDOUT, STDERR = 1, 2

ORPHAN_PIPE_S = 0.5
"""How long the exit and the end of stdout may lie apart: a grandchild may hold the pipe open, and
a broken CLI may close it and live on."""


class Spec(msgspec.Struct, frozen=True):
    """How to start a child: everything but the model is the same for all."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    model: str
    sign_in: str


class Child(asyncio.SubprocessProtocol):
    """A running process. Made by ``spawn``; ended by ``pool.reaper`` and nobody else."""

    def __init__(self, child_id: ChildId, spec: Spec, on_change: Callable[["Child"], None]) -> None:
        self.id = child_id
        self.model = spec.model
        self.session = Session(spec.model, spec.sign_in)
        self.spawned_at = steady_clock()
        self.exited = asyncio.Event()
        self._on_change = on_change
        self._transport: asyncio.SubprocessTransport | None = None
        self._inbox: list[Event] = []
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._paused = False
        self._killed = False
        self._dropped = False
        self._asked = False
        self._stdout_open = True
        self._stderr = b""

    def __repr__(self) -> str:
        return f"Child({self.id}, {self.model}, {self.session.state.name})"

    @classmethod
    async def spawn(
        cls, child_id: ChildId, spec: Spec, on_change: Callable[["Child"], None]
    ) -> "Child":
        """Start a process and leave it parked. Raises OSError if it cannot be started.

        ``on_change`` is called when the child has sent its request upstream and when it exits.
        """
        child = cls(child_id, spec, on_change)
        await asyncio.get_running_loop().subprocess_exec(
            lambda: child,
            *spec.argv,
            env=dict(spec.environment) | {"PWD": str(spec.directory)},
            cwd=str(spec.directory),
            # A group of its own, so that a kill reaches what the CLI itself starts.
            start_new_session=True,
        )
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return 0 if self._transport is None else self._transport.get_pid()

    @property
    def stderr_tail(self) -> str:
        """The end of what it wrote to stderr."""
        return self._stderr.decode("utf-8", "replace").strip()

    def claim(self, turn: Turn, sheet: Sheet) -> None:
        """Give it ``turn``; then read ``batches``."""
        self.session.claim(turn, sheet)
        self._flush()

    def interrupt(self) -> None:
        """Drop its turn: no further event is delivered. ``wait_settled`` returns when it has."""
        self._dropped = True
        self._inbox.clear()
        self._resume()
        self.session.interrupt()
        self._flush()
        self._note_settled()

    def time_out(self, error: Upstream) -> None:
        """End its turn with ``error`` as the last event."""
        self._deliver(self.session.time_out(error))

    async def next_batch(self) -> list[Event]:
        """Wait for events and return all there are.

        The last batch of a turn holds ``Finished`` or ``Failed``. Cancelling loses no event.
        """
        while not self._inbox:
            self._wake.clear()
            await self._wake.wait()
        return self.take_nowait()

    def take_nowait(self) -> list[Event]:
        """Return the events that are there, perhaps none."""
        batch, self._inbox = self._inbox, []
        self._resume()
        return batch

    async def wait_settled(self) -> None:
        """Wait until it has nothing more to say about its turn."""
        await self._settled.wait()

    def close_stdin(self) -> None:
        """Tell an idle child to end by itself; it does within about 20 ms."""
        self.session.stop()
        with contextlib.suppress(RuntimeError):
            if (pipe := self._stdin()) is not None:
                pipe.close()

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and all it started."""
        if self.session.state is State.GONE:
            return
        if number is signal.SIGKILL:
            self._killed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Read what the child wrote."""
        if fd != STDOUT:
            self._stderr = (self._stderr + data)[-STDERR_TAIL_BYTES:]
            return
        events = self.session.receive(data)
        if self.session.must_kill and not self._killed:
            # Before anything else: the CLI is about to send a request nobody asked for.
            self.session.stop()
            self.signal_group(signal.SIGKILL)
        self._flush()
        self._deliver(events)
        self._note_settled()
        if self.session.asked_upstream and not self._asked:
            self._asked = True
            self._on_change(self)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Notice the end of stdout."""
        if fd == STDOUT:
            self._stdout_open = False
            if self._transport is not None and self._transport.get_returncode() is not None:
                self._gone()
            else:
                asyncio.get_running_loop().call_later(ORPHAN_PIPE_S, self._kill_mute)

    def process_exited(self) -> None:
        """Notice the exit; what it wrote before may still be in the pipe."""
        if not self._stdout_open:
            self._gone()
        else:
            asyncio.get_running_loop().call_later(ORPHAN_PIPE_S, self._gone)

    def _kill_mute(self) -> None:
        if self.session.state is not State.GONE:
            self.signal_group(signal.SIGKILL)

    def _gone(self) -> None:
        if self.exited.is_set():
            return
        status = None if self._transport is None else self._transport.get_returncode()
        events = self.session.eof(status)
        self.exited.set()
        self._deliver(events)
        self._note_settled()
        if self._transport is not None:
            self._transport.close()
        _log.debug(
            "child_exited",
            extra={"child": self.id, "status": status, "stderr": self.stderr_tail[-500:]},
        )
        self._on_change(self)

    def _deliver(self, events: list[Event]) -> None:
        if not events or self._dropped:
            return
        self._inbox += events
        self._wake.set()
        if len(self._inbox) > INBOX_HIGH and not self._paused and self._stdout_open:
            self._paused = True
            self._pipe(STDOUT).pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._stdout_open:
                self._pipe(STDOUT).resume_reading()

    def _note_settled(self) -> None:
        if self.session.is_settled:
            self._settled.set()

    def _flush(self) -> None:
        data = self.session.data_to_send()
        pipe = self._stdin()
        # A dead child's pipe takes nothing; its exit says the rest.
        if data and pipe is not None and not pipe.is_closing():
            pipe.write(data)

    def _stdin(self) -> asyncio.WriteTransport | None:
        if self._transport is None:
            return None
        return cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(0))

    def _pipe(self, fd: int) -> asyncio.ReadTransport:
        if self._transport is None:
            raise RuntimeError("the child has no pipes")
        return cast("asyncio.ReadTransport", self._transport.get_pipe_transport(fd))
