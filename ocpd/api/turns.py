"""The one handler for all dialects, streaming or not.

What may live here: the way from a request to a turn and from events to an answer. Until the first
event the status is open, and a failure is a status; after it, a failure is an event of the
stream, and the stream ends.
"""

import contextlib
import logging
import secrets

import msgspec

from ocpd.aio import finish, wall_clock
from ocpd.api.intake import Intake
from ocpd.api.sessions import Session, Sessions
from ocpd.dialects.interface import Dialect
from ocpd.dispatch.hall import Hall
from ocpd.dispatch.job import Job
from ocpd.errors import OcpdError
from ocpd.http.exchange import Exchange
from ocpd.http.message import json_response, refusal
from ocpd.log import turn_context
from ocpd.turn.answer import Answer
from ocpd.turn.events import Event, Failed, Finished, StopReason
from ocpd.turn.request import Message, Turn, TurnId

_log = logging.getLogger("ocpd.turn")

STREAM_HEADERS = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    # nginx would hold the pieces back.
    ("x-accel-buffering", "no"),
)

KEEP_S = 5.0
"""Longest time that keeping a named conversation may hold up the end of its turn."""

CUT = frozenset({StopReason.REFUSAL, StopReason.CONTEXT_EXCEEDED})
"""Ends after which a named conversation stays what it was."""


class Turns:
    """Serves the turns of one dialect."""

    def __init__(self, dialect: Dialect, hall: Hall, sessions: Sessions, intake: Intake) -> None:
        self._dialect = dialect
        self._hall = hall
        self._sessions = sessions
        self._intake = intake

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request. Cancelled when the client leaves; that interrupts the turn."""
        turn_id = TurnId(secrets.token_hex(16))
        with turn_context(turn_id):
            try:
                job = await self._receive(exchange, turn_id)
                await self._serve(exchange, job)
            except OcpdError as error:
                if exchange.started:
                    raise
                await self._refuse(exchange, error, turn_id)

    async def _receive(self, exchange: Exchange, turn_id: TurnId) -> Job:
        try:
            body = await exchange.read_body(self._intake.conditions.settings.max_body_bytes)
            return self._intake.read(exchange.request, turn_id, body)
        except OcpdError as error:
            # What comes after this is in the ledger's line.
            told = {"status": error.status, "code": error.code}
            _log.info("turn_refused_at_the_door", extra=told)
            raise

    async def _serve(self, exchange: Exchange, job: Job) -> None:
        if job.turn.session is None:
            await self._run(exchange, self._intake.prepare(job, job.turn))
            return
        async with self._sessions.open(job.caller.scope, job.turn) as session:
            await self._run(exchange, self._intake.prepare(job, session.turn), session)

    async def _run(self, exchange: Exchange, job: Job, session: Session | None = None) -> None:
        turn = job.turn
        said = Said()
        encoder = self._dialect.encoder(turn, int(wall_clock()))
        async with contextlib.aclosing(self._hall.run(job, self._dialect.name)) as batches:
            async for batch in batches:
                said.hear(batch)
                if not turn.stream or not exchange.started:
                    _raise_failure(batch)
                if session is not None and said.whole is not None:
                    # Before the last bytes: whoever reads them may go on at once. And to its end,
                    # also if the client leaves.
                    await finish(_keep(session, said.whole), KEEP_S)
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
        plain = refusal(error)
        headers = (*plain.headers, ("x-request-id", turn_id))
        body = self._dialect.refusal(error)
        await exchange.respond(msgspec.structs.replace(plain, headers=headers, body=body))


class Said:
    """An answer, as it comes."""

    def __init__(self) -> None:
        self._answer = Answer()
        self.whole: Message | None = None

    def hear(self, batch: list[Event]) -> None:
        """Take in what was said; ``whole`` is there once the answer is complete and not cut."""
        for event in batch:
            self._answer.hear(event)
            if isinstance(event, Finished) and event.reason not in CUT:
                self.whole = self._answer.message()


async def _keep(session: Session, answer: Message) -> None:
    try:
        if not await session.keep(answer):
            _log.info("session_too_long")
    except OcpdError as error:
        # The answer is out already; the next turn must send the whole history.
        _log.warning("session_not_kept", extra={"reason": error.message})


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
