"""Promise: a body is read when it is wanted and no further than allowed, and a client that still
sends one hears why it was refused."""

import asyncio
import http.client

import pytest

from ocpd.errors import Unauthorized
from tests.unit.http.stage import GET, LOOPS, calling, echo, hello, run, serving

POST = b"POST /x HTTP/1.1\r\nhost: h\r\n"
MEGABYTES = 24 * 1_048_576


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_leave_is_given_when_the_body_is_wanted(loop_factory):
    async def main():
        async with serving(echo) as (_, port), calling(port) as client:
            await client.send(POST + b"content-length: 3\r\nexpect: 100-continue\r\n\r\n")
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(b"abc")
            assert (await client.read_answer()).body == b"abc"
            await client.send(GET)
            assert (await client.read_answer()).status == 200

    run(main(), loop_factory)


def test_no_leave_is_given_for_a_body_that_is_too_large():
    async def main():
        async with serving(echo) as (_, port), calling(port) as client:
            await client.send(POST + b"content-length: 1000001\r\nexpect: 100-continue\r\n\r\n")
            answer = await client.read_answer()
            assert answer.status == 413
            assert client.informed == []
            assert b"1000000 bytes (setting maxBodyBytes)" in answer.body
            assert answer.headers["connection"] == "close"
            assert await client.read_end() == b""

    run(main())


def test_no_leave_is_given_if_nobody_wants_the_body():
    async def main():
        async with serving(hello) as (_, port), calling(port) as client:
            await client.send(POST + b"content-length: 5\r\nexpect: 100-continue\r\n\r\n")
            answer = await client.read_answer()
            assert (answer.status, client.informed) == (200, [])
            assert answer.headers["connection"] == "close"

    run(main())


@pytest.mark.parametrize(("size", "status"), [(1_000_000, 200), (1_000_001, 413)])
def test_a_chunked_body_is_counted(size, status):
    async def main():
        async with serving(echo) as (_, port), calling(port) as client:
            await client.send(POST + b"transfer-encoding: chunked\r\n\r\n")
            for start in range(0, size, 50_000):
                piece = b"x" * min(50_000, size - start)
                await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await client.send(b"0\r\n\r\n")
            answer = await client.read_answer("POST")
            assert answer.status == status
            assert len(answer.body) == size or status == 413

    run(main())


@pytest.mark.parametrize("loop_factory", LOOPS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_client_that_sends_all_before_it_reads_still_hears_413(loop_factory, framing):
    def upload(port: int) -> tuple[int, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            body = bytes(MEGABYTES)
            pieces = (body[i : i + 65_536] for i in range(0, MEGABYTES, 65_536))
            connection.request("POST", "/x", body if framing == "length" else pieces)
            answer = connection.getresponse()
            return answer.status, answer.getheader("connection")
        finally:
            connection.close()

    async def main():
        async with serving(echo) as (_, port):
            seen = await asyncio.to_thread(upload, port)
            assert seen == (413, "close")

    run(main(), loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_refusal_without_reading_reaches_a_client_that_still_sends(loop_factory):
    async def refuse(exchange):
        raise Unauthorized("Who are you?")

    async def main():
        async with serving(refuse) as (_, port), calling(port) as client:
            size = 8 * 1_048_576
            await client.send(POST + b"content-length: %d\r\n\r\n" % size)
            await client.send(bytes(size))
            answer = await client.read_answer()
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert await client.read_end() == b""

    run(main(), loop_factory)


def test_a_short_body_that_nobody_read_does_not_cost_the_connection():
    async def main():
        async with serving(hello) as (_, port), calling(port) as client:
            await client.send(POST + b"content-length: 5\r\n\r\nab")
            answer = await client.read_answer()
            assert "connection" not in answer.headers
            await client.send(b"cde" + GET)
            assert (await client.read_answer()).status == 200

    run(main())
