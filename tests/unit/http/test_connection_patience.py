"""Promise: nobody makes a connection blind for long, and a server that stops waits for no body."""

import asyncio
import re

import pytest

from ocpd.http.connection import AHEAD_HIGH, AHEAD_S, RETIRE_BODY_S
from ocpd.http.exchange import Exchange
from tests.unit.http.stage import GET, Stage, breathe, echo, hello, make_limits, run

POST = b"POST /x HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n"


def statuses(sent: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", sent)]


class Patient:
    """A handler that reads its body and waits until it is told to answer."""

    def __init__(self, *, streams: bool = False) -> None:
        self.streams = streams
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.is_cancelled = False

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.read_body(10)
        if self.streams:
            await exchange.start(200, ())
            await exchange.write(b"first")
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise
        if self.streams:
            await exchange.finish()
        else:
            await hello(exchange)


# Who sends ahead...


@pytest.mark.parametrize("streams", [False, True])
def test_a_client_that_sends_ahead_too_much_for_too_long_is_cut_off(streams):
    async def main():
        handler = Patient(streams=streams)
        async with Stage(handler) as stage:
            stage.feed(POST % 3 + b"abc")
            await handler.began.wait()
            stage.feed(b"x" * (AHEAD_HIGH + 1))
            # From here on nobody could see him leave.
            assert not stage.transport.is_reading_on
            stage.loop.advance(AHEAD_S - 0.1)
            await breathe()
            assert not handler.is_cancelled
            stage.loop.advance(0.2)
            await stage.settle()
            assert handler.is_cancelled
            assert stage.transport.was_aborted
            assert stage.service.connections == set()

    run(main())


def test_a_client_that_sends_ahead_a_little_may_wait_for_ever():
    async def main():
        handler = Patient()
        async with Stage(handler) as stage:
            stage.feed(GET)
            await handler.began.wait()
            stage.feed(b"\r\n" * (AHEAD_HIGH // 2 - 100))
            stage.loop.advance(1000)
            handler.go.set()
            assert statuses(await stage.settle())[0] == 200
            assert not stage.transport.was_aborted

    run(main())


def test_each_request_that_was_sent_ahead_has_the_same_patience():
    async def main():
        handlers = [Patient(), Patient(), Patient()]
        waiting = iter(handlers)

        async def handler(exchange):
            await next(waiting)(exchange)

        async with Stage(handler) as stage:
            long = GET[:-2] + b"x: " + b"y" * 60_000 + b"\r\n\r\n"
            stage.feed(GET)
            await handlers[0].began.wait()
            stage.feed(long * 2)
            stage.loop.advance(AHEAD_S - 0.1)
            handlers[0].go.set()
            await handlers[1].began.wait()
            assert stage.transport.is_reading_on
            stage.feed(long)
            assert not stage.transport.is_reading_on
            stage.loop.advance(AHEAD_S - 0.1)
            await breathe()
            assert not handlers[1].is_cancelled
            stage.loop.advance(0.2)
            await stage.settle()
            assert handlers[1].is_cancelled

    run(main())


def test_a_request_begun_while_reading_is_paused_is_watched_too():
    async def main():
        handlers = [Patient(), Patient()]
        waiting = iter(handlers)

        async def handler(exchange):
            await next(waiting)(exchange)

        async with Stage(handler) as stage:
            stage.feed(GET)
            await handlers[0].began.wait()
            stage.feed(GET + b"\r\n" * AHEAD_HIGH)
            handlers[0].go.set()
            await handlers[1].began.wait()
            assert not stage.transport.is_reading_on
            stage.loop.advance(AHEAD_S + 0.1)
            await stage.settle()
            assert handlers[1].is_cancelled

    run(main())


def test_a_slow_reader_that_sends_ahead_is_watched_again_when_he_reads():
    async def main():
        handler = Patient(streams=True)
        async with Stage(handler, make_limits(idle_s=60)) as stage:
            stage.feed(POST % 3 + b"abc")
            await handler.began.wait()
            stage.feed(b"x" * (AHEAD_HIGH + 1))
            stage.transport.buffered = 70_000
            stage.connection.pause_writing()
            stage.transport.buffered = 0
            stage.connection.resume_writing()
            stage.loop.advance(AHEAD_S + 0.1)
            await stage.settle()
            assert handler.is_cancelled

    run(main())


def test_an_answer_that_is_out_is_not_cut_for_what_was_sent_ahead():
    async def main():
        async with Stage(hello) as stage:
            stage.connection._flow.pause_writing()
            stage.feed(GET)
            await breathe()
            stage.feed(b"x" * (AHEAD_HIGH + 1))
            stage.loop.advance(AHEAD_S + 0.1)
            assert not stage.transport.was_aborted
            stage.connection.resume_writing()
            assert statuses(await stage.settle())[0] == 200

    run(main())


# Who trickles while the server stops...


def stop(stage: Stage) -> None:
    stage.service.is_draining = True
    stage.connection.retire()


def test_a_body_that_is_not_here_when_the_server_stops_has_a_bounded_time_in_all():
    async def main():
        async with Stage(echo, make_limits(body_s=60)) as stage:
            stage.feed(POST % 500 + b"a")
            await breathe()
            stop(stage)
            for _ in range(4):
                stage.feed(b"b")
                stage.loop.advance(RETIRE_BODY_S / 5)
                await breathe()
                assert bytes(stage.transport.written) == b""
            stage.feed(b"c")
            stage.loop.advance(RETIRE_BODY_S / 5 + 0.1)
            sent = await stage.settle()
            assert statuses(sent) == [503]
            assert b'"shutting_down"' in sent
            assert b"connection: close" in sent.lower()

    run(main())


def test_a_body_that_comes_while_the_server_stops_is_answered():
    async def main():
        async with Stage(echo, make_limits(body_s=60)) as stage:
            stage.feed(POST % 5 + b"ab")
            await breathe()
            stop(stage)
            stage.loop.advance(RETIRE_BODY_S - 0.1)
            stage.feed(b"cde")
            sent = await stage.settle()
            assert statuses(sent) == [200]
            assert sent.endswith(b"abcde")

    run(main())


def test_a_shorter_pause_still_ends_a_body_sooner():
    async def main():
        async with Stage(echo, make_limits(body_s=1)) as stage:
            stage.feed(POST % 5 + b"ab")
            await breathe()
            stop(stage)
            stage.loop.advance(1)
            assert statuses(await stage.settle()) == [408]

    run(main())


def test_a_head_that_ends_while_the_server_stops_gets_no_more_time_for_its_body():
    async def main():
        async with Stage(echo, make_limits(header_s=60, body_s=60)) as stage:
            stage.feed((POST % 5)[:-1])
            stop(stage)
            stage.loop.advance(RETIRE_BODY_S - 1)
            stage.feed(b"\nab")
            await breathe()
            stage.loop.advance(1.1)
            assert statuses(await stage.settle()) == [503]

    run(main())


def test_a_handler_that_runs_when_the_server_stops_has_all_its_time():
    async def main():
        handler = Patient()
        async with Stage(handler) as stage:
            stage.feed(POST % 3 + b"abc")
            await handler.began.wait()
            stop(stage)
            stage.loop.advance(1000)
            handler.go.set()
            assert statuses(await stage.settle()) == [200]

    run(main())


# Who sends a long tail...


@pytest.mark.parametrize("cut", [10_000, 65_000, 10_000_000])
@pytest.mark.parametrize(("size", "status"), [(60_000, 200), (66_000, 431)])
def test_trailers_are_as_long_as_a_head_may_be_however_they_are_cut(cut, size, status):
    async def main():
        async with Stage(echo) as stage:
            trailers = b"x: yyyyyy\r\n" * (size // 11)
            raw = CHUNKED + b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n"
            stage.feed(raw[: len(CHUNKED) + 5])
            await breathe()
            for start in range(len(CHUNKED) + 5, len(raw), cut):
                stage.feed(raw[start : start + cut])
            assert statuses(await stage.settle()) == [status]
            ends = stage.transport.is_shut or stage.transport.is_closing()
            assert ends == (status == 431)

    run(main())
