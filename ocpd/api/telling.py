"""How the answer of one turn reaches its client: whole or as a stream, with a status or an event
for a failure.

What may live here: when the status is committed, and what is said after that. A stream commits it
with its first event, or its first heartbeat; until then a failure is a status, after it an event of
the stream, which ends.
"""

from ocpd.aio import wall_clock
from ocpd.api.heartbeat import Head, Heartbeat
from ocpd.dialects.interface import Dialect
from ocpd.errors import Gone, OcpdError
from ocpd.http.exchange import Exchange, State
from ocpd.http.message import json_response
from ocpd.turn.events import Event, Failed
from ocpd.turn.request import Turn

STREAM_HEADERS = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    # nginx would hold the pieces back.
    ("x-accel-buffering", "no"),
)


class Telling:
    """One answer. ``begin``, then ``tell`` what comes, and ``end``, or ``fail``; ``stop`` in any
    case. ``beat_s`` is the silence after which a stream says that it is alive; 0 is never."""

    def __init__(self, exchange: Exchange, dialect: Dialect, turn: Turn, beat_s: float) -> None:
        self._exchange = exchange
        self._is_stream = turn.stream
        self._encoder = dialect.encoder(turn, int(wall_clock()))
        interval_s = beat_s if turn.stream else 0.0
        head = (*STREAM_HEADERS, *_headers(turn))
        self._heartbeat = Heartbeat(exchange, dialect.keepalive, interval_s, head)
        self._headers = _headers(turn)
        self._added: Head = ()

    def begin(self) -> None:
        """Let a stream be heard from now on."""
        self._heartbeat.start()

    def settle(self, turn: Turn) -> None:
        """Tell with the headers what became of the request: it runs as ``turn``."""
        self._headers = _headers(turn)
        self._heartbeat.head = (*STREAM_HEADERS, *self._headers, *self._added)

    @property
    def has_begun(self) -> bool:
        """Whether the headers are out."""
        return self._exchange.started

    def add_headers(self, headers: Head) -> None:
        """Put ``headers`` in the place of those added before, as long as none are out."""
        self._added = headers
        self._heartbeat.head = (*STREAM_HEADERS, *self._headers, *headers)

    async def tell(self, batch: list[Event]) -> None:
        """Pass on what happened. Raises the failure in it while it can still be a status, and Gone
        if the client left; waits while the client is slow."""
        if not self._is_stream or not self._exchange.started:
            _raise_failure(batch)
        data = b"".join([self._encoder.feed(event) for event in batch])
        if not self._is_stream:
            if data:
                await self._exchange.respond(
                    json_response(200, data, (*self._headers, *self._added))
                )
            return
        if not self._exchange.started:
            await self._exchange.start(200, self._heartbeat.head)
        await self._exchange.write(data)
        self._heartbeat.start()

    async def end(self) -> None:
        """All was told. Raises Gone if the client left."""
        if self._is_stream:
            await self._exchange.finish()

    async def fail(self, error: OcpdError) -> None:
        """End a stream that has begun with ``error``. Raises it if nothing has begun, or nothing
        more can be said."""
        if isinstance(error, Gone) or self._exchange.state is not State.STREAMING:
            raise error
        await self._exchange.write(self._encoder.feed(Failed(error)))
        await self._exchange.finish()

    def stop(self) -> None:
        """Nothing is told any more."""
        self._heartbeat.stop()


def _raise_failure(batch: list[Event]) -> None:
    for event in batch:
        if isinstance(event, Failed):
            raise event.error


def _headers(turn: Turn) -> tuple[tuple[str, str], ...]:
    headers: tuple[tuple[str, str], ...] = (("x-request-id", turn.id),)
    if turn.ignored:
        names = ", ".join(turn.ignored)
        headers += (("x-ocpd-ignored", names), ("x-proxy-unsupported", names))
    if turn.dropped:
        headers += (("x-ocpd-truncated", str(turn.dropped)),)
    return headers
