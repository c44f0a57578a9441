"""Promise: whoever leaves, client or server, the other side learns it, and nothing stays behind."""

import asyncio
import contextlib
import socket

import h11
import pytest

from ocpd.errors import Upstream
from ocpd.http import connection
from ocpd.http.listener import Server
from ocpd.http.message import Response
from tests.unit.http.stage import (
    GET,
    LOOPS,
    SHORT_S,
    breathe,
    calling,
    echo,
    hello,
    make_limits,
    run,
    serving,
)


class Patient:
    """A handler that waits until it is cancelled or told to go on."""

    def __init__(self, *, streams: bool = False) -> None:
        self.streams = streams
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, exchange) -> None:
        if self.streams:
            await exchange.start(200, ())
            await exchange.write(b"first")
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.streams:
            await exchange.finish()
        else:
            await exchange.respond(Response(200))


def reset(client) -> None:
    raw = client.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.writer.transport.abort()


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_a_client_that_leaves_cancels_the_handler(loop_factory, streams, how):
    async def main():
        handler = Patient(streams=streams)
        async with serving(handler) as (server, port), calling(port) as client:
            await client.send(GET)
            await handler.began.wait()
            match how:
                case "close":
                    client.writer.close()
                case "half":
                    client.writer.write_eof()
                case "reset":
                    reset(client)
            await handler.cancelled.wait()
            await server.wait_idle()
            assert server.statistics().served == 0

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("ahead", [GET * 4000, GET[:-2] + b"x: " + b"y" * 130_000])
def test_a_client_that_sends_ahead_and_leaves_cancels_the_handler(
    loop_factory, streams, ahead, monkeypatch
):
    monkeypatch.setattr(connection, "AHEAD_S", SHORT_S)

    async def main():
        handler = Patient(streams=streams)
        async with serving(handler) as (server, port), calling(port) as client:
            await client.send(GET)
            await handler.began.wait()
            await client.send(ahead)
            client.writer.close()
            await handler.cancelled.wait()
            await server.wait_idle()
            assert server.statistics().served == 0

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_server_that_drains_does_not_wait_long_for_half_a_body(loop_factory, monkeypatch):
    monkeypatch.setattr(connection, "RETIRE_BODY_S", SHORT_S)

    async def main():
        async with serving(echo) as (server, port), calling(port) as client:
            await client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 50\r\n\r\nabc")
            while not server.statistics().exchanges:
                await breathe()
            server.stop_accepting()
            await server.wait_idle()
            answer = await client.read_answer("POST")
            assert (answer.status, answer.headers["connection"]) == (503, "close")
            assert b"stopping" in answer.body

    run(main(), loop_factory)


def test_a_client_that_leaves_in_its_body_cancels_the_handler():
    async def main():
        ended = asyncio.Event()

        async def handler(exchange):
            try:
                await exchange.read_body(100)
            finally:
                ended.set()

        async with serving(handler) as (_, port), calling(port) as client:
            await client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 50\r\n\r\nabc")
            await client.leave()
            await ended.wait()

    run(main())


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("error", [Upstream("Died."), ZeroDivisionError("bug")])
def test_an_answer_that_breaks_off_never_looks_complete(loop_factory, error):
    async def handler(exchange):
        await exchange.start(200, ())
        await exchange.write(b"half")
        raise error

    async def main():
        async with serving(handler) as (_, port):
            async with calling(port) as client:
                await client.send(GET)
                with pytest.raises((h11.RemoteProtocolError, ConnectionError)):
                    await client.read_answer()
            async with calling(port) as client:
                await client.send(b"GET / HTTP/1.0\r\n\r\n")
                with pytest.raises(ConnectionResetError):
                    await client.reader.read(-1)

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_server_that_drains_ends_what_runs_and_closes_what_is_idle(loop_factory):
    async def main():
        handler = Patient()
        async with serving(handler) as (server, port), calling(port) as idle, calling(port) as busy:
            await busy.send(GET)
            await handler.began.wait()
            server.stop_accepting()
            server.stop_accepting()
            assert await idle.read_end() == b""
            with pytest.raises(ConnectionError):
                await asyncio.open_connection("127.0.0.1", port)
            waiting = asyncio.get_running_loop().create_task(server.wait_idle())
            handler.go.set()
            answer = await busy.read_answer()
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
            assert await busy.read_end() == b""
            await waiting
            assert server.statistics().exchanges == 0

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_stream_that_runs_while_the_server_drains_ends_whole(loop_factory):
    async def main():
        handler = Patient(streams=True)
        async with serving(handler) as (server, port), calling(port) as client:
            await client.send(GET)
            await handler.began.wait()
            server.stop_accepting()
            handler.go.set()
            assert (await client.read_answer()).body == b"first"
            assert await client.read_end() == b""

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_leaving_the_server_ends_everything_at_once(loop_factory):
    async def main():
        handler = Patient(streams=True)
        async with contextlib.AsyncExitStack() as stack:
            server = Server(handler, make_limits())
            async with server:
                ((_, port),) = await server.listen(["127.0.0.1"], 0)
                clients = [await stack.enter_async_context(calling(port)) for _ in range(4)]
                await clients[0].send(GET)
                await clients[1].send(GET[:-3])
                await handler.began.wait()
            assert handler.cancelled.is_set()
            assert server.statistics().connections == 0
            for client in clients:
                assert not (await client.read_end()).endswith(b"0\r\n\r\n")

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_an_answer_that_is_out_is_sent_even_when_the_server_is_left(loop_factory):
    async def main():
        big = b"x" * 3_000_000
        answered = asyncio.Event()

        async def handler(exchange):
            exchange_done = exchange.respond(Response(200, (), big))
            answered.set()
            await exchange_done

        server = Server(handler, make_limits())
        async with contextlib.AsyncExitStack() as stack:
            async with server:
                ((_, port),) = await server.listen(["127.0.0.1"], 0)
                client = await stack.enter_async_context(calling(port))
                await client.send(GET)
                reading = asyncio.get_running_loop().create_task(client.read_answer())
                await answered.wait()
                server.stop_accepting()
                await server.wait_idle()
            assert (await reading).body == big

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_the_last_answer_reaches_a_client_that_has_sent_more(loop_factory):
    async def main():
        handler = Patient()
        async with serving(handler) as (server, port):
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(raw, GET)
                await handler.began.wait()
                with contextlib.suppress(BlockingIOError):
                    while True:
                        raw.send(GET * 1000)
                await breathe()
                server.stop_accepting()
                handler.go.set()
                await server.wait_idle()
                await breathe()
                assert (await loop.sock_recv(raw, 65_536)).startswith(b"HTTP/1.1 200 OK")
                raw.shutdown(socket.SHUT_WR)
                assert await loop.sock_recv(raw, 65_536) == b""

    run(main(), loop_factory)


def test_a_port_can_be_taken_again_at_once():
    async def main():
        async with serving(hello) as (_, port), calling(port) as client:
            await client.send(GET)
            assert (await client.read_answer()).status == 200
        async with Server(echo, make_limits()) as second:
            assert await second.listen(["127.0.0.1"], port) == (("127.0.0.1", port),)

    run(main())
