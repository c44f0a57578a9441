"""Which answers may be given again, and to which requests.

What may live here: what makes two requests equal, and what makes a request one of a kind. All that
shapes an answer is in the key: who is asked for, the model, every word, every knob.
"""

import hashlib
import re

import msgspec

from ocpd.turn.request import (
    Limits,
    Message,
    Sampling,
    Shape,
    ToolResult,
    ToolUse,
    Turn,
)

MARK = "cache_control"

VERSION = "ocpd 1"
"""Part of every key. Another one makes all that was kept unreachable."""

SHAPING = frozenset(
    {
        "model",
        "messages",
        "system",
        "format",
        "limits",
        "sampling",
        "effort",
        "reasoning_field",
        "tells_reasoning",
    }
)
"""Fields of a turn that are in its key."""

BARRING = frozenset({"tools", "servers", "own_tools", "session", "has_cache_control"})
"""Fields of a turn that have no place in a key: a turn that makes use of one has none."""

IDLE = frozenset(
    {
        "id",
        "stream",
        "include_usage",
        "user",
        "ignored",
        "dropped",
        "tool_policy",
        "calls_as_functions",
        "is_unasked",
    }
)
"""Fields that do not shape what is said, those of tools because there are none."""

# Any letter of a name may be written as an escape.
_MARK = re.compile(
    b'"' + b"".join(b"(?:%c|\\\\u(?i:%04x))" % (code, code) for code in MARK.encode()) + b'"'
)


class _Key(msgspec.Struct, frozen=True, array_like=True):
    # MessagePack puts a length before each field: none can run into the next. A schema is bytes,
    # as raw it would be put in as it is.
    version: str
    scope: str
    model: str
    system: str
    messages: tuple[Message, ...]
    shape: Shape
    schema: bytes | None
    schema_name: str | None
    is_strict: bool
    limits: Limits
    sampling: Sampling
    effort: str | None
    reasoning_field: str | None
    tells_reasoning: bool
    circumstances: bytes


_encode = msgspec.msgpack.Encoder().encode


def find_key(turn: Turn, scope: str, circumstances: msgspec.Struct) -> str | None:
    """Return the key of a turn, as 64 hexadecimal digits; None if its answer is for once.

    ``turn`` is what runs: with the operator's prompt and all defaults. ``scope`` is the caller's;
    ``circumstances`` are what else shapes the answer.
    """
    if _is_unique(turn):
        return None
    form = turn.format
    key = _Key(
        version=VERSION,
        scope=scope,
        model=turn.model,
        system=turn.system,
        messages=turn.messages,
        shape=form.shape,
        schema=None if form.schema is None else bytes(form.schema),
        schema_name=form.name,
        is_strict=form.strict,
        limits=turn.limits,
        sampling=turn.sampling,
        effort=turn.effort,
        reasoning_field=turn.reasoning_field,
        tells_reasoning=turn.tells_reasoning,
        circumstances=_encode(circumstances),
    )
    return hashlib.sha256(_encode(key)).hexdigest()


def has_cache_control(body: bytes) -> bool:
    """Whether a valid JSON ``body`` has a field ``cache_control`` anywhere, however it is written.

    A string that is exactly this word counts too; a text that quotes it does not.
    """
    if MARK.encode() not in body and b"\\u00" not in body:
        return False
    return _MARK.search(body) is not None


def _is_unique(turn: Turn) -> bool:
    # With an id it is part of a conversation; tools see and do what is not in the request; and who
    # writes cache_control minds his own cache.
    barring = (
        turn.session is not None,
        turn.has_cache_control,
        turn.tools,
        turn.servers,
        turn.own_tools,
    )
    return any(barring) or any(
        isinstance(part, ToolUse | ToolResult)
        for message in turn.messages
        for part in message.parts
    )
