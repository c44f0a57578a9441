"""One socket: bytes in, exchanges out, and when to hang up.

What may live here: the life of a connection as a protocol of asyncio. h11 reads the bytes,
``answer`` spells them, ``flow`` holds the brakes, ``farewell`` ends it; this file decides what
happens next, by the table of ``phase``. At most one exchange runs at a time; what a client sends
ahead waits its turn.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Final, cast

import h11

from ocpd.errors import BadRequest
from ocpd.http.answer import Answers
from ocpd.http.body import PIECES_AT_ONCE, Body
from ocpd.http.exchange import Exchange, State
from ocpd.http.farewell import Farewell
from ocpd.http.flow import Alarm, Flow
from ocpd.http.guard import run_handler
from ocpd.http.head import read_head
from ocpd.http.message import Response, refusal
from ocpd.http.peer import Peer, read_peer
from ocpd.http.phase import ENDING, MOVES, Phase
from ocpd.http.refusals import body_too_slow, head_too_large, head_too_slow, not_http, stopping
from ocpd.http.service import Service

AHEAD_HIGH: Final = 65_536
"""Bytes: the connection stops reading when a client has sent more than this ahead."""

AHEAD_S: Final = 2.0
"""Seconds: how long it may stand so behind one answer. Who does not read does not see a client
leave either, and an answer nobody waits for costs more than a client that sends so much ahead."""

RETIRE_BODY_S: Final = 5.0
"""Seconds: how long a body may take in all that is still coming when the server stops."""

KNOCK_S: Final = 1.0
"""Seconds that whoever has just come has for his first request when the server stops. He does not
know yet that it does, and would see his connection closed without a word."""

REST_S: Final = 5.0
"""Seconds: how long the short rest of a body may take that no handler wanted."""


class Connection(asyncio.Protocol):
    """One client's connection. The transport calls in; an Exchange calls in as its Link."""

    # Set as soon as the transport is there.
    _transport: asyncio.Transport
    _flow: Flow
    _alarm: Alarm
    _farewell: Farewell
    _peer: Peer

    def __init__(self, service: Service) -> None:
        # For the whole connection.
        self._service = service
        self._limits = service.limits
        self._h11 = h11.Connection(h11.SERVER, service.limits.max_header_bytes)
        self._answers = Answers(self._h11, service.letterhead)
        self._phase = Phase.FRESH
        # Bytes that came since the last request ended, or began if its body still comes.
        self._unparsed = 0
        # For one exchange.
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._body = Body(0)
        # Set when the server stops: the moment until which a body may come.
        self._body_until = math.inf

    def __repr__(self) -> str:
        return f"<Connection {self._phase.value} {self._exchange}>"

    # The transport comes and goes...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the client has ``header_timeout_s`` for his first request."""
        # What create_server hands over reads and writes; uvloop's only looks like one.
        self._transport = cast("asyncio.Transport", transport)
        self._flow = Flow(self._transport)
        self._alarm = Alarm(asyncio.get_running_loop())
        self._farewell = Farewell(self._transport, self._flow, self._alarm)
        self._peer = read_peer(transport)
        self._service.enter(self)
        self._alarm.set(self._limits.header_timeout_s, self._give_up_head)
        if self._service.is_draining:
            # Accepted when the server had not stopped yet.
            self.retire()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: a handler whose answer is not out yet is cancelled."""
        self._move(Phase.CLOSED)
        self._alarm.close()
        self._flow.resume_writing()
        self._drop_exchange()
        self._service.leave(self)

    def eof_received(self) -> None:
        """The client sends no more. While he waits for an answer that means he left: a dead
        client and a half-closed one look the same, and only the first is common."""
        self.shut()

    def pause_writing(self) -> None:
        """The client is slow. If he takes nothing at all for ``idle_timeout_s``, he is gone."""
        self._flow.pause_writing()
        if self._phase is Phase.EXCHANGE:
            self._farewell.watch_client(self._limits.idle_timeout_s)

    def resume_writing(self) -> None:
        """The client took enough."""
        self._flow.resume_writing()
        if self._phase is Phase.EXCHANGE:
            self._alarm.clear()
            self._watch_ahead()

    # Bytes come in...

    def data_received(self, data: bytes) -> None:
        """Take bytes in, as far as somebody wants them."""
        if self._phase in ENDING:
            if self._phase is Phase.LINGER:
                self._farewell.ignore(len(data))
            return
        self._unparsed += len(data)
        if self._phase is Phase.EXCHANGE and self._body.is_settled:
            self._keep_ahead(data)
        else:
            self._h11.receive_data(data)
            self._parse()

    def _keep_ahead(self, data: bytes) -> None:
        # The next request while one runs. h11 only stores it.
        self._h11.receive_data(data)
        if self._unparsed > AHEAD_HIGH:
            self._flow.pause_reading()
            self._watch_ahead()

    def _watch_ahead(self) -> None:
        # A slow client has an alarm of his own: ``pause_writing`` set it.
        if self._flow.is_writing_paused or not self._body.is_settled:
            return
        if self._flow.is_reading_paused:
            self._alarm.set(AHEAD_S, self.shut)

    def _parse(self) -> None:
        for _ in range(PIECES_AT_ONCE):
            if self._phase in ENDING:
                return
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                self._take_nonsense(not_http(error, self._limits.max_header_bytes))
                return
            if isinstance(event, h11.Request):
                self._begin_exchange(event)
            elif isinstance(event, h11.Data):
                self._body.feed(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._end_request(event)
                return
            else:
                self._expect_more()
                return
        self._flow.pause_reading()
        asyncio.get_running_loop().call_soon(self._parse_on)

    def _parse_on(self) -> None:
        if self._phase in (Phase.EXCHANGE, Phase.REST) and not self._body.is_complete:
            self._parse()

    def _expect_more(self) -> None:
        if self._phase is Phase.EXCHANGE and self._body.is_overfull:
            self._flow.pause_reading()
            return
        self._flow.resume_reading()
        if self._phase is Phase.EXCHANGE and self._body.is_awaited:
            self._watch_body()
        elif self._phase is Phase.IDLE:
            self._alarm.set(self._limits.header_timeout_s, self._give_up_head)
            self._move(Phase.HEAD)
        elif self._phase is Phase.FRESH:
            # Its time has been running since the connection came.
            self._move(Phase.HEAD)

    def _end_request(self, event: h11.EndOfMessage) -> None:
        # As with heads, h11 measures only trailers that come in pieces.
        limit = self._limits.max_header_bytes
        if sum(len(name) + len(value) + 4 for name, value in event.headers) > limit:
            self._body.fail(head_too_large(limit))
        self._unparsed = len(self._h11.trailing_data[0])
        self._body.end()
        if self._phase is Phase.REST:
            self._begin_next()
        elif self._unparsed <= AHEAD_HIGH:
            self._flow.resume_reading()
        else:
            self._watch_ahead()

    def _take_nonsense(self, error: BadRequest) -> None:
        if self._phase is Phase.EXCHANGE:
            self._body.fail(error)
        elif self._phase is Phase.REST:
            self._linger()
        else:
            self._refuse(error)

    def _refuse(self, error: BadRequest, is_head: bool = False) -> None:
        self._transport.write(self._answers.whole(refusal(error), is_head, is_final=True))
        self._linger()

    # One exchange...

    def _begin_exchange(self, event: h11.Request) -> None:
        try:
            self._check_head_size()
            request, declared = read_head(event, self._peer)
        except BadRequest as error:
            self._refuse(error, is_head=event.method == b"HEAD")
            return
        self._alarm.clear()
        self._move(Phase.EXCHANGE)
        self._body = Body(declared)
        self._exchange = Exchange(request, self._body, self)
        self._task = self._service.nursery.spawn(self._serve(self._exchange), "exchange")

    def _check_head_size(self) -> None:
        # h11 measures unfinished heads only, so one that came in one piece would pass. How a
        # client cuts his bytes must not matter.
        limit = self._limits.max_header_bytes
        if self._unparsed > limit and self._unparsed - len(self._h11.trailing_data[0]) > limit:
            raise head_too_large(limit)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await run_handler(self._service.handler, exchange)
        finally:
            # Also when cancelled, and when even the refusal failed: no client stays behind with
            # nobody to answer him.
            self._end_exchange(exchange)

    def _end_exchange(self, exchange: Exchange) -> None:
        self._exchange = self._task = None
        if exchange.state is State.DONE:
            self._service.served += 1
        if self._phase is not Phase.EXCHANGE:
            return
        if exchange.state is not State.DONE:
            self._break_off(exchange)
        elif self._body.is_complete:
            self._begin_next()
        elif self._h11.our_state is h11.DONE and self._body.has_short_rest:
            self._move(Phase.REST)
            self._flow.resume_reading()
            self._alarm.set(REST_S, self._close)
        else:
            self._linger()

    def _begin_next(self) -> None:
        if self._service.is_draining or self._h11.our_state is not h11.DONE:
            if self._unparsed or self._flow.is_reading_paused:
                self._linger()
            else:
                self._close()
            return
        self._h11.start_next_cycle()
        self._move(Phase.IDLE)
        self._alarm.set(self._limits.idle_timeout_s, self._close)
        # Reading goes on when what was sent ahead is worked off, not after each answer: a short
        # request frees few bytes, and one look at the socket brings many.
        if self._unparsed <= AHEAD_HIGH:
            self._flow.resume_reading()
        if self._unparsed:
            self._parse()

    # What the exchange asks (Link)...

    def begin_reading(self) -> None:
        """Let the body come, with leave if the client waits for it, and watch the pauses."""
        if self._h11.they_are_waiting_for_100_continue:
            self._transport.write(self._answers.go_ahead())
        self._flow.resume_reading()
        self._watch_body()

    def send_whole(self, response: Response) -> None:
        """Send an answer in one write."""
        self._transport.write(self._answers.whole(response, self._is_head(), self._is_final()))

    def send_head(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Send the head of a streamed answer."""
        self._transport.write(
            self._answers.head(status, headers, self._is_head(), self._is_final())
        )

    def send_chunk(self, data: bytes) -> None:
        """Send one piece of a streamed answer in one write."""
        self._transport.write(self._answers.chunk(data))

    def send_end(self) -> None:
        """Send the end of a streamed answer."""
        self._transport.write(self._answers.end())

    @property
    def is_choked(self) -> bool:
        """Whether the client is slow and the buffer full."""
        return self._flow.is_writing_paused

    async def drain(self) -> None:
        """Wait until the client took enough, or is gone."""
        await self._flow.drain()

    def _is_head(self) -> bool:
        return self._exchange is not None and self._exchange.request.method == "HEAD"

    def _is_final(self) -> bool:
        if self._service.is_draining or self._body.is_spoiled:
            return True
        if self._body.is_complete:
            return False
        # A client that got no leave may send the body or not: nobody can tell what comes next.
        return self._h11.they_are_waiting_for_100_continue or not self._body.has_short_rest

    # Time is up...

    def _give_up_head(self) -> None:
        if self._phase is Phase.FRESH:
            self._close()
        else:
            self._refuse(head_too_slow(self._limits.header_timeout_s))

    def _watch_body(self) -> None:
        rest_s = self._body_until - self._alarm.now()
        if rest_s < self._limits.body_timeout_s:
            self._alarm.set(max(rest_s, 0.0), self._leave_body)
        else:
            self._alarm.set(self._limits.body_timeout_s, self._give_up_body)

    # Both mean nothing any more if the body ended meanwhile.

    def _give_up_body(self) -> None:
        self._body.fail(body_too_slow(self._limits.body_timeout_s))

    def _leave_body(self) -> None:
        self._body.fail(stopping())

    # Hanging up...

    def retire(self) -> None:
        """Close if it rests; else its next answer is the last: a body has ``RETIRE_BODY_S`` to
        come, a first request ``KNOCK_S``. Safe to call twice."""
        if self._phase is Phase.IDLE:
            self._close()
            return
        if self._phase is Phase.FRESH:
            self._alarm.set(min(self._limits.header_timeout_s, KNOCK_S), self._close)
            return
        self._body_until = min(self._body_until, self._alarm.now() + RETIRE_BODY_S)
        if self._phase is Phase.EXCHANGE and self._body.is_awaited:
            self._watch_body()

    @property
    def is_knocking(self) -> bool:
        """Whether its first request is still to come."""
        return self._phase in (Phase.FRESH, Phase.HEAD)

    def shut(self) -> None:
        """Close whatever is under way; an answer that is out is still sent."""
        if self._exchange is None or self._exchange.state is State.DONE:
            self._close()
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once, whatever is under way. Safe to call twice."""
        if self._phase is not Phase.CLOSED:
            if self._phase is not Phase.CLOSING:
                self._move(Phase.CLOSING)
            self._drop_exchange()
            self._farewell.abort()

    def _close(self) -> None:
        if self._phase not in (Phase.CLOSING, Phase.CLOSED):
            self._move(Phase.CLOSING)
            self._farewell.close()

    def _linger(self) -> None:
        self._move(Phase.LINGER)
        self._farewell.linger()

    def _break_off(self, exchange: Exchange) -> None:
        self._move(Phase.CLOSING)
        if exchange.started and exchange.request.version == "1.0":
            # Such an answer ends where the connection ends; only a reset is not an end.
            self._farewell.reset()
        else:
            self._farewell.abort()

    def _drop_exchange(self) -> None:
        if self._exchange is not None and self._exchange.state is not State.DONE:
            self._exchange.give_up()
            if self._task is not None:
                self._task.cancel()

    def _move(self, phase: Phase) -> None:
        assert phase in MOVES[self._phase], f"{self._phase} to {phase}"
        self._phase = phase
