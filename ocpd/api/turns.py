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
from ocpd.api.callers import FindKey, identify
from ocpd.api.sessions import Session, Sessions
from ocpd.claude.claim import Sheet
from ocpd.dialects.interface import Context, Dialect
from ocpd.dialects.support import refuse_unsupported
from ocpd.dispatch.hall import Hall
from ocpd.dispatch.job import Job, TimeLimits
from ocpd.errors import OcpdError
from ocpd.http.exchange import Exchange
from ocpd.http.message import json_response, refusal
from ocpd.log import turn_context
from ocpd.models import Model, Models, Resolved
from ocpd.settings.values import Settings
from ocpd.turn.attachments import Caps, check_attachments
from ocpd.turn.effort import LEFT_TO_MODEL, Effort, choose_effort
from ocpd.turn.events import Event, Failed, Finished, StopReason, TextDelta
from ocpd.turn.request import Text, Turn, TurnId

_log = logging.getLogger("ocpd.turn")

STREAM_HEADERS = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    # nginx would hold the pieces back.
    ("x-accel-buffering", "no"),
)

EFFORTS = ("low", "medium", "high", "xhigh", "max")

KEEP_S = 5.0
"""Longest time that keeping a named conversation may hold up the end of its turn."""

CUT = frozenset({StopReason.REFUSAL, StopReason.CONTEXT_EXCEEDED})
"""Ends after which a named conversation stays what it was."""

ANSWER_MS = 5_000
FIRST_BYTE_LEAST_MS = 10_000
"""What the tiers leave of ``timeout``, and the least the first byte gets (as in the seeds)."""


class Conditions(msgspec.Struct):
    """What requests are read under. Both may be replaced at any time; they hold for the requests
    that come after."""

    settings: Settings
    models: Models


class Turns:
    """Serves the turns of one dialect."""

    def __init__(
        self,
        dialect: Dialect,
        hall: Hall,
        sessions: Sessions,
        find_key: FindKey,
        conditions: Conditions,
    ) -> None:
        self._dialect = dialect
        self._hall = hall
        self._sessions = sessions
        self._find_key = find_key
        self.conditions = conditions

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
            body = await exchange.read_body(self.conditions.settings.max_body_bytes)
            return self._read(exchange, turn_id, body)
        except OcpdError as error:
            # What comes after this is in the ledger's line.
            told = {"status": error.status, "code": error.code}
            _log.info("turn_refused_at_the_door", extra=told)
            raise

    def _read(self, exchange: Exchange, turn_id: TurnId, body: bytes) -> Job:
        found: list[tuple[str | None, Resolved]] = []

        def resolve(name: str | None) -> str:
            resolved = self.conditions.models.resolve(
                name,
                default=self.conditions.settings.default_model,
                unknown=self.conditions.settings.unknown_model,
            )
            found.append((name, resolved))
            return resolved.id

        headers = exchange.request.headers
        session = headers.get("x-session-id") or headers.get("x-conversation-id")
        context = Context(turn_id, resolve, session, headers.get("x-effort"))
        turn = self._dialect.decode(body, context)
        refuse_unsupported(turn)
        check_attachments(turn, _caps(self.conditions.settings))
        asked, resolved = found[-1]
        chars = count_chars(turn)
        effort = _effort(resolved, turn.effort, self.conditions.settings.default_effort)
        turn = msgspec.structs.replace(turn, tells_reasoning=effort.is_told)
        return Job(
            turn,
            _sheet(resolved, effort),
            is_listed=resolved.listed,
            caller=identify(exchange.request, self._find_key),
            asked_model=asked or "",
            prompt_chars=chars,
            limits=time_limits(self.conditions.settings, resolved.id, chars),
        )

    async def _serve(self, exchange: Exchange, job: Job) -> None:
        if job.turn.session is None:
            await self._run(exchange, job)
            return
        async with self._sessions.open(job.caller.scope, job.turn) as session:
            whole = session.turn
            chars = count_chars(whole)
            limits = time_limits(self.conditions.settings, whole.model, chars)
            named = msgspec.structs.replace(job, turn=whole, prompt_chars=chars, limits=limits)
            answer = await self._run(exchange, named)
            if answer is not None:
                # Also if the client leaves with the last byte.
                await finish(_keep(session, answer), KEEP_S)

    async def _run(self, exchange: Exchange, job: Job) -> str | None:
        """Run and answer; returns the text, or None if it did not come to a good end."""
        turn = job.turn
        said = Said()
        encoder = self._dialect.encoder(turn, int(wall_clock()))
        async with contextlib.aclosing(self._hall.run(job, self._dialect.name)) as batches:
            async for batch in batches:
                said.hear(batch)
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
        return said.whole

    async def _refuse(self, exchange: Exchange, error: OcpdError, turn_id: TurnId) -> None:
        plain = refusal(error)
        headers = (*plain.headers, ("x-request-id", turn_id))
        body = self._dialect.refusal(error)
        await exchange.respond(msgspec.structs.replace(plain, headers=headers, body=body))


