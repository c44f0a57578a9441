"""Promise: real clients on real sockets get their answers, in order, on connections that last."""

import asyncio
import errno
import http.client

import pytest

from ocpd.errors import BadRequest
from ocpd.http.listener import Server
from ocpd.http.message import Response, json_response
from ocpd.http.router import Route, Router, make_handler
from tests.unit.http.stage import (
    GET,
    LOOPS,
    SHORT_S,
    calling,
    echo,
    hello,
    make_limits,
    run,
    serving,
)


async def stream(exchange):
    await exchange.start(200, [("content-type", "text/event-stream")])
    for number in range(3):
        await exchange.write(b"data: %d\n\n" % number)
    await exchange.finish()


async def refuse(exchange):
    raise BadRequest("No.", param="model")


async def crash(exchange):
    raise ZeroDivisionError


async def name(exchange):
    await exchange.respond(Response(200, (), exchange.params["id"].encode()))


HANDLER = make_handler(
    Router(
        [
            Route("GET", "/v1/models", hello),
            Route("GET", "/v1/models/{id}", name),
            Route("POST", "/v1/chat/completions", echo),
            Route("GET", "/stream", stream),
            Route("GET", "/refuse", refuse),
            Route("GET", "/crash", crash),
        ]
    )
)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_one_connection_carries_many_requests(loop_factory):
    async def main():
        async with serving(hello) as (server, port), calling(port) as client:
            for _ in range(5):
                await client.send(GET)
                answer = await client.read_answer()
                assert (answer.status, answer.body) == (200, b"/x")
            assert server.statistics().connections == 1
            assert server.statistics().served == 5
            assert repr(server).startswith("<Server ServerStatistics(connections=1")

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_requests_sent_at_once_are_answered_in_order(loop_factory):
    async def main():
        async with serving(echo) as (_, port), calling(port) as client:
            bodies = [b"%d" % number * number for number in range(1, 30)]
            await client.send(
                b"".join(
                    b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b" % (len(b), b)
                    for b in bodies
                )
            )
            assert [(await client.read_answer()).body for _ in bodies] == bodies

    run(main(), loop_factory)


def test_a_request_may_come_byte_by_byte():
    async def main():
        async with serving(HANDLER) as (_, port), calling(port) as client:
            request = (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n4\r\n\xe2\x82\xac!\r\n0\r\n\r\n"
            )
            for index in range(len(request)):
                await client.send(request[index : index + 1])
            assert (await client.read_answer("POST")).body == "€!".encode()

    run(main())


def use_standard_library(port: int) -> list[tuple[int, bytes, str | None]]:
    seen = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for method, path, body in [
            ("GET", "//v1/models/?limit=1", None),
            ("HEAD", "/v1/models", None),
            ("GET", "/v1/models/a%2Db", None),
            ("POST", "/v1/chat/completions", b"x" * 300_000),
            ("POST", "/v1/chat/completions", iter([b"ab", b"", b"cd"])),
            ("GET", "/stream", None),
            ("HEAD", "/stream", None),
            ("GET", "/refuse", None),
            ("GET", "/crash", None),
            ("DELETE", "/v1/models", None),
            ("GET", "/chat/completions", None),
            ("GET", "/v1/models", None),
        ]:
            connection.request(method, path, body)
            answer = connection.getresponse()
            assert answer.getheader("date", "").endswith(" GMT")
            assert answer.getheader("server") is None
            assert answer.getheader("x-everywhere") == "1"
            seen.append((answer.status, answer.read(), answer.getheader("allow")))
    finally:
        connection.close()
    return seen


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_the_standard_library_agrees_on_one_connection(loop_factory):
    async def main():
        async with serving(HANDLER, extra_headers=(("X-Everywhere", "1"),)) as (server, port):
            seen = await asyncio.to_thread(use_standard_library, port)
            assert [status for status, _, _ in seen] == [
                *(200, 200, 200, 200, 200, 200, 200),
                *(400, 500, 405, 404, 200),
            ]
            bodies = [body for _, body, _ in seen]
            assert bodies[:2] == [b"/v1/models", b""]
            assert bodies[2] == b"a-b"
            assert bodies[3] == b"x" * 300_000
            assert bodies[4] == b"abcd"
            assert bodies[5] == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
            assert bodies[6] == b""
            assert b'"param":"model"' in bodies[7]
            assert b'"internal_error"' in bodies[8]
            assert seen[9][2] == "GET, HEAD"
            assert b"did you mean /v1/chat/completions?" in bodies[10]
            assert b"/stream, /v1/chat/completions, /v1/models" in bodies[10]
            assert server.statistics().served == len(seen)

    run(main(), loop_factory)


