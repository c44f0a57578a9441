"""Promise: HTTP over TLS is the same HTTP: as bounded, as patient, and as well ended."""

import asyncio
import contextlib
import gc
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ocpd.http import farewell, listener, tls
from ocpd.http.identity import Identity
from ocpd.http.listener import Server
from ocpd.http.message import Response
from tests.kit.certificates import Authority, Pair, serial_of
from tests.unit.http.stage import (
    GET,
    LONG_S,
    LOOPS,
    SHORT_S,
    Client,
    breathe,
    calling,
    echo,
    hello,
    make_limits,
    run,
    serving,
)
from tests.wire.test_http_flow import CHUNK, KERNEL_BYTES, Flood, stand_still

pytestmark = pytest.mark.parametrize("loop_factory", LOOPS)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue()


@pytest.fixture
def secured(pair: Pair):
    """Opens a server that speaks TLS."""

    def start(handler, limits=None, handshake_s=LONG_S):
        identity = Identity(str(pair.certificate), str(pair.key), handshake_s)
        return serving(handler, limits, identity=identity)

    return start


async def until(is_so) -> None:
    """Wait until ``is_so``; the test's own deadline bounds it."""
    while not is_so():
        await breathe()


def serial_seen(client: Client) -> int:
    told = client.writer.get_extra_info("ssl_object").getpeercert()
    return int(told["serialNumber"], 16)


def test_a_connection_carries_many_requests(loop_factory, authority, secured):
    async def main():
        async with secured(echo) as (server, port):
            async with calling(port, authority.trusting()) as client:
                told = client.writer.get_extra_info("ssl_object")
                assert told.version() == "TLSv1.3"
                for body in (b"one", b"x" * 500_000, b"three"):
                    head = b"POST /x HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n"
                    await client.send(head % len(body) + body)
                    assert (await client.read_answer()).body == body
            assert server.statistics().served == 3
            assert server.statistics().handshakes == 0

    run(main(), loop_factory)


def test_an_old_version_is_refused_and_the_protocol_is_agreed_on(loop_factory, authority, secured):
    async def main():
        async with secured(hello) as (_, port):
            old = authority.trusting()
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with calling(port, old):
                    pass
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                newer = authority.trusting()
                newer.minimum_version = newer.maximum_version = version
                newer.set_alpn_protocols(["h2", "http/1.1"])
                async with calling(port, newer) as client:
                    told = client.writer.get_extra_info("ssl_object")
                    assert told.selected_alpn_protocol() == "http/1.1"
                    await client.send(GET)
                    assert (await client.read_answer()).body == b"/x"

    run(main(), loop_factory)


def test_a_request_that_comes_with_the_end_of_the_handshake_is_served(
    loop_factory, authority, secured
):
    # One write with the last flight and the request, as a program with its own buffers does it.
    async def main():
        async with secured(hello) as (_, port):
            loop = asyncio.get_running_loop()
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = authority.trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.setblocking(False)
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        await loop.sock_sendall(raw, outgoing.read())
                        incoming.write(await loop.sock_recv(raw, 65_536))
                tls.write(GET)
                await loop.sock_sendall(raw, outgoing.read())
                received = b""
                while b"/x" not in received:
                    incoming.write(await loop.sock_recv(raw, 65_536))
                    with contextlib.suppress(ssl.SSLWantReadError):
                        received += tls.read(65_536)
                assert received.startswith(b"HTTP/1.1 200")

    run(main(), loop_factory)


