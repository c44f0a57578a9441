"""Promise: one exchange at a time, in order, within bounds; every connection ends well."""

import asyncio
import re

import pytest

from ocpd.http.body import PIECES_AT_ONCE, UNREAD_HIGH
from ocpd.http.connection import AHEAD_HIGH, KNOCK_S, REST_S
from ocpd.http.message import Response
from ocpd.http.service import Limits
from tests.unit.http.stage import GET, LONG_S, Stage, breathe, echo, hello, make_limits, run

POST = b"POST /x HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n"


def statuses(sent: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", sent)]


def test_an_answer_is_one_write():
    async def main():
        async with Stage(hello) as stage:
            stage.feed(GET)
            assert (await stage.settle()).endswith(b"\r\n\r\n/x")
            assert stage.transport.writes == 1

    run(main())


def test_a_chunk_is_one_write():
    async def handler(exchange):
        await exchange.start(200, ())
        for _ in range(5):
            await exchange.write(b"data: x\n\n")
        await exchange.finish()

    async def main():
        async with Stage(handler) as stage:
            stage.feed(GET)
            await stage.settle()
            assert stage.transport.writes == 7

    run(main())


def test_the_handler_sees_who_is_on_the_other_end():
    async def main():
        peers = []

        async def handler(exchange):
            peers.append(exchange.request.peer)
            await exchange.respond(Response(204))

        async with Stage(handler) as stage:
            stage.feed(GET)
            await stage.settle()
        assert peers == ["192.0.2.7"]

    run(main())


def test_requests_sent_ahead_wait_for_their_turn():
    async def main():
        running, order = 0, []

        async def handler(exchange):
            nonlocal running
            running += 1
            assert running == 1
            await breathe()
            order.append(exchange.request.path)
            await hello(exchange)
            running -= 1

        async with Stage(handler) as stage:
            stage.feed(b"".join(GET.replace(b"/x", b"/%d" % i) for i in range(20)))
            stage.feed(GET.replace(b"/x", b"/last"))
            sent = await stage.settle()
            assert order == [f"/{i}" for i in range(20)] + ["/last"]
            assert statuses(sent) == [200] * 21
            assert stage.service.served == 21

    run(main())


def test_what_is_sent_ahead_is_bounded():
    async def main():
        go = asyncio.Event()

        async def handler(exchange):
            await go.wait()
            await hello(exchange)

        async with Stage(handler) as stage:
            fed = 0
            while stage.transport.is_reading_on:
                stage.feed(GET)
                fed += 1
            assert AHEAD_HIGH < fed * len(GET) < AHEAD_HIGH + 3 * len(GET)
            go.set()
            assert statuses(await stage.settle()) == [200] * fed
            assert stage.transport.is_reading_on

    run(main())


def test_a_body_nobody_reads_is_bounded_and_comes_when_it_is_wanted():
    async def main():
        go, total = asyncio.Event(), UNREAD_HIGH * 3

        async def handler(exchange):
            await go.wait()
            await echo(exchange)

        async with Stage(handler) as stage:
            stage.feed(POST % total)
            fed = 0
            while stage.transport.is_reading_on:
                stage.feed(b"x" * 10_000)
                fed += 10_000
            assert UNREAD_HIGH < fed <= UNREAD_HIGH + 10_000
            go.set()
            while not stage.transport.is_reading_on:
                await breathe()
            stage.feed(b"x" * (total - fed))
            sent = await stage.settle()
            assert len(sent.partition(b"\r\n\r\n")[2]) == total

    run(main())


def test_a_body_in_tiny_chunks_lets_others_have_their_turn():
    # Each chunk costs as much as a large one, and one look at the socket brings 40,000 of them.
    async def main():
        turns = 0

        async def others():
            nonlocal turns
            loop = asyncio.get_running_loop()
            while True:
                turn = loop.create_future()
                loop.call_soon(turn.set_result, None)
                await turn
                turns += 1

        async with Stage(echo) as stage:
            count = 20 * PIECES_AT_ONCE
            neighbour = stage.nursery.spawn(others(), "others")
            stage.feed(b"POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            stage.feed(b"1\r\nx\r\n" * count + b"0\r\n\r\n" + GET.replace(b"GET", b"PUT"))
            assert turns == 0
            while statuses(bytes(stage.transport.written)) != [200, 200]:
                await breathe()
            assert turns >= 10
            assert b"x" * count in stage.transport.written
            assert stage.transport.is_reading_on
            neighbour.cancel()

    run(main())


def test_a_client_that_leaves_amid_his_tiny_chunks_is_forgotten():
    async def main():
        async with Stage(echo) as stage:
            stage.feed(b"POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            stage.feed(b"1\r\nx\r\n" * (3 * PIECES_AT_ONCE))
            stage.lose()
            await stage.settle()
            await breathe()
            assert not stage.transport.written

    run(main())


def test_a_lost_connection_cancels_its_handler():
    async def main():
        began, ended = asyncio.Event(), asyncio.Event()

        async def handler(exchange):
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with Stage(handler) as stage:
            stage.feed(GET)
            await began.wait()
            stage.lose()
            await ended.wait()
            await stage.settle()
            assert stage.service.connections == set()

    run(main())


def test_a_connection_lost_before_its_handler_began_is_forgotten():
    async def main():
        async with Stage(hello) as stage:
            stage.feed(GET)
            stage.lose()
            assert await stage.settle() == b""
            assert stage.service.served == 0

    run(main())


@pytest.mark.parametrize("end", ["eof_received", "lose"])
def test_a_client_that_leaves_with_its_answer_lets_the_handler_finish(end):
    async def main():
        answered, go, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def handler(exchange):
            await hello(exchange)
            answered.set()
            await go.wait()
            finished.set()

        async with Stage(handler) as stage:
            stage.feed(GET)
            await answered.wait()
            stage.lose() if end == "lose" else stage.connection.eof_received()
            go.set()
            await stage.settle()
            assert finished.is_set()
            assert stage.service.served == 1
            assert not stage.transport.was_aborted

    run(main())


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 66_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 66_000, 431),
    ],
)
def test_what_is_not_a_request_is_refused_and_the_connection_ends(raw, status):
    async def main():
        async with Stage(hello) as stage:
            stage.feed(raw)
            sent = await stage.settle()
            assert statuses(sent) == [status]
            assert b"connection: close" in sent.lower()
            assert b'"invalid_request_error"' in sent or status == 501
            assert stage.transport.is_shut
            stage.feed(GET)
            stage.connection.eof_received()
            assert await stage.settle() == sent
            assert stage.transport.is_closing()

    run(main())


