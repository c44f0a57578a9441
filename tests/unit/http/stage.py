"""What the tests of the http room share: loops, a transport made of lists, a client on a socket.

What may live here: stand-ins and drivers; no assertion about the room itself.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import h11
import uvloop

from ocpd.aio import Nursery
from ocpd.http.answer import Letterhead
from ocpd.http.connection import Connection
from ocpd.http.exchange import Exchange, Handler
from ocpd.http.farewell import Farewell
from ocpd.http.flow import Alarm
from ocpd.http.identity import Identity
from ocpd.http.listener import Server
from ocpd.http.message import Response, json_response
from ocpd.http.service import Limits, Service

T = TypeVar("T")

LOOPS: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (
    uvloop.new_event_loop,
    asyncio.new_event_loop,
)
LONG_S = 20.0
"""Longer than any test may take: a limit that must not fire."""

SHORT_S = 0.05
"""A limit that must fire."""

GET = b"GET /x HTTP/1.1\r\nhost: here\r\n\r\n"


def run(
    main: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
    *,
    debug: bool = True,
) -> T:
    """Run ``main`` with a deadline; fail if it leaves a task behind."""

    async def bounded() -> T:
        async with asyncio.timeout(LONG_S):
            result = await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
        return runner.run(bounded())


async def breathe() -> None:
    """Let everything run that is ready to run."""
    loop = asyncio.get_running_loop()
    for _ in range(5):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


def make_limits(header_s: float = LONG_S, body_s: float = LONG_S, idle_s: float = LONG_S) -> Limits:
    """Limits that do not fire unless a test makes them short."""
    return Limits(header_s, body_s, idle_s, max_body_bytes=1_000_000)


async def hello(exchange: Exchange) -> None:
    """Answer anything with its path; the body is not read."""
    await exchange.respond(Response(200, (), exchange.request.path.encode()))


async def echo(exchange: Exchange) -> None:
    """Answer with the body."""
    body = await exchange.read_body(1_000_000)
    await exchange.respond(json_response(200, body))


class FakeTimer:
    def __init__(self, at: float, ring) -> None:
        self.at = at
        self.ring = ring
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeLoop:
    """A loop that is nothing but a clock and its timers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, ring) -> FakeTimer:
        self.timers.append(FakeTimer(self.now + delay_s, ring))
        return self.timers[-1]

    def advance(self, by_s: float) -> None:
        self.now += by_s
        for timer in [t for t in self.timers if t.at <= self.now and not t.is_cancelled]:
            self.timers.remove(timer)
            timer.ring()


class FakeTransport(asyncio.Transport):
    """A transport whose other end is the test."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.written = bytearray()
        self.writes = 0
        self.is_reading_on = True
        self.is_shut = False
        self.was_aborted = False
        self.buffered = 0
        self.closed = asyncio.Event()
        self.is_lost = False
        self.protocol: asyncio.BaseProtocol | None = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered, unless ``buffered`` says so."""

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_shut
        self.written += data
        self.writes += 1

    def write_eof(self) -> None:
        self.is_shut = True

    def pause_reading(self) -> None:
        self.is_reading_on = False

    def resume_reading(self) -> None:
        self.is_reading_on = True

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def close(self) -> None:
        self.closed.set()
        if not self.buffered:
            asyncio.get_running_loop().call_soon(self.lose)

    def abort(self) -> None:
        self.was_aborted = True
        self.closed.set()
        asyncio.get_running_loop().call_soon(self.lose)

    def lose(self) -> None:
        """Report the end to the protocol, once."""
        self.closed.set()
        if not self.is_lost and isinstance(self.protocol, asyncio.Protocol):
            self.is_lost = True
            self.protocol.connection_lost(None)


class Stage:
    """A connection between a fake transport and a handler; its time is ``loop``'s."""

    def __init__(
        self, handler: Handler, limits: Limits | None = None, *, is_draining: bool = False
    ) -> None:
        self.nursery = Nursery("test")
        self.service = Service(handler, limits or make_limits(), Letterhead(), self.nursery)
        self.service.is_draining = is_draining
        self.transport = FakeTransport()
        self.connection = Connection(self.service)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)
        self.connection._alarm.close()
        self.loop = FakeLoop()
        alarm = self.connection._alarm = Alarm(self.loop)
        self.connection._farewell = Farewell(self.transport, self.connection._flow, alarm)
        alarm.set(self.service.limits.header_timeout_s, self.connection._give_up_head)

    async def __aenter__(self) -> "Stage":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.lose()
        await self.nursery.cancel_all()

    def feed(self, data: bytes) -> None:
        """Let ``data`` arrive, unless the connection takes no more."""
        if data and self.transport.is_reading_on and not self.transport.is_closing():
            self.connection.data_received(data)

    def lose(self) -> None:
        """Let the transport report its end."""
        self.transport.lose()

    async def settle(self) -> bytes:
        """Wait until no handler runs; return all that was sent so far."""
        await self.nursery.wait_idle()
        return bytes(self.transport.written)


class Answer:
    """One answer as a client sees it."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.headers} {self.body!r}>"


class Client:
    """A raw client: what it sends is up to the test; what it reads, h11 takes apart."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.informed: list[int] = []
        self._h11 = h11.Connection(h11.CLIENT)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_answer(self, method: str = "GET") -> Answer:
        """Read one answer to a request with ``method``. Raises h11.RemoteProtocolError if it
        is cut off."""
        if self._h11.our_state is not h11.IDLE:
            self._h11.start_next_cycle()
        head = h11.Request(method=method, target="/", headers=[("host", "here")])
        self._h11.send(head)
        self._h11.send(h11.EndOfMessage())
        status, headers, body = 0, {}, bytearray()
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(await self.reader.read(65_536))
            elif isinstance(event, h11.InformationalResponse):
                self.informed.append(event.status_code)
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {n.decode(): v.decode() for n, v in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                assert isinstance(event, h11.EndOfMessage), event
                return Answer(status, headers, bytes(body))

    async def read_end(self) -> bytes:
        """Read to the end of the connection; a reset is an end, too."""
        received = bytearray()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await self.reader.read(65_536):
                received += data
        return bytes(received)

    async def leave(self) -> None:
        """Close the connection."""
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    limits: Limits | None = None,
    extra_headers: tuple[tuple[str, str], ...] = (),
    identity: Identity | None = None,
) -> AsyncIterator[tuple[Server, int]]:
    """A server on a free loopback port."""
    async with Server(handler, limits or make_limits(), extra_headers) as server:
        server.identity = identity
        ((_, port),) = await server.listen(["127.0.0.1"], 0)
        yield server, port
    assert server.statistics().connections == 0
    assert server.statistics().exchanges == 0


@contextlib.asynccontextmanager
async def calling(port: int, trusting: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A client on ``port``, over TLS if it is to trust somebody."""
    client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=trusting))
    try:
        yield client
    finally:
        await client.leave()
