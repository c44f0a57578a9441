"""The one handler for all dialects, streaming or not.

What may live here: the way from a request to a turn and from events to an answer. Until the first
event the status is open, and a failure is a status; after it, a failure is an event of the
stream, and the stream ends.
"""

import contextlib
import logging
import secrets

import msgspec

from ocpd.aio import wall_clock
from ocpd.claude.claim import Sheet
from ocpd.dialects.interface import Context, Dialect
from ocpd.dialects.support import refuse_unsupported
from ocpd.dispatch.attempt import Job
from ocpd.dispatch.hall import Hall
from ocpd.errors import OcpdError
from ocpd.http.exchange import Exchange
from ocpd.http.message import json_response, refusal
from ocpd.log import turn_context
from ocpd.models import Models, Resolved
from ocpd.turn.events import Event, Failed
from ocpd.turn.request import Turn, TurnId

_log = logging.getLogger("ocpd.turn")

STREAM_HEADERS = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    # nginx would hold the pieces back.
    ("x-accel-buffering", "no"),
)


class Defaults(msgspec.Struct, frozen=True):
    """What holds where a request is silent. ``max_body_bytes`` bounds its body."""

    model: str
    unknown_model: str
    max_body_bytes: int


class Turns:
    """Serves the turns of one dialect."""

    def __init__(self, dialect: Dialect, hall: Hall, models: Models, defaults: Defaults) -> None:
        self._dialect = dialect
        self._hall = hall
        self._models = models
        self._defaults = defaults

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request. Cancelled when the client leaves; that interrupts the turn."""
        turn_id = TurnId(secrets.token_hex(16))
        with turn_context(turn_id):
            try:
                body = await exchange.read_body(self._defaults.max_body_bytes)
                job = self._read(exchange, turn_id, body)
                del body
                await self._run(exchange, job)
            except OcpdError as error:
                if exchange.started:
                    raise
                await self._refuse(exchange, error, turn_id)

    def _read(self, exchange: Exchange, turn_id: TurnId, body: bytes) -> Job:
        found: list[Resolved] = []

        def resolve(name: str | None) -> str:
            resolved = self._models.resolve(
                name, default=self._defaults.model, unknown=self._defaults.unknown_model
            )
            found.append(resolved)
            return resolved.id

        headers = exchange.request.headers
        session = headers.get("x-session-id") or headers.get("x-conversation-id")
        turn = self._dialect.decode(body, Context(turn_id, resolve, session))
        refuse_unsupported(turn)
        return Job(turn, _sheet(found[-1]), is_listed=found[-1].listed)

    async def _run(self, exchange: Exchange, job: Job) -> None:
        turn = job.turn
        encoder = self._dialect.encoder(turn, int(wall_clock()))
        async with contextlib.aclosing(self._hall.run(job, self._dialect.name)) as batches:
            async for batch in batches:
                if not turn.stream or not exchange.started:
                    _raise_failure(batch)
                data = b"".join([encoder.feed(event) for event in batch])
                if not turn.stream:
                    if data:
                        await exchange.respond(json_response(200, data, _headers(turn)))
                    continue
                if not exchange.started:
                    await exchange.start(200, (*STREAM_HEADERS, *_headers(turn)))
                await exchange.write(data)
        if turn.stream:
            await exchange.finish()

    async def _refuse(self, exchange: Exchange, error: OcpdError, turn_id: TurnId) -> None:
        _log.info("turn_refused_at_the_door", extra={"status": error.status, "code": error.code})
        plain = refusal(error)
        headers = (*plain.headers, ("x-request-id", turn_id))
        body = self._dialect.refusal(error)
        await exchange.respond(msgspec.structs.replace(plain, headers=headers, body=body))


def _raise_failure(batch: list[Event]) -> None:
    for event in batch:
        if isinstance(event, Failed):
            raise event.error


def _headers(turn: Turn) -> tuple[tuple[str, str], ...]:
    headers: tuple[tuple[str, str], ...] = (("x-request-id", turn.id),)
    if turn.ignored:
        names = ", ".join(turn.ignored)
        headers += (("x-ocpd-ignored", names), ("x-proxy-unsupported", names))
    return headers


def _sheet(resolved: Resolved) -> Sheet:
    model = resolved.model
    if model is None:
        return Sheet()
    return Sheet(
        max_output_tokens=model.max_tokens,
        # Models that think adaptively take efforts; the others think on a fixed budget.
        thinks_on_budget=model.reasoning and not model.efforts,
    )
