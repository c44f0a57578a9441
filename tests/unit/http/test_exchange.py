"""Promise: an answer is begun once and ended once; everything else is Bug or Gone."""

import asyncio

import pytest

from ocpd.errors import BadRequest, Bug, Gone
from ocpd.http.body import Body
from ocpd.http.exchange import MOVES, Exchange, State
from ocpd.http.message import Headers, Request, Response
from tests.unit.http.stage import breathe, run

REQUEST = Request("POST", "/x", "/x", "", Headers(), "1.1", "::1")


class FakeLink:
    """Notes what is asked of it."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.asked: list[object] = []
        self.is_choked = False
        self.room = asyncio.Event()

    def begin_reading(self) -> None:
        self.asked.append("read")

    def send_whole(self, response: Response) -> None:
        self.asked.append(response.status)

    def send_head(self, status, headers) -> None:
        self.asked.append(status)

    def send_chunk(self, data: bytes) -> None:
        self.asked.append(data)

    def send_end(self) -> None:
        self.asked.append("end")

    async def drain(self) -> None:
        if self.is_choked:
            await self.room.wait()


def make_exchange(declared: int | None = 0) -> tuple[Exchange, FakeLink, Body]:
    body = Body(declared)
    link = FakeLink(body)
    return Exchange(REQUEST, body, link), link, body


async def _reach(state: State) -> Exchange:
    exchange, _, body = make_exchange()
    body.end()
    match state:
        case State.STREAMING:
            await exchange.start(200, ())
        case State.DONE:
            await exchange.respond(Response(200))
        case State.BROKEN:
            exchange.give_up()
    return exchange


STEPS = {
    "respond": (lambda e: e.respond(Response(200)), State.READING, State.DONE),
    "start": (lambda e: e.start(200, ()), State.READING, State.STREAMING),
    "write": (lambda e: e.write(b"x"), State.STREAMING, State.STREAMING),
    "finish": (lambda e: e.finish(), State.STREAMING, State.DONE),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", STEPS)
def test_every_step_in_every_state_is_a_move_or_a_refusal(state, step):
    take, allowed_in, leads_to = STEPS[step]

    async def main():
        exchange = await _reach(state)
        if state is allowed_in:
            await take(exchange)
            assert exchange.state is leads_to
            assert exchange.started
        else:
            with pytest.raises(Gone if state is State.BROKEN else Bug):
                await take(exchange)
            assert exchange.state is state

    run(main())


def test_the_table_names_every_state_and_ends_nowhere_else():
    assert set(MOVES) == set(State)
    assert {state for state in State if not MOVES[state]} == {State.DONE, State.BROKEN}


def test_a_body_that_is_here_is_read_without_waiting():
    async def main():
        exchange, link, body = make_exchange(3)
        body.feed(b"abc")
        body.end()
        assert await exchange.read_body(3) == b"abc"
        assert link.asked == []

    run(main())


def test_a_body_is_asked_for_only_when_it_is_wanted():
    async def main():
        exchange, link, body = make_exchange(3)
        assert link.asked == []
        reading = asyncio.get_running_loop().create_task(exchange.read_body(3))
        await breathe()
        assert link.asked == ["read"]
        body.feed(b"abc")
        body.end()
        assert await reading == b"abc"

    run(main())


def test_a_body_that_is_declared_too_large_is_never_asked_for():
    async def main():
        exchange, link, _ = make_exchange(4)
        with pytest.raises(BadRequest, match=r"3 bytes .*maxBodyBytes") as caught:
            await exchange.read_body(3)
        assert caught.value.status == 413
        assert link.asked == []

    run(main())


def test_a_body_is_read_once():
    async def main():
        exchange, _, body = make_exchange()
        body.end()
        await exchange.read_body(3)
        with pytest.raises(Bug):
            await exchange.read_body(3)

    run(main())


def test_a_caller_that_leaves_is_gone_for_reader_and_writer():
    async def main():
        exchange, link, _ = make_exchange(3)
        reading = asyncio.get_running_loop().create_task(exchange.read_body(3))
        await breathe()
        exchange.give_up()
        with pytest.raises(Gone):
            await reading
        with pytest.raises(Gone):
            await exchange.read_body(3)
        assert link.asked == ["read"]

    run(main())


def test_a_writer_that_waited_hears_that_the_client_left():
    async def main():
        exchange, link, _ = make_exchange()
        await exchange.start(200, ())
        link.is_choked = True
        writing = asyncio.get_running_loop().create_task(exchange.write(b"x"))
        await breathe()
        assert not writing.done()
        exchange.give_up()
        link.room.set()
        with pytest.raises(Gone):
            await writing

    run(main())


def test_giving_up_an_answer_that_is_out_changes_nothing():
    async def main():
        exchange = await _reach(State.DONE)
        exchange.give_up()
        assert exchange.state is State.DONE
        assert "done" in repr(exchange)

    run(main())


def test_a_callback_begins_an_answer_and_adds_to_it():
    async def main():
        exchange, link, _ = make_exchange()
        exchange.begin_nowait(200, ())
        exchange.write_nowait(b"a")
        link.is_choked = True
        exchange.write_nowait(b"b")
        assert link.asked == [200, b"a"]
        assert (exchange.started, exchange.state) == (True, State.STREAMING)
        with pytest.raises(Bug):
            exchange.begin_nowait(200, ())
        exchange.give_up()
        with pytest.raises(Gone):
            exchange.write_nowait(b"c")

    run(main())


def test_no_bytes_are_no_chunk():
    async def main():
        exchange, link, _ = make_exchange()
        await exchange.start(200, ())
        await exchange.write(b"")
        assert link.asked == [200]

    run(main())
