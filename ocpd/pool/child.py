"""One process of the CLI: pipes with back-pressure, its session, its exit.

What may live here: carrying bytes between the process and its ``Session``, and signals. When to
do what is decided elsewhere.

Back-pressure is one chain: who reads ``batches`` slowly fills the inbox, a full inbox pauses the
child's stdout pipe, and the CLI waits.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from ocpd.aio import steady_clock
from ocpd.claude.lifecycle import State
from ocpd.claude.limits import Sheet
from ocpd.claude.session import Session
from ocpd.claude.wire import RateLimitInfo
from ocpd.errors import Died, OcpdError, Upstream
from ocpd.pool.process import Process
from ocpd.sched.staffing import ChildId
from ocpd.turn.events import Event, Failed, Usage
from ocpd.turn.request import Turn

_log = logging.getLogger("ocpd.pool")

INBOX_HIGH = 256
STDERR_TAIL_BYTES = 4096

ORPHAN_PIPE_S = 0.5
"""How long the exit and the end of stdout may lie apart: a grandchild may hold the pipe open, and
a broken CLI may close it and live on."""


def ignore_limit(_: RateLimitInfo) -> None:
    """Nobody wants to know what it says of the plan."""


class Spec(msgspec.Struct, frozen=True):
    """How to start a child: everything but the model is the same for all."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    model: str
    sign_in: str


class Child:
    """A running process. Made by ``spawn``; ended by ``pool.reaper`` and nobody else.

    ``on_limit`` hears at once what it says of the plan; whoever leases it may listen.
    """

    def __init__(self, child_id: ChildId, spec: Spec, on_change: Callable[["Child"], None]) -> None:
        self.id = child_id
        self.model = spec.model
        self.session = Session(spec.model, spec.sign_in)
        self.ended = asyncio.Event()
        self.on_limit: Callable[[RateLimitInfo], None] = ignore_limit
        self._heard_at = 0.0
        self._on_change = on_change
        self._process: Process | None = None
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
        environment = dict(spec.environment) | {"PWD": str(spec.directory)}
        child._process = await Process.start(spec.argv, environment, spec.directory, child)
        return child

    @property
    def pid(self) -> int:
        """The process id; 0 while it is being started."""
        return 0 if self._process is None else self._process.pid

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended."""
        return self.ended.is_set()

    def silence_s(self) -> float:
        """For how long nothing was heard of its turn, in seconds. None of it is silence while the
        caller takes nothing, or tools of this machine are at work."""
        if self._inbox or self.session.is_at_tools:
            self._note_life()
        return steady_clock() - self._heard_at

    @property
    def heard(self) -> tuple[Usage, int]:
        """What its turn has used by the upstream's counts so far, and the characters that came of
        the answer, told or not."""
        return self.session.heard

    @property
    def stderr_tail(self) -> str:
        """The end of what it wrote to stderr."""
        return self._stderr.decode("utf-8", "replace").strip()

    def claim(self, turn: Turn, sheet: Sheet) -> None:
        """Give the parked child ``turn``; then read ``next_batch``. One that has just died fails
        the turn."""
        if self.is_gone:
            self._deliver([Failed(Died("the Claude CLI ended before it was asked"))])
            return
        self.session.claim(turn, sheet)
        self._note_life()
        self._flush()

    def resume(self, turn: Turn, sheet: Sheet, keep: int) -> None:
        """Give the resting child ``turn``, of which it has ``keep`` messages; otherwise as
        ``claim``."""
        self._begin()
        if self.is_gone:
            self._deliver([Failed(Died("the Claude CLI ended before it was asked"))])
            return
        self.session.resume(turn, sheet, keep)
        self._flush()

    def rewind(self, keep: int) -> None:
        """Let the resting child take back what it has beyond ``keep`` messages; ``wait_settled``
        returns when it has."""
        self._begin()
        self._dropped = True
        if not self.is_gone:
            self.session.rewind(keep)
            self._flush()
        self._note_settled()

    def consult(self, subtype: str) -> None:
        """Ask it something that is no turn; ``session.consulted`` is there when it has settled."""
        self.session.consult(subtype)
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

    def fail(self, error: OcpdError) -> None:
        """End its turn with ``error`` as the last event, whatever the CLI is at."""
        self._deliver(self.session.give_up(error))

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
        self._flush()
        if self._process is not None:
            self._process.close_stdin()

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and all it started."""
        self._killed = self._killed or number is signal.SIGKILL
        if self._process is not None:
            self._process.signal_group(number)

    # What the process calls.

    def stdout_received(self, data: bytes) -> None:
        """Read what the child wrote."""
        before, limit_before = self.session.pulse, self.session.limit
        events = self.session.receive(data)
        if self.session.pulse != before:
            self._note_life()
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
        if self.session.limit is not None and self.session.limit is not limit_before:
            self.on_limit(self.session.limit)

    def stderr_received(self, data: bytes) -> None:
        """Keep the end of what the child complains about."""
        self._stderr = (self._stderr + data)[-STDERR_TAIL_BYTES:]

    def stdout_ended(self) -> None:
        """Notice the end of stdout."""
        self._stdout_open = False
        if self._process is not None and self._process.status is not None:
            self._gone()
        else:
            asyncio.get_running_loop().call_later(ORPHAN_PIPE_S, self._kill_mute)

    def exited(self, status: int) -> None:
        """Notice the exit; what it wrote before may still be in the pipe."""
        if not self._stdout_open:
            self._gone()
        else:
            asyncio.get_running_loop().call_later(ORPHAN_PIPE_S, self._gone)

    def _kill_mute(self) -> None:
        if self.session.state is not State.GONE:
            self.signal_group(signal.SIGKILL)

    def _gone(self) -> None:
        if self.is_gone:
            return
        status = None if self._process is None else self._process.status
        events = self.session.eof(status)
        self.ended.set()
        self._deliver(events)
        self._note_settled()
        if self._process is not None:
            self._process.close()
        _log.debug(
            "child_exited",
            extra={"child": self.id, "status": status, "stderr": self.stderr_tail[-500:]},
        )
        self._on_change(self)

    def _begin(self) -> None:
        """Forget the last turn."""
        self._dropped = False
        self._inbox.clear()
        self._settled.clear()
        self._resume()
        self._note_life()

    def _deliver(self, events: list[Event]) -> None:
        if not events or self._dropped:
            return
        self._inbox += events
        self._wake.set()
        if len(self._inbox) > INBOX_HIGH and not self._paused:
            self._paused = True
            if self._process is not None:
                self._process.pause_stdout()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            # What it said meanwhile is on its way.
            self._note_life()
            if self._process is not None:
                self._process.resume_stdout()

    def _note_life(self) -> None:
        self._heard_at = steady_clock()

    def _note_settled(self) -> None:
        if self.session.is_settled:
            self._settled.set()

    def _flush(self) -> None:
        data = self.session.data_to_send()
        if data and self._process is not None:
            self._process.write(data)