def test_a_head_refused_to_head_has_no_body():
    async def main():
        async with Stage(hello) as stage:
            stage.feed(b"HEAD /%zz HTTP/1.1\r\nhost: a\r\n\r\n")
            assert (await stage.settle()).endswith(b"\r\n\r\n")

    run(main())


def test_the_largest_head_is_taken_and_one_byte_more_is_not():
    async def main(size: int, cut: int) -> list[int]:
        head = b"GET /x HTTP/1.1\r\nhost: a\r\nx: "
        raw = head + b"y" * (size - len(head) - 4) + b"\r\n\r\n"
        async with Stage(hello) as stage:
            stage.feed(raw[:cut])
            stage.feed(raw[cut:])
            return statuses(await stage.settle())

    for cut in (1, 1000, 65_530):
        assert run(main(65_536, cut)) == [200]
        assert run(main(65_537, cut)) == [431]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_client_that_wants_it_closed_gets_it_closed(version):
    async def main():
        async with Stage(hello) as stage:
            stage.feed(b"GET / HTTP/%b\r\nhost: a\r\nconnection: close\r\n\r\n" % version)
            sent = await stage.settle()
            assert b"connection: close" in sent.lower()
            assert stage.transport.is_closing()
            assert not stage.transport.was_aborted

    run(main())


def test_a_short_body_nobody_read_is_skipped_to_keep_the_connection():
    async def main():
        async with Stage(hello) as stage:
            stage.feed(POST % 60_000)
            sent = await stage.settle()
            assert b"connection: close" not in sent.lower()
            stage.feed(b"x" * 30_000)
            stage.feed(b"x" * 30_000 + GET)
            assert statuses(await stage.settle()) == [200, 200]

    run(main())


