"""The one handler for all dialects, streaming or not.

What may live here: the way from a request to a turn and from events to an answer. How that is told
is ``telling``'s.
"""

import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator

import msgspec

from ocpd.aio import finish
from ocpd.api.intake import Intake
from ocpd.api.presence import Presence, without_end
from ocpd.api.sessions import Session, Sessions
from ocpd.api.telling import Telling
from ocpd.dialects.interface import Dialect
from ocpd.dispatch.encore import Encore, Note
from ocpd.dispatch.hall import Hall
from ocpd.dispatch.job import Job
from ocpd.errors import OcpdError
from ocpd.http.exchange import Exchange
from ocpd.http.message import refusal
from ocpd.log import turn_context
from ocpd.turn.answer import Answer
from ocpd.turn.events import Event, Finished, StopReason
from ocpd.turn.request import Message, TurnId

_log = logging.getLogger("ocpd.turn")

CACHE_HEADER = "x-ocpd-cache"
"""``hit`` or ``miss``, while answers may be given again."""

KEEP_S = 5.0
"""Longest time that keeping a named conversation may hold up the end of its turn."""

CUT = frozenset({StopReason.REFUSAL, StopReason.CONTEXT_EXCEEDED})
"""Ends after which a named conversation stays what it was."""


class Turns:
    """Serves the turns of one dialect."""

    def __init__(
        self,
        dialect: Dialect,
        hall: Hall,
        sessions: Sessions,
        intake: Intake,
        presence: Presence | None = None,
        encore: Encore | None = None,
    ) -> None:
        """``encore`` must be of ``hall``; None: every answer is made."""
        self._dialect = dialect
        self._hall = hall
        self._sessions = sessions
        self._intake = intake
        self._presence = presence or Presence(without_end, lambda: True)
        self._encore = encore

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
        beat_s = self._intake.conditions.settings.heartbeat_ms / 1000
        telling = Telling(exchange, self._dialect, job.turn, beat_s)
        telling.begin()
        try:
            async with self._presence.enter(exchange.request, job.caller):
                await self._answer(telling, job)
        except OcpdError as error:
            await telling.fail(error)
        finally:
            telling.stop()

    async def _answer(self, telling: Telling, job: Job) -> None:
        if job.turn.session is None:
            await self._run(telling, self._intake.prepare(job, job.turn))
            return
        async with self._sessions.open(job.caller.scope, job.turn) as session:
            await self._run(telling, self._intake.prepare(job, session.turn), session)

    async def _run(self, telling: Telling, job: Job, session: Session | None = None) -> None:
        said = Said()
        marks: list[tuple[str, str]] = []

        def add_headers() -> None:
            if not telling.has_begun:
                telling.add_headers((*self._hall.quota_headers(job), *marks))

        def note(word: str) -> None:
            marks.append((CACHE_HEADER, word))
            add_headers()

        telling.settle(job.turn)
        add_headers()
        async with contextlib.aclosing(self._pull(job, note)) as batches:
            async for batch in batches:
                said.hear(batch)
                add_headers()
                if session is not None and said.whole is not None:
                    # Before the last bytes: whoever reads them may go on at once. And to its end,
                    # also if the client leaves.
                    await finish(_keep(session, said.whole), KEEP_S)
                await telling.tell(batch)
        await telling.end()

    def _pull(self, job: Job, note: Note) -> AsyncGenerator[list[Event], None]:
        if self._encore is None:
            return self._hall.run(job, self._dialect.name)
        return self._encore.run(job, self._dialect.name, note)

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
