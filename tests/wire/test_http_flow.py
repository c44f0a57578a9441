"""Promise: a slow client slows its own handler down, and memory stays bounded either way."""

import asyncio
import socket

import pytest

from ocpd.http.connection import AHEAD_HIGH
from tests.unit.http.stage import (
    GET,
    LOOPS,
    SHORT_S,
    breathe,
    calling,
    hello,
    make_limits,
    run,
    serving,
)

CHUNK = b"x" * 50_000
KERNEL_BYTES = 32 * 1_048_576
"""More than two socket buffers on loopback ever hold."""

READ_BYTES = 262_144
"""What both loops take from a socket at once."""


class Flood:
    """A handler that streams without end and counts what it got rid of."""

    def __init__(self, chunks: int = 1_000_000) -> None:
        self.chunks = chunks
        self.sent = 0
        self.cancelled = asyncio.Event()

    async def __call__(self, exchange) -> None:
        await exchange.start(200, ())
        try:
            for _ in range(self.chunks):
                await exchange.write(CHUNK)
                self.sent += 1
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await exchange.finish()


async def stand_still(flood: Flood) -> int:
    """Wait until the flood makes no progress any more; return how far it came."""
    before = -1
    while flood.sent != before or not flood.sent:
        before = flood.sent
        for _ in range(20):
            await breathe()
    return flood.sent


def slow_socket(port: int) -> socket.socket:
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    raw.connect(("127.0.0.1", port))
    return raw


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_client_that_reads_nothing_stops_the_writer_until_it_reads(loop_factory):
    async def main():
        flood = Flood(chunks=1000)
        async with serving(flood) as (_, port):
            with slow_socket(port) as raw:
                raw.sendall(GET)
                stopped_at = await stand_still(flood)
                assert stopped_at * len(CHUNK) < KERNEL_BYTES
                raw.setblocking(False)
                received = bytearray()
                while not received.endswith(b"0\r\n\r\n"):
                    loop = asyncio.get_running_loop()
                    received += await loop.sock_recv(raw, 1_048_576)
                assert flood.sent == 1000
                assert received.count(b"x") == 1000 * len(CHUNK)

    run(main(), loop_factory, debug=False)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_client_that_leaves_frees_a_writer_that_waits(loop_factory):
    async def main():
        flood = Flood()
        async with serving(flood) as (server, port):
            with slow_socket(port) as raw:
                raw.sendall(GET)
                await stand_still(flood)
            await flood.cancelled.wait()
            await server.wait_idle()

    run(main(), loop_factory, debug=False)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_client_that_never_reads_is_cut_off(loop_factory):
    async def main():
        flood = Flood()
        async with serving(flood, make_limits(idle_s=SHORT_S)) as (server, port):
            with slow_socket(port) as raw:
                raw.sendall(GET)
                await flood.cancelled.wait()
                await server.wait_idle()

    run(main(), loop_factory, debug=False)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_client_that_sends_ahead_without_reading_is_held(loop_factory):
    async def main():
        most, go = 0, asyncio.Event()

        async def handler(exchange):
            nonlocal most
            (connection,) = server._service.connections
            most = max(most, connection._unparsed)
            await go.wait()
            await hello(exchange)

        async with serving(handler) as (server, port), calling(port) as client:
            request = GET[:-2] + b"x: " + b"y" * 4000 + b"\r\n\r\n"
            client.writer.write(request * 2000)
            for _ in range(50):
                await breathe()
            go.set()
            for _ in range(2000):
                assert (await client.read_answer()).status == 200
            assert AHEAD_HIGH < most <= AHEAD_HIGH + READ_BYTES

    run(main(), loop_factory, debug=False)
