"""What holds for one turn of a process: how long, how hard, how free; and the frames that say so.

What may live here: from a turn and its model to settings of the CLI, and what differs from those
in force. They stay until others are written.

Most of them travel in ``CLAUDE_CODE_EXTRA_BODY``, which the CLI reads for each request: they hold
also when the results of held calls go in. ``CLAUDE_CODE_MAX_OUTPUT_TOKENS`` and the thinking budget
are read when a turn of the CLI's begins (both measured on 2.1.330).
"""

import msgspec

from ocpd.claude.frames import control
from ocpd.claude.names import wire_name
from ocpd.turn.request import Sampling, Shape, Tool, ToolMode, Turn

LIMITS = "limits"
THINKING = "thinking"

_COMBINED = (b'"allOf"', b'"anyOf"', b'"oneOf"')

MIN_THINKING_BUDGET = 1024
"""The least thinking budget the Messages API takes. It must also stay below max_tokens."""

_encode = msgspec.json.Encoder().encode


class Sheet(msgspec.Struct, frozen=True):
    """What a claim needs to know of the model: its output limit (None: unknown) and whether it
    thinks on a fixed budget, which has to fit into a small ``max_tokens``; and how hard it is to
    think for this turn."""

    max_output_tokens: int | None = None
    thinks_on_budget: bool = False
    effort: str | None = None
    thinks: bool = True


class Applied(msgspec.Struct, frozen=True):
    """What is in force in a process. ``body`` is JSON text that goes into each of its requests."""

    max_tokens: int | None = None
    thinks: bool = True
    effort: str | None = None
    body: str | None = None

    def holds_at_once(self, wanted: "Applied") -> bool:
        """Whether ``wanted`` can be had within a turn of the CLI's that has begun."""
        return (self.max_tokens, self.thinks) == (wanted.max_tokens, wanted.thinks)


def will_think(turn: Turn, sheet: Sheet, *, is_signed: bool = True) -> bool:
    """Whether the model thinks in ``turn``. ``is_signed``: the thinking before its calls is still
    there, with the upstream's signature."""
    if not (sheet.thinks and sheet.thinks_on_budget):
        return sheet.thinks
    # A model that thinks on a budget must have thought before each call of a request, and the
    # upstream refuses a budget that does not fit under max_tokens.
    most = _cap(turn, sheet)
    return is_signed and (most is None or most > MIN_THINKING_BUDGET)


def find_limits(turn: Turn, sheet: Sheet, *, is_signed: bool = True) -> Applied:
    """Return what ``turn`` needs; ``is_signed`` as in ``will_think``."""
    body = _choose_tools(turn) | _spell_tools(turn) | _sample(turn.sampling)
    wanted, effort = _cap(turn, sheet), sheet.effort
    if effort is not None and sheet.max_output_tokens is not None:
        # The setting holds for a turn of the CLI's with some models; this for every request.
        body, effort = body | {"output_config": {"effort": effort}}, None
    is_known = sheet.max_output_tokens is not None
    if wanted is not None and is_known and not sheet.thinks_on_budget:
        # The other way the CLI makes the budget fit, and keeps to what the model can.
        body, wanted = {"max_tokens": wanted} | body, None
    thinks = will_think(turn, sheet, is_signed=is_signed)
    return Applied(wanted, thinks, effort, _encode(body).decode() if body else None)


def write_limits(wanted: Applied, before: Applied) -> bytes:
    """Write what differs; null takes a limit back (measured on 2.1.330)."""
    frames = b""
    if wanted.thinks != before.thinks:
        request: dict[str, object] = {
            "subtype": "set_max_thinking_tokens",
            "max_thinking_tokens": None if wanted.thinks else 0,
            # Else it falls back to what is made for a terminal.
            "thinking_display": "summarized",
        }
        frames = control(THINKING, request)
    env: dict[str, str | None] = {}
    settings: dict[str, object] = {}
    if wanted.max_tokens != before.max_tokens:
        tokens = None if wanted.max_tokens is None else str(wanted.max_tokens)
        env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = tokens
    if wanted.body != before.body:
        env["CLAUDE_CODE_EXTRA_BODY"] = wanted.body
    if env:
        settings["env"] = env
    if wanted.effort != before.effort:
        settings["effortLevel"] = wanted.effort
    if settings:
        frames += control(LIMITS, {"subtype": "apply_flag_settings", "settings": settings})
    return frames


def _cap(turn: Turn, sheet: Sheet) -> int | None:
    """The most tokens of the answer, as far as the model can."""
    wanted, most = turn.limits.max_tokens, sheet.max_output_tokens
    return wanted if wanted is None or most is None else min(wanted, most)


def _sample(sampling: Sampling) -> dict[str, object]:
    given = msgspec.structs.asdict(sampling)
    return {name: value for name, value in given.items() if value is not None}


def _choose_tools(turn: Turn) -> dict[str, object]:
    if not turn.tools:
        return {}
    choice = _spell_choice(turn)
    is_free = turn.tool_policy.mode is not ToolMode.NONE
    if is_free and not turn.tool_policy.parallel:
        choice = {"type": "auto"} | choice | {"disable_parallel_tool_use": True}
    return {"tool_choice": choice} if choice else {}


def _spell_tools(turn: Turn) -> dict[str, object]:
    """Spell the tools anew where the CLI would change them: it makes other characters of some that
    are not ASCII, and takes apart what is combined at the top of a schema. The list takes the place
    of the CLI's, so not beside tools of others."""
    has_others = turn.servers or turn.own_tools or turn.format.shape is not Shape.TEXT
    if has_others or all(_is_plain(tool) for tool in turn.tools):
        return {}
    tools = [
        {
            "name": wire_name(turn, tool.name),
            "description": tool.description,
            "input_schema": tool.schema,
        }
        for tool in turn.tools
    ]
    return {"tools": tools}


def _is_plain(tool: Tool) -> bool:
    schema = bytes(tool.schema)
    is_ascii = tool.description.isascii() and schema.isascii() and b"\\u" not in schema
    return is_ascii and not any(word in schema for word in _COMBINED)


def _spell_choice(turn: Turn) -> dict[str, object]:
    match turn.tool_policy.mode:
        case ToolMode.AUTO:
            return {}
        case ToolMode.NONE:
            return {"type": "none"}
        case ToolMode.REQUIRED:
            return {"type": "any"}
        case ToolMode.NAMED:
            return {"type": "tool", "name": wire_name(turn, turn.tool_policy.name or "")}
