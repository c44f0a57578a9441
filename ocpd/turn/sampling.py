"""What goes together and what does not: thinking with a call that must be made or with how tokens
are drawn, stop strings with the form of an answer.

What may live here: which of two gives way, one function for each decision. What gives way is
named in the turn's ``ignored``.
"""

from typing import Final

import msgspec

from ocpd.turn.effort import Effort
from ocpd.turn.request import Sampling, ToolMode, ToolPolicy, Turn
from ocpd.turn.schema import find_checker

MAX_TEMPERATURE: Final = 1.0
"""What the API behind takes; OpenAI's goes to 2."""

MAX_TOP_K: Final = 1_000_000
"""More than any vocabulary has: no choice at all, and no number for an API."""

_FORCED = frozenset({ToolMode.REQUIRED, ToolMode.NAMED})


def settle_choice(turn: Turn, effort: Effort, *, can_stop: bool) -> tuple[Turn, Effort]:
    """Return ``turn`` and how hard it is to think, so that both can be had.

    The API refuses to force a call while the model thinks. Where thinking can be switched off
    (``can_stop``) it is, at the same level; elsewhere the model is free to call, and the choice is
    named as ignored.
    """
    policy = turn.tool_policy
    if policy.mode not in _FORCED or not effort.thinks:
        return turn, effort
    if can_stop:
        return turn, msgspec.structs.replace(effort, thinks=False)
    free = ToolPolicy(ToolMode.AUTO, parallel=policy.parallel)
    field = "function_call" if turn.calls_as_functions else "tool_choice"
    return msgspec.structs.replace(_ignore(turn, field), tool_policy=free), effort


def settle_sampling(turn: Turn, *, thinks: bool, takes_sampling: bool) -> Turn:
    """Return ``turn`` with that of its sampling that can be forwarded; the rest is named as
    ignored.

    Only some models take any (``takes_sampling``), and only while they do not think.
    """
    asked = turn.sampling
    forwarded = _pick(asked) if takes_sampling and not thinks else Sampling()
    lost = [
        field
        for field, value in msgspec.structs.asdict(asked).items()
        if value is not None and getattr(forwarded, field) is None
    ]
    return msgspec.structs.replace(_ignore(turn, *lost), sampling=forwarded)


def _pick(asked: Sampling) -> Sampling:
    # Never top_p: the API refuses it beside a temperature, and the CLI sends one of its own with
    # every request of these models that does not think (seen on 2.1.330; null is refused too).
    temperature, top_k = asked.temperature, asked.top_k
    if temperature is not None and temperature > MAX_TEMPERATURE:
        temperature = None
    # Elsewhere 0 and -1 stand for "no limit".
    if top_k is not None and not 1 <= top_k <= MAX_TOP_K:
        top_k = None
    return Sampling(temperature, None, top_k)


def _ignore(turn: Turn, *fields: str) -> Turn:
    named = tuple(sorted({*turn.ignored, *fields}))
    return msgspec.structs.replace(turn, ignored=named)


def settle_form(turn: Turn) -> Turn:
    """Return ``turn`` without what does not go with an answer that must have a form: stop strings
    (half of a JSON text is none) and a call that must be made are named as ignored; tools that must
    not be called are left out.

    Raises BadRequest for a schema that cannot be used.
    """
    if find_checker(turn.format) is None:
        return turn
    policy = turn.tool_policy
    if policy.mode is ToolMode.NONE:
        # Else the call that gives the answer would be forbidden too.
        turn = msgspec.structs.replace(turn, tools=(), tool_policy=ToolPolicy())
    elif policy.mode is ToolMode.REQUIRED:
        # That call would do for it.
        free = ToolPolicy(ToolMode.AUTO, parallel=policy.parallel)
        turn = msgspec.structs.replace(_ignore(turn, "tool_choice"), tool_policy=free)
    if not turn.limits.stop:
        return turn
    limits = msgspec.structs.replace(turn.limits, stop=())
    return msgspec.structs.replace(_ignore(turn, "stop"), limits=limits)
