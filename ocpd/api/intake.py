"""From a request to a job: what is asked, of which model, under which limits.

What may live here: what the settings and the models table make of a turn. Nothing here waits.
"""

import logging
from collections.abc import Callable, Sequence

import msgspec

from ocpd.claude.limits import Sheet, will_think
from ocpd.dialects.interface import ChooseServers, Context, Dialect
from ocpd.dispatch.job import Job, TimeLimits
from ocpd.http.message import Headers, Request
from ocpd.models import Model, Models, Resolved
from ocpd.settings.values import Settings
from ocpd.turn.attachments import Caps, check_attachments
from ocpd.turn.cachekey import has_cache_control
from ocpd.turn.caller import Caller
from ocpd.turn.calls import pair_calls
from ocpd.turn.effort import LEFT_TO_MODEL, Effort, choose_default, choose_effort
from ocpd.turn.own_tools import give_tools
from ocpd.turn.request import Turn, TurnId
from ocpd.turn.sampling import settle_choice, settle_form, settle_sampling
from ocpd.turn.servers import Registry, Server, choose_servers
from ocpd.turn.truncate import count_chars, truncate

_log = logging.getLogger("ocpd.turn")

Identify = Callable[[Request], Caller]
"""From a request to who asks; raises OcpdError for who may not."""

EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""What a model is taken to have that nobody knows: the CLI will say."""

CHARS_PER_TOKEN = 3
"""Few on purpose: a text with fewer is refused upstream, and said to be too long."""

ANSWER_MS = 5_000
FIRST_BYTE_LEAST_MS = 10_000
"""What the tiers leave of ``timeout``, and the least the first byte gets (as in the seeds)."""


class Conditions(msgspec.Struct):
    """What requests are read under. Each may be replaced at any time; they hold for the requests
    that come after."""

    settings: Settings
    models: Models
    registry: Registry = Registry()


class Intake:
    """Reads the requests of one dialect."""

    def __init__(self, dialect: Dialect, identify: Identify, conditions: Conditions) -> None:
        self._dialect = dialect
        self._identify = identify
        self.conditions = conditions

    def read(self, request: Request, turn_id: TurnId, body: bytes) -> Job:
        """Make a job of a request. Raises OcpdError naming what does not fit."""
        settings = self.conditions.settings
        found: list[tuple[str | None, Resolved]] = []

        def resolve(name: str | None) -> str:
            resolved = self.conditions.models.resolve(
                name, default=settings.default_model, unknown=settings.unknown_model
            )
            found.append((name, resolved))
            return resolved.id

        # Again, though the guard asked already: the body may have been long in coming.
        caller = self._identify(request)
        registry = self.conditions.registry

        def choose(asked: Sequence[str], field: str) -> tuple[Server, ...]:
            return choose_servers(registry, asked, field, caller.servers)

        turn = self._dialect.decode(body, _context(request.headers, turn_id, resolve, choose))
        if has_cache_control(body):
            turn = msgspec.structs.replace(turn, has_cache_control=True)
        turn = settle_form(turn)
        check_attachments(turn, _caps(settings))
        turn = give_tools(turn, settings, caller.own_tools)
        asked, resolved = found[-1]
        turn, sheet = settle(turn, resolved.model, settings)
        return Job(
            turn,
            sheet,
            is_listed=resolved.listed,
            caller=caller,
            asked_model=asked or "",
        )

    def prepare(self, job: Job, turn: Turn) -> Job:
        """Return ``job`` as it is to run, for the whole conversation ``turn``: with the operator's
        prompt, and without the oldest messages if it is too long.

        Raises BadRequest for calls without results and the other way round, and
        ``context_length_exceeded`` if nothing can be left out.
        """
        settings = self.conditions.settings
        turn = pair_calls(turn)
        chars = count_chars(turn)
        whole = add_system_prompt(turn, settings.system_prompt)
        fitting = truncate(whole, self._budget(turn.model), may_drop=settings.truncate)
        if fitting.dropped:
            _log.info("prompt_truncated", extra={"dropped": fitting.dropped})
        return msgspec.structs.replace(
            job,
            turn=fitting,
            prompt_chars=chars,
            limits=time_limits(settings, turn.model, chars),
        )

    def _budget(self, model: str) -> int | None:
        if most := self.conditions.settings.max_prompt_chars:
            return most
        resolved = self.conditions.models.resolve(model, default=model, unknown="refuse")
        known = resolved.model
        return None if known is None else known.context_length * CHARS_PER_TOKEN


def add_system_prompt(turn: Turn, addition: str) -> Turn:
    """Put the operator's own instructions behind the caller's."""
    if not addition:
        return turn
    joined = f"{turn.system}\n\n{addition}" if turn.system else addition
    return msgspec.structs.replace(turn, system=joined)


def time_limits(settings: Settings, model: str, chars: int) -> TimeLimits:
    """Return how long a turn may take: a large prompt of a thorough model needs longer to its
    first byte. Who sets firstByteTimeout means it; left at its default, the family's tier holds,
    and some of the whole time is left for the answer."""
    total_s, idle_s = settings.timeout_ms / 1000, settings.idle_event_timeout_ms / 1000
    if settings.first_byte_timeout_ms != Settings().first_byte_timeout_ms:
        return TimeLimits(settings.first_byte_timeout_ms / 1000, total_s, idle_s)
    base_ms, per_char = settings.tiers_sonnet_base_ms, settings.tiers_sonnet_per_char
    if "opus" in model:
        base_ms, per_char = settings.tiers_opus_base_ms, settings.tiers_opus_per_char
    elif "haiku" in model:
        base_ms, per_char = settings.tiers_haiku_base_ms, settings.tiers_haiku_per_char
    tier_ms = base_ms + chars * per_char
    most_ms = max(settings.timeout_ms - ANSWER_MS, FIRST_BYTE_LEAST_MS)
    return TimeLimits(min(tier_ms, most_ms) / 1000, total_s, idle_s)


def settle(turn: Turn, model: Model | None, settings: Settings) -> tuple[Turn, Sheet]:
    """Return ``turn`` as ``model`` can have it, and how the model is to be set for it; None is a
    model nobody knows.

    Raises BadRequest for an effort that was asked for and is not there.
    """
    effort = _effort(turn, model, settings)
    turn, effort = settle_choice(turn, effort, can_stop=_can_stop(model))
    sheet = _sheet(model, effort)
    takes_sampling = model is not None and model.sampling
    # A small max_tokens may leave no room for thinking either.
    thinks = will_think(turn, sheet)
    turn = settle_sampling(turn, thinks=thinks, takes_sampling=takes_sampling)
    return msgspec.structs.replace(turn, tells_reasoning=effort.is_told), sheet


def _context(
    headers: Headers, turn_id: TurnId, resolve: Callable[[str | None], str], choose: ChooseServers
) -> Context:
    return Context(
        turn_id,
        resolve,
        session=headers.get("x-session-id") or headers.get("x-conversation-id"),
        effort=headers.get("x-effort"),
        # A list may be sent as one line or as several.
        servers=",".join(headers.get_all("x-mcp-servers")) if "x-mcp-servers" in headers else None,
        choose_servers=choose,
    )


def _caps(settings: Settings) -> Caps:
    return Caps(
        each=settings.max_image_bytes,
        total=settings.max_image_total_bytes,
        most=settings.max_images,
        allow_url=settings.image_allow_url,
    )


def _sheet(model: Model | None, effort: Effort) -> Sheet:
    if model is None:
        return Sheet(effort=effort.level)
    return Sheet(
        max_output_tokens=model.max_tokens,
        thinks_on_budget=_thinks_on_budget(model),
        effort=effort.level,
        thinks=effort.thinks,
    )


def _effort(turn: Turn, model: Model | None, settings: Settings) -> Effort:
    # Nobody knows what an unknown model has: the CLI will say.
    default, levels = (
        (LEFT_TO_MODEL, EFFORTS) if model is None else (settings.default_effort, model.efforts)
    )
    if turn.reasoning_field is None:
        default = choose_default(settings.thinking, default)
    return choose_effort(
        turn.effort,
        default,
        levels,
        can_stop=_can_stop(model),
        field=turn.reasoning_field,
    )


def _can_stop(model: Model | None) -> bool:
    return model is not None and model.thinking_off


def _thinks_on_budget(model: Model) -> bool:
    # Models that think adaptively take efforts; the others think on a fixed budget.
    return model.reasoning and not model.efforts
