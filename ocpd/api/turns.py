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
from ocpd.api.callers import FindKey, identify
from ocpd.claude.claim import Sheet
from ocpd.dialects.interface import Context, Dialect
from ocpd.dialects.support import refuse_unsupported
from ocpd.dispatch.hall import Hall
from ocpd.dispatch.job import Job, TimeLimits
from ocpd.errors import OcpdError
from ocpd.http.exchange import Exchange
from ocpd.http.message import json_response, refusal
from ocpd.log import turn_context
from ocpd.models import Models, Resolved
from ocpd.settings.values import Settings
from ocpd.turn.events import Event, Failed
from ocpd.turn.request import Text, Turn, TurnId

_log = logging.getLogger("ocpd.turn")

STREAM_HEADERS = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    # nginx would hold the pieces back.
    ("x-accel-buffering", "no"),
)

ANSWER_MS = 5_000
FIRST_BYTE_LEAST_MS = 10_000
"""What the tiers leave of ``timeout``, and the least the first byte gets (as in the seeds)."""


class Turns:
    """Serves the turns of one dialect. ``settings`` and ``models`` may be replaced at any time;
    they hold for the requests that come after."""

    def __init__(
        self,
        dialect: Dialect,
        hall: Hall,
        models: Models,
        settings: Settings,
        find_key: FindKey,
    ) -> None:
        self._dialect = dialect
        self._hall = hall
        self._find_key = find_key
        self.models = models
        self.settings = settings

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request. Cancelled when the client leaves; that interrupts the turn."""
        turn_id = TurnId(secrets.token_hex(16))
        with turn_context(turn_id):
            try:
                body = await exchange.read_body(self.settings.max_body_bytes)
                job = self._read(exchange, turn_id, body)
                del body
                await self._run(exchange, job)
            except OcpdError as error:
                if exchange.started:
                    raise
                await self._refuse(exchange, error, turn_id)

    def _read(self, exchange: Exchange, turn_id: TurnId, body: bytes) -> Job:
        found: list[tuple[str | None, Resolved]] = []

        def resolve(name: str | None) -> str:
            resolved = self.models.resolve(
                name,
                default=self.settings.default_model,
                unknown=self.settings.unknown_model,
            )
            found.append((name, resolved))
            return resolved.id

        headers = exchange.request.headers
        session = headers.get("x-session-id") or headers.get("x-conversation-id")
        turn = self._dialect.decode(body, Context(turn_id, resolve, session))
        refuse_unsupported(turn)
        asked, resolved = found[-1]
        chars = count_chars(turn)
        return Job(
            turn,
            _sheet(resolved),
            is_listed=resolved.listed,
            caller=identify(exchange.request, self._find_key),
            asked_model=asked or "",
            prompt_chars=chars,
            limits=time_limits(self.settings, resolved.id, chars),
        )

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