class Said:
    """The text of an answer, as it comes."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.whole: str | None = None

    def hear(self, batch: list[Event]) -> None:
        """Take in what was said; ``whole`` is there once the answer is complete and not cut."""
        for event in batch:
            if isinstance(event, TextDelta):
                self._pieces.append(event.text)
            elif isinstance(event, Finished) and event.reason not in CUT:
                self.whole = "".join(self._pieces)


async def _keep(session: Session, answer: str) -> None:
    try:
        if not await session.keep(answer):
            _log.info("session_too_long")
    except OcpdError as error:
        # The answer is out already; the next turn must send the whole history.
        _log.warning("session_not_kept", extra={"reason": error.message})


def count_chars(turn: Turn) -> int:
    """Return the length of all texts of a turn."""
    return len(turn.system) + sum(
        len(part.text)
        for message in turn.messages
        for part in message.parts
        if isinstance(part, Text)
    )


def time_limits(settings: Settings, model: str, chars: int) -> TimeLimits:
    """Return how long a turn may take: a large prompt of a thorough model needs longer to its
    first byte. Who sets firstByteTimeout means it; left at its default, the family's tier holds,
    and some of the whole time is left for the answer."""
    total_s = settings.timeout_ms / 1000
    if settings.first_byte_timeout_ms != Settings().first_byte_timeout_ms:
        return TimeLimits(settings.first_byte_timeout_ms / 1000, total_s)
    base_ms, per_char = settings.tiers_sonnet_base_ms, settings.tiers_sonnet_per_char
    if "opus" in model:
        base_ms, per_char = settings.tiers_opus_base_ms, settings.tiers_opus_per_char
    elif "haiku" in model:
        base_ms, per_char = settings.tiers_haiku_base_ms, settings.tiers_haiku_per_char
    tier_ms = base_ms + chars * per_char
    most_ms = max(settings.timeout_ms - ANSWER_MS, FIRST_BYTE_LEAST_MS)
    return TimeLimits(min(tier_ms, most_ms) / 1000, total_s)


def _caps(settings: Settings) -> Caps:
    return Caps(
        each=settings.max_image_bytes,
        total=settings.max_image_total_bytes,
        most=settings.max_images,
        allow_url=settings.image_allow_url,
    )


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


def _sheet(resolved: Resolved, effort: Effort) -> Sheet:
    model = resolved.model
    if model is None:
        return Sheet(effort=effort.level)
    return Sheet(
        max_output_tokens=model.max_tokens,
        thinks_on_budget=_thinks_on_budget(model),
        effort=effort.level,
        thinks=effort.thinks,
    )


def _effort(resolved: Resolved, asked: str | None, default: str) -> Effort:
    model = resolved.model
    if model is None:
        # Nobody knows what it has: the CLI will say.
        return choose_effort(asked, LEFT_TO_MODEL, EFFORTS, can_stop=False)
    return choose_effort(asked, default, model.efforts, can_stop=_thinks_on_budget(model))


def _thinks_on_budget(model: Model) -> bool:
    # Models that think adaptively take efforts; the others think on a fixed budget.
    return model.reasoning and not model.efforts
