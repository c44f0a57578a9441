"""What this version cannot do yet, refused by name.

What may live here: one check for each ability that the decoders already read and no room acts on
yet. Ignoring one of these would give a wrong answer that looks right. Each line goes when its
ability comes; the file goes with the last.
"""

from collections.abc import Iterable
from typing import assert_never

from ocpd.errors import BadRequest
from ocpd.turn.request import (
    Document,
    Image,
    Part,
    Reasoning,
    Shape,
    Text,
    ToolMode,
    ToolResult,
    ToolUse,
    Turn,
)


def refuse_unsupported(turn: Turn) -> None:
    """Raise BadRequest (code ``unsupported_parameter``) if ``turn`` asks for what this version
    would silently leave out. The first field found is named."""
    for field, what in _find_unsupported(turn):
        raise BadRequest(
            f"{what} is not supported by this version of ocpd yet",
            code="unsupported_parameter",
            param=field,
        )


def _find_unsupported(turn: Turn) -> Iterable[tuple[str, str]]:
    if turn.tools and turn.tool_policy.mode is not ToolMode.NONE:
        yield "tools", "tools"
    if turn.format.shape is not Shape.TEXT:
        yield "response_format", "response_format"
    for message in turn.messages:
        for part in message.parts:
            if (what := _name_unsupported(part)) is not None:
                yield "messages", what


def _name_unsupported(part: Part) -> str | None:
    match part:
        case Text() | Reasoning() | Image() | Document():
            return None
        case ToolUse() | ToolResult():
            return "a tool call or tool result in messages"
        case _:
            assert_never(part)
