"""A conversation as one message: for a CLI that does not take a history.

What may live here: that text. Roles are lost to the model's own sense of who said what, and no
prompt cache holds: it is the last resort.
"""

from typing import assert_never

import msgspec

from ocpd.turn.request import (
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)

_SAYS = {Role.USER: "User", Role.ASSISTANT: "Assistant"}


def flatten(turn: Turn) -> Turn:
    """Return ``turn`` with its history written into its last message."""
    if len(turn.messages) == 1:
        return turn
    *history, last = turn.messages
    lines = [f"{_SAYS[message.role]}: {_text(message)}" for message in history]
    told = "\n\n".join(
        (
            "<conversation>",
            *lines,
            "</conversation>",
            "That is the conversation so far. Go on with it; this is the user's next message:",
            _text(last),
        )
    )
    return msgspec.structs.replace(turn, messages=(Message(Role.USER, (Text(told),)),))


def _text(message: Message) -> str:
    told = (_tell(part) for part in message.parts)
    return "\n\n".join(text for text in told if text)


def _tell(part: Part) -> str:
    match part:
        case Text(text=text):
            return text
        case ToolUse(id=name, name=tool, arguments=arguments):
            return f"[calls {tool} with {arguments}; this is call {name}]"
        case ToolResult(id=name, content=content):
            texts = (piece.text for piece in content if isinstance(piece, Text))
            return f"[call {name} answers: {' '.join(texts)}]"
        case Image() | Document() | Reasoning():
            return ""
        case _:
            assert_never(part)