@pytest.mark.parametrize(
    "head",
    [
        POST % 70_000,
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n",
    ],
)
def test_a_long_or_doubtful_body_nobody_read_ends_the_connection_gently(head):
    async def main():
        async with Stage(hello) as stage:
            stage.feed(head)
            sent = await stage.settle()
            assert statuses(sent) == [200]
            assert b"connection: close" in sent.lower()
            assert stage.transport.is_shut
            assert not stage.transport.is_closing()
            stage.feed(b"x" * 50_000)
            stage.connection.eof_received()
            assert stage.transport.is_closing()

    run(main())


@pytest.mark.parametrize(
    ("sent", "expected"), [(b"", []), (GET[:-1], [408]), (GET + b"G", [200, 408])]
)
def test_a_client_that_never_ends_its_head_is_told_if_it_began(sent, expected):
    async def main():
        async with Stage(hello, make_limits(header_s=5)) as stage:
            stage.feed(sent)
            before = statuses(await stage.settle())
            stage.loop.advance(4.9)
            assert statuses(await stage.settle()) == before
            stage.loop.advance(0.2)
            assert statuses(await stage.settle()) == expected
            assert stage.transport.is_closing() or stage.transport.is_shut

    run(main())


def test_a_slow_head_gets_no_more_time_for_each_piece():
    async def main():
        async with Stage(hello, make_limits(header_s=5)) as stage:
            for index in range(5):
                stage.feed(GET[index : index + 1])
                stage.loop.advance(1)
            assert statuses(await stage.settle()) == [408]

    run(main())


def test_an_idle_client_is_left_without_a_word():
    async def main():
        async with Stage(hello, make_limits(idle_s=5)) as stage:
            stage.feed(GET)
            await stage.settle()
            stage.loop.advance(5)
            assert stage.transport.is_closing()
            assert not stage.transport.was_aborted
            assert statuses(await stage.settle()) == [200]

    run(main())


def test_a_running_handler_has_all_the_time_it_wants():
    async def main():
        go = asyncio.Event()

        async def handler(exchange):
            await exchange.read_body(10)
            await go.wait()
            await hello(exchange)

        async with Stage(handler, make_limits(1, 1, 1)) as stage:
            stage.feed(POST % 3 + b"abc")
            await breathe()
            stage.loop.advance(1000)
            go.set()
            assert statuses(await stage.settle()) == [200]

    run(main())


def test_a_body_that_pauses_is_a_408():
    async def main():
        async with Stage(echo, make_limits(body_s=5)) as stage:
            stage.feed(POST % 5 + b"abc")
            await breathe()
            stage.loop.advance(5)
            sent = await stage.settle()
            assert statuses(sent) == [408]
            assert b"bodyTimeout" in sent

    run(main())


def test_a_slow_body_gets_more_time_for_each_piece():
    async def main():
        async with Stage(echo, make_limits(body_s=5)) as stage:
            stage.feed(POST % 5)
            for byte in b"abcde":
                await breathe()
                stage.loop.advance(4)
                stage.feed(bytes([byte]))
            assert statuses(await stage.settle()) == [200]

    run(main())


def test_the_short_rest_of_a_body_has_its_time():
    async def main():
        async with Stage(hello) as stage:
            stage.feed(POST % 5)
            assert statuses(await stage.settle()) == [200]
            stage.loop.advance(REST_S)
            assert stage.transport.is_closing()

    run(main())