def test_head_has_the_length_that_get_would_have():
    async def main():
        async with serving(hello) as (_, port), calling(port) as client:
            await client.send(GET.replace(b"GET", b"HEAD"))
            answer = await client.read_answer("HEAD")
            assert (answer.headers["content-length"], answer.body) == ("2", b"")

    run(main())


def test_options_for_the_whole_server_is_answered():
    async def main():
        async with serving(HANDLER) as (_, port), calling(port) as client:
            await client.send(b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert (await client.read_answer("OPTIONS")).status == 204
            await client.send(b"GET * HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert (await client.read_answer()).status == 400

    run(main())


@pytest.mark.parametrize(
    "line", [b"GET /nowhere", b"GET /v1", b"DELETE /v1/models", b"OPTIONS *", b"GET *"]
)
def test_a_foreign_name_does_not_hear_which_paths_there_are(line):
    async def main():
        async with serving(HANDLER) as (_, port), calling(port) as client:
            await client.send(line + b" HTTP/1.1\r\nhost: evil.example\r\n\r\n")
            answer = await client.read_answer(line.split()[0].decode())
            assert answer.status == 403
            assert "allow" not in answer.headers
            assert b"/v1/models" not in answer.body

    run(main())


@pytest.mark.parametrize("extra", [b"", b"Connection: keep-alive\r\n"])
def test_http_1_0_is_answered_and_closed(extra):
    async def main():
        async with serving(HANDLER) as (_, port):
            for path, body in [(b"/v1/models", b"/v1/models"), (b"/stream", b"data: 2\n\n")]:
                async with calling(port) as client:
                    await client.send(b"GET %b HTTP/1.0\r\n%b\r\n" % (path, extra))
                    received = await client.read_end()
                    assert received.endswith(body)
                    assert b"chunked" not in received

    run(main())


def test_every_answer_bears_the_extra_headers_even_one_to_nonsense():
    async def main():
        extra = (("X-Everywhere", "1"),)
        async with serving(hello, extra_headers=extra) as (_, port), calling(port) as client:
            await client.send(b"nonsense\r\n\r\n")
            answer = await client.read_answer()
            assert answer.status == 400
            assert answer.headers["x-everywhere"] == "1"
            assert answer.headers["connection"] == "close"
            assert await client.read_end() == b""

    run(main())


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize(
    ("limits", "sent", "heard"),
    [
        (make_limits(header_s=SHORT_S), b"", b""),
        (make_limits(header_s=10 * SHORT_S), b"GET / HT", b"HTTP/1.1 408 "),
        (make_limits(idle_s=SHORT_S), GET, b"HTTP/1.1 200 "),
        (make_limits(body_s=SHORT_S), GET[:-2] + b"content-length: 5\r\n\r\nabc", b"HTTP/1.1 408 "),
    ],
)
def test_a_client_that_stops_is_left(loop_factory, limits, sent, heard):
    async def main():
        async with serving(echo, limits) as (_, port), calling(port) as client:
            await client.send(sent)
            received = await client.read_end()
            assert received.startswith(heard)
            assert received.count(b"HTTP/1.1") == (1 if heard else 0)

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_an_address_in_use_is_said_as_it_is(loop_factory):
    async def main():
        async with serving(hello) as (_, port), Server(hello, make_limits()) as second:
            with pytest.raises(OSError) as caught:
                await second.listen(["127.0.0.1"], port)
            assert caught.value.errno == errno.EADDRINUSE

    run(main(), loop_factory)


def test_the_handler_is_told_the_address_of_the_client():
    async def main():
        async def handler(exchange):
            await exchange.respond(json_response(200, exchange.request.peer.encode()))

        async with serving(handler) as (_, port), calling(port) as client:
            await client.send(GET)
            assert (await client.read_answer()).body == b"127.0.0.1"

    run(main())
