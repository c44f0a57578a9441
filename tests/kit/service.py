"""The scripted API inside an event loop: choosing replies and playing them on connections.

What may live here: what runs on the loop's thread. A connection is driven by callbacks alone; it
makes no task, so nothing has to be cancelled. Threads and processes around it are in ``upstream``.
"""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import assert_never

import h11
import msgspec

from tests.kit.checks import OUTPUT_LIMITS, refusal_for
from tests.kit.frames import Drop, Facts, Head, Pause, Send, Silence, Step, steps_for
from tests.kit.journal import Journal, Received
from tests.kit.script import Brain, Fail, PlanHeaders, Reply, Say

MAX_BODY_BYTES = 32 << 20
_FLUSH_BYTES = 64 << 10
_PROBE_REPLY = Say("H", stop_reason="max_tokens")


class Service:
    """The replies to give and the connections they are given on."""

    def __init__(self, default: Reply | Brain, journal: Journal) -> None:
        self.journal = journal
        self.default = default
        self.queue: deque[Reply | Brain] = deque()
        self.plan: PlanHeaders | None = None
        self.limits: Mapping[str, int] = OUTPUT_LIMITS
        self.strict_sampling = False
        self.connections: set[Connection] = set()
        self._count = 0

    def steps(self, request: Received) -> Iterator[Step]:
        """Write ``request`` down and choose what is played to it."""
        self._count += 1
        path = request.target.partition("?")[0]
        stray = (request.method, path) != ("POST", "/v1/messages")
        reply = Fail(404, message=f"not found: {path}") if stray else self._reply(request)
        self.journal.add(request, stray=stray)
        facts = Facts(
            model=str(request.body.get("model", "")),
            number=self._count,
            input_tokens=len(request.raw) // 4,
            headers=self.plan.headers() if self.plan else {},
        )
        steps = steps_for(reply, facts, stream=request.body.get("stream") is True)
        if request.method == "HEAD":
            return (step for step in steps if not isinstance(step, Send))
        return steps

    def _reply(self, request: Received) -> Reply:
        if not request.body:
            request.refusal = "the body is not a JSON object"
            return Fail(400, message=request.refusal)
        refusal = refusal_for(
            request.body,
            request.headers,
            limits=self.limits,
            strict_sampling=self.strict_sampling,
        )
        if refusal is not None:
            request.refusal = refusal.message
            return Fail(refusal.status, refusal.type, refusal.message)
        if request.probe:
            return _PROBE_REPLY
        chosen = self.queue.popleft() if self.queue else self.default
        return chosen(request) if callable(chosen) else chosen

    def release(self) -> None:
        """Let every silent connection go on."""
        for connection in tuple(self.connections):
            connection.release()

    def close(self) -> None:
        """End every connection at once."""
        for connection in tuple(self.connections):
            connection.close()


class Connection(asyncio.Protocol):
    """One client connection: parses requests one after the other and plays the answers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        # Per connection
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 17)
        self._transport: asyncio.Transport | None = None
        self._can_write = True
        # Per request
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._current: Received | None = None
        self._steps: Iterator[Step] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._silent = False
        self._outbox = bytearray()

    # What the transport calls...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._service.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse; a complete request starts its answer."""
        self._http.receive_data(data)
        self._parse()

    def eof_received(self) -> bool:
        """A client that stops sending has left: none of ours half-closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note when the client left in the middle of an answer."""
        self._service.connections.discard(self)
        self._stop(gone_at=time.monotonic())
        self._transport = None

    def pause_writing(self) -> None:
        """The client reads slowly: stop making bytes."""
        self._can_write = False

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._can_write = True
        if self._timer is None and not self._silent:
            self._advance()

    # What the service calls...

    def release(self) -> None:
        """Go on if silent."""
        if self._silent:
            self._silent = False
            self._advance()

    def close(self) -> None:
        """End now, whatever is being said."""
        if self._transport is not None:
            self._stop(cut=True)
            self._transport.abort()

    # A request comes in...

    def _parse(self) -> None:
        try:
            while self._steps is None:
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    self._maybe_continue()
                    return
                if isinstance(event, h11.ConnectionClosed):
                    self._hang_up()
                    return
                self._take(event)
        except h11.RemoteProtocolError:
            self._hang_up()

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._head = event
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > MAX_BODY_BYTES:
                self._hang_up()
        elif isinstance(event, h11.EndOfMessage):
            self._answer()

    def _maybe_continue(self) -> None:
        if self._http.they_are_waiting_for_100_continue and self._transport is not None:
            more = h11.InformationalResponse(status_code=100, headers=[])
            self._transport.write(self._http.send(more) or b"")

    def _answer(self) -> None:
        assert self._head is not None
        raw = bytes(self._body)
        try:
            body = msgspec.json.decode(raw) if raw else None
        except msgspec.DecodeError:
            body = None
        self._current = Received(
            (self._head.method + b" " + self._head.target).decode("ascii"),
            {name.decode(): value.decode("latin-1") for name, value in self._head.headers},
            raw=raw,
            body=body,
            at=time.monotonic(),
        )
        self._head = None
        self._body.clear()
        self._steps = self._service.steps(self._current)
        self._advance()

    # ... and its answer goes out.

    def _advance(self) -> None:
        self._timer = None
        while self._steps is not None and self._can_write and not self._is_leaving:
            step = next(self._steps, None)
            match step:
                case None:
                    self._finish()
                case Head():
                    self._put(h11.Response(status_code=step.status, headers=_raw(step.headers)))
                case Send():
                    self._put(h11.Data(step.data))
                case Pause():
                    self._flush()
                    self._timer = self._loop.call_later(step.seconds, self._advance)
                    return
                case Silence():
                    self._flush()
                    self._silent = True
                    return
                case Drop():
                    self._drop(step)
                    return
                case _:
                    assert_never(step)

    @property
    def _is_leaving(self) -> bool:
        """Whether a write found nobody: the loop will say so in a moment."""
        return self._transport is None or self._transport.is_closing()

    def _put(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self._outbox += self._http.send(event) or b""
        if len(self._outbox) >= _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._outbox and self._transport is not None:
            self._transport.write(bytes(self._outbox))
            self._outbox.clear()

    def _finish(self) -> None:
        self._put(h11.EndOfMessage())
        self._flush()
        self._stop(answered=True)
        if self._http.our_state is h11.MUST_CLOSE:
            self._hang_up()
            return
        self._http.start_next_cycle()
        # A pipelined request may be waiting; not from here, or a long row of them would nest.
        self._loop.call_soon(self._parse)

    def _drop(self, step: Drop) -> None:
        self._flush()
        self._stop(cut=True)
        if self._transport is None:
            return
        if step.how == "fin":
            self._transport.close()
            return
        found = self._transport.get_extra_info("socket")
        # Lingering for no time is what turns a close into a reset.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _stop(
        self, *, answered: bool = False, cut: bool = False, gone_at: float | None = None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._silent = False
        self._steps = None
        if self._current is not None:
            current, self._current = self._current, None
            self._service.journal.close(current, answered=answered, cut=cut, gone_at=gone_at)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _raw(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return list(headers.items())