def test_a_broken_chunk_is_a_400_for_the_reader():
    async def main():
        async with Stage(echo) as stage:
            stage.feed(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\n")
            stage.feed(b"abcdefgh")
            assert statuses(await stage.settle()) == [400]
            assert stage.transport.is_shut

    run(main())


def test_a_broken_chunk_in_a_skipped_body_ends_the_connection():
    async def main():
        async with Stage(hello) as stage:
            stage.feed(
                b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n"
            )
            assert statuses(await stage.settle()) == [200]
            assert stage.transport.is_shut

    run(main())


async def write_once(exchange):
    await exchange.start(200, ())
    await exchange.write(b"x")
    await exchange.finish()


async def reach_choked_writer(stage: Stage) -> None:
    stage.feed(GET)
    await breathe()
    assert stage.transport.writes == 2


def test_a_client_that_takes_nothing_is_cut_off():
    async def main():
        async with Stage(write_once, make_limits(idle_s=5)) as stage:
            stage.connection._flow.pause_writing()
            await reach_choked_writer(stage)
            stage.transport.buffered = 70_000
            stage.connection.pause_writing()
            stage.transport.buffered -= 1
            stage.loop.advance(5)
            assert not stage.transport.was_aborted
            stage.loop.advance(5)
            assert stage.transport.was_aborted
            assert not (await stage.settle()).endswith(b"0\r\n\r\n")
            assert stage.service.served == 0

    run(main())


def test_a_client_that_takes_bytes_again_lets_the_writer_go_on():
    async def main():
        go = asyncio.Event()

        async def handler(exchange):
            await exchange.start(200, ())
            await exchange.write(b"x")
            await go.wait()
            await exchange.finish()

        async with Stage(handler, make_limits(idle_s=5)) as stage:
            stage.connection._flow.pause_writing()
            await reach_choked_writer(stage)
            stage.connection.pause_writing()
            stage.connection.resume_writing()
            await breathe()
            stage.loop.advance(100)
            assert not stage.transport.was_aborted
            go.set()
            assert (await stage.settle()).endswith(b"0\r\n\r\n")

    run(main())


@pytest.mark.parametrize("handler", [hello, write_once])
def test_a_client_that_does_not_read_gets_no_second_answer(handler):
    async def main():
        async with Stage(handler) as stage:
            stage.connection._flow.pause_writing()
            stage.feed(GET + GET)
            await breathe()
            assert statuses(bytes(stage.transport.written)) == [200]
            stage.connection.resume_writing()
            assert statuses(await stage.settle()) == [200, 200]

    run(main())


def test_an_answered_handler_that_waits_for_a_slow_client_is_freed_when_he_leaves():
    async def main():
        async with Stage(hello) as stage:
            stage.connection._flow.pause_writing()
            stage.feed(GET)
            await breathe()
            assert len(stage.nursery) == 1
            stage.lose()
            await stage.settle()
            assert stage.service.served == 1

    run(main())


def test_a_long_head_that_was_sent_ahead_is_read_to_its_end():
    async def main():
        go = asyncio.Event()

        async def handler(exchange):
            await go.wait()
            await hello(exchange)

        limits = Limits(LONG_S, LONG_S, LONG_S, 1, max_header_bytes=200_000)
        async with Stage(handler, limits) as stage:
            stage.feed(GET + GET[:-2] + b"x: " + b"y" * 100_000)
            stage.feed(b"y")
            assert not stage.transport.is_reading_on
            go.set()
            await stage.settle()
            stage.feed(b"\r\n\r\n")
            assert statuses(await stage.settle()) == [200, 200]

    run(main())


def test_retiring_closes_idle_connections_and_marks_the_last_answer():
    async def main():
        go = asyncio.Event()

        async def handler(exchange):
            await go.wait()
            await hello(exchange)

        async with Stage(hello) as idle, Stage(handler) as busy:
            idle.feed(GET)
            await idle.settle()
            idle.connection.retire()
            assert idle.transport.is_closing()
            busy.feed(GET)
            busy.service.is_draining = True
            busy.connection.retire()
            assert not busy.transport.is_closing()
            go.set()
            assert b"connection: close" in (await busy.settle()).lower()
            assert busy.transport.is_closing()

    run(main())


def test_who_has_just_come_when_the_server_stops_may_still_ask_but_soon():
    async def main():
        async with (
            Stage(hello) as asks,
            Stage(hello) as silent,
            Stage(hello, is_draining=True) as late,
        ):
            assert not late.transport.is_closing()
            for stage in (asks, silent):
                stage.service.is_draining = True
                stage.connection.retire()
                assert not stage.transport.is_closing()
            asks.feed(GET)
            assert b"connection: close" in (await asks.settle()).lower()
            assert asks.transport.is_closing()
            silent.loop.advance(KNOCK_S)
            assert silent.transport.is_closing()

    run(main())


def test_the_repr_tells_what_goes_on():
    async def main():
        async with Stage(hello) as stage:
            assert repr(stage.connection) == "<Connection fresh None>"
            stage.feed(GET)
            assert repr(stage.connection) == "<Connection exchange <Exchange GET /x reading>>"
            await stage.settle()

    run(main())
