"""A conversation as one message: for a CLI that does not take a history.

What may live here: that text. Roles are lost to the model's own sense of who said what, and no
prompt cache holds: it is the last resort.
"""

import msgspec

from ocpd.turn.request import Message, Role, Text, Turn

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
    return "\n\n".join(part.text for part in message.parts if isinstance(part, Text))