@contextlib.asynccontextmanager
async def slow_caller(port: int, authority: Authority) -> AsyncIterator[ssl.SSLSocket]:
    """A client that reads only when it is told to."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)

    def connect() -> ssl.SSLSocket:
        raw.connect(("127.0.0.1", port))
        return authority.trusting().wrap_socket(raw, server_hostname="localhost")

    with await asyncio.to_thread(connect) as secured:
        yield secured


def test_a_client_that_reads_nothing_stops_the_writer_until_it_reads(
    loop_factory, authority, secured
):
    async def main():
        flood = Flood(chunks=1000)
        async with secured(flood) as (_, port), slow_caller(port, authority) as caller:
            await asyncio.to_thread(caller.sendall, GET)
            stopped_at = await stand_still(flood)
            assert stopped_at * len(CHUNK) < KERNEL_BYTES

            def read() -> int:
                total, tail = 0, b""
                while not tail.endswith(b"0\r\n\r\n"):
                    data = caller.recv(1_048_576)
                    total, tail = total + len(data), (tail + data)[-5:]
                return total

            assert await asyncio.to_thread(read) > 1000 * len(CHUNK)
            assert flood.sent == 1000

    run(main(), loop_factory)


def test_a_client_that_takes_nothing_for_too_long_is_cut_off(loop_factory, authority, secured):
    async def main():
        flood = Flood()
        limits = make_limits(idle_s=SHORT_S)
        async with secured(flood, limits) as (server, port), slow_caller(port, authority) as caller:
            await asyncio.to_thread(caller.sendall, GET)
            await flood.cancelled.wait()
            await until(lambda: server.statistics().connections == 0)

    run(main(), loop_factory)


def read_all(caller: ssl.SSLSocket) -> bytes:
    received = bytearray()
    while data := caller.recv(1_048_576):
        received += data
    return bytes(received)


@pytest.mark.parametrize("how", ["politely", "without a word", "with a reset"])
def test_a_client_that_leaves_cancels_its_handler(loop_factory, authority, secured, how):
    async def main():
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def handler(exchange):
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with secured(handler) as (server, port), slow_caller(port, authority) as caller:
            await asyncio.to_thread(caller.sendall, GET)
            await started.wait()
            if how == "politely":
                caller.setblocking(False)
                with contextlib.suppress(ssl.SSLWantReadError):
                    caller.unwrap()
            elif how == "without a word":
                caller.close()
            else:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                caller.close()
            await cancelled.wait()
            await until(lambda: server.statistics().connections == 0)

    run(main(), loop_factory)


def test_an_answer_that_is_too_early_reaches_a_client_that_still_sends(
    loop_factory, authority, secured, monkeypatch
):
    monkeypatch.setattr(farewell, "LINGER_PAUSE_S", SHORT_S)

    async def handler(exchange):
        await exchange.respond(Response(413, (), b"too much"))

    async def main():
        trusting = authority.trusting()
        async with secured(handler) as (_, port), calling(port, trusting) as client:
            await client.send(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n")
            await client.send(b"x" * 3_000_000)
            answer = await client.read_answer("POST")
            assert (answer.status, answer.body) == (413, b"too much")
            assert await client.read_end() == b""

    run(main(), loop_factory)


# The handshake...


def test_plain_http_is_dropped_without_a_word_in_the_log(loop_factory, secured, caplog, capfd):
    caplog.set_level("INFO")

    async def main():
        async with secured(hello) as (server, port):
            for nonsense in (GET, b"\0" * 100, b"\x16\x03\x01"):
                async with calling(port) as client:
                    await client.send(nonsense)
                    client.writer.write_eof()
                    told = await client.read_end()
                    # Advice for who can read it, an alert at most for others.
                    assert (b"HTTPS" in told) if nonsense is GET else (len(told) < 20)
            await until(lambda: server.statistics().handshakes == 0)
            assert server.statistics().served == 0
            gc.collect()

    run(main(), loop_factory, debug=False)
    assert caplog.records == []
    assert capfd.readouterr().err == ""


def test_plain_http_hears_it_also_while_it_sends(loop_factory, secured, monkeypatch):
    # Closed at once, the kernel would reset what still comes, and the advice with it.
    async def main():
        async with secured(hello) as (server, port), calling(port) as client:
            await client.send(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n")
            for _ in range(30):
                await client.send(b"x" * 100_000)
                await breathe()
            answer = await client.read_answer("POST")
            assert (answer.status, b"HTTPS" in answer.body) == (400, True)
            client.writer.write_eof()
            await until(lambda: server.statistics().handshakes == 0)

    run(main(), loop_factory)


def test_of_too_many_at_the_handshake_the_oldest_goes(
    loop_factory, authority, secured, monkeypatch
):
    monkeypatch.setattr(tls, "MOST_AT_ONCE", 3)

    async def main():
        async with secured(hello) as (server, port), contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(calling(port))
            for number in range(1, 4):
                await until(lambda: server.statistics().handshakes == number)  # noqa: B023
                await stack.enter_async_context(calling(port))
            assert await first.read_end() == b""
            assert server.statistics().handshakes == 3
            async with calling(port, authority.trusting()) as client:
                await client.send(GET)
                assert (await client.read_answer()).body == b"/x"

    run(main(), loop_factory)


def test_a_handshake_that_never_ends_is_counted_and_bounded(loop_factory, secured):
    async def main():
        async with secured(hello, handshake_s=SHORT_S) as (server, port):
            async with calling(port) as client:
                await until(lambda: server.statistics().handshakes == 1)
                assert server.statistics().connections == 0
                assert await client.read_end() == b""
            await until(lambda: server.statistics().handshakes == 0)

    run(main(), loop_factory)


@pytest.mark.parametrize("is_drained", [True, False])
def test_a_stop_does_not_wait_long_for_handshakes(loop_factory, secured, is_drained, monkeypatch):
    monkeypatch.setattr(listener, "KNOCK_S", SHORT_S)

    async def main():
        async with secured(hello) as (server, port), calling(port):
            await until(lambda: server.statistics().handshakes == 1)
            if is_drained:
                server.stop_accepting()
                await server.wait_idle()

    run(main(), loop_factory)


def test_who_is_at_the_handshake_when_the_server_stops_may_still_ask(
    loop_factory, authority, secured
):
    async def main():
        async with secured(hello) as (server, port):
            with socket.create_connection(("127.0.0.1", port)) as raw:
                await until(lambda: server.statistics().handshakes == 1)
                server.stop_accepting()
                waiting = asyncio.get_running_loop().create_task(server.wait_idle())

                def ask() -> bytes:
                    trusting = authority.trusting()
                    with trusting.wrap_socket(raw, server_hostname="localhost") as caller:
                        caller.sendall(GET)
                        return read_all(caller)

                assert (await asyncio.to_thread(ask)).endswith(b"/x")
                await waiting

    run(main(), loop_factory)


# Stopping...


def test_a_drain_closes_those_who_rest_and_lets_the_last_answer_out(
    loop_factory, authority, secured
):
    async def main():
        started, go = asyncio.Event(), asyncio.Event()

        async def handler(exchange):
            if exchange.request.path == "/slow":
                await exchange.start(200, ())
                await exchange.write(b"a")
                started.set()
                await go.wait()
                await exchange.write(b"b" * 1_000_000)
                await exchange.finish()
            else:
                await hello(exchange)

        async with secured(handler) as (server, port):
            trusting = authority.trusting()
            async with calling(port, trusting) as rests, slow_caller(port, authority) as busy:
                await rests.send(GET)
                await rests.read_answer()
                await asyncio.to_thread(busy.sendall, GET.replace(b"/x", b"/slow"))
                await started.wait()
                server.stop_accepting()
                assert await rests.read_end() == b""
                go.set()
                # uvloop's own client would lose what it has not read when the end comes.
                received = await asyncio.to_thread(read_all, busy)
                assert received.count(b"b") >= 1_000_000
                assert received.endswith(b"0\r\n\r\n")
                await server.wait_idle()

    run(main(), loop_factory)


def test_a_stop_does_not_wait_for_the_last_word_of_a_client_that_rests(
    loop_factory, authority, secured, monkeypatch
):
    monkeypatch.setattr(listener, "FLUSH_S", LONG_S * 2)

    async def main():
        async with secured(hello) as (server, port), slow_caller(port, authority) as caller:
            await asyncio.to_thread(caller.sendall, GET)
            await until(lambda: server.statistics().served == 1)
            await server.__aexit__()

    run(main(), loop_factory)


# Another identity...


def test_a_renewed_certificate_is_shown_to_the_next_and_streams_run_on(
    loop_factory, authority, pair, secured
):
    async def main():
        go = asyncio.Event()

        async def handler(exchange):
            await exchange.start(200, ())
            await exchange.write(b"a")
            await go.wait()
            await exchange.write(b"b")
            await exchange.finish()

        async with secured(handler) as (_, port):
            first = serial_of(pair)
            async with calling(port, authority.trusting()) as old:
                assert serial_seen(old) == first
                await old.send(GET)
                authority.issue()
                async with calling(port, authority.trusting()) as new:
                    assert serial_seen(new) == serial_of(pair) != first
                go.set()
                assert (await old.read_answer()).body == b"ab"

    run(main(), loop_factory)


def test_tls_is_switched_on_and_off_without_touching_who_is_there(loop_factory, authority, pair):
    async def main():
        async with serving(hello) as (server, port), calling(port) as plain:
            await plain.send(GET)
            await plain.read_answer()
            server.identity = Identity(str(pair.certificate), str(pair.key), LONG_S)
            async with calling(port, authority.trusting()) as secured:
                server.identity = None
                async with calling(port) as other:
                    for client in (plain, secured, other):
                        await client.send(GET)
                        assert (await client.read_answer()).body == b"/x"

    run(main(), loop_factory)


def test_a_unix_socket_stays_plain(loop_factory, pair, tmp_path: Path):
    async def main():
        async with Server(hello, make_limits()) as server:
            server.identity = Identity(str(pair.certificate), str(pair.key), LONG_S)
            await server.listen_unix(tmp_path / "s", mode=0o600)
            client = Client(*await asyncio.open_unix_connection(str(tmp_path / "s")))
            await client.send(GET)
            assert (await client.read_answer()).body == b"/x"
            await client.leave()

    run(main(), loop_factory)
