"""A conversation that is too long loses its oldest messages, and says so.

What may live here: which ones. They go in steps of a quarter of the budget, so that a conversation
that grows by a message each turn keeps its beginning, and with it its process and the upstream's
cache, for many turns.
"""

from typing import assert_never

import msgspec

from ocpd.errors import BadRequest
from ocpd.turn.calls import calls_of, is_results
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

_STEPS = 4


def count_chars(turn: Turn) -> int:
    """Return the length of all texts of a turn."""
    return len(turn.system) + sum(_length(message) for message in turn.messages)


def truncate(turn: Turn, budget: int | None, *, may_drop: bool) -> Turn:
    """Return ``turn`` within ``budget`` characters (None: there is no bound); its ``dropped`` says
    how many messages went.

    What is left begins with a message of the user's, or with a call of the model's where one
    request has many; a call stays with its results, and the newest message and the system prompt
    always stay. Raises BadRequest ``context_length_exceeded`` if those alone are too long, or
    nothing may be dropped.
    """
    total = count_chars(turn)
    if budget is None or total <= budget:
        return turn
    newest = _begin_of_run(turn.messages, len(turn.messages) - 1)
    starts = [at for at in range(1, newest + 1) if _may_begin(turn.messages[at])]
    step = max(1, budget // _STEPS)
    before = _running(turn.messages)
    # To the first start beyond a whole number of steps: the same one until that is not enough.
    wanted = -(-(total - budget) // step) * step
    fitting = [at for at in starts if total - before[at] <= budget]
    if not may_drop or not fitting:
        raise BadRequest(
            f"the conversation has {total} characters, and {budget} fit into {turn.model} (the"
            " model's context, or setting maxPromptChars)",
            code="context_length_exceeded",
            param="messages",
        )
    first = next((at for at in fitting if before[at] >= wanted), fitting[-1])
    return msgspec.structs.replace(turn, messages=turn.messages[first:], dropped=first)


def _running(messages: tuple[Message, ...]) -> list[int]:
    """How many characters stand before each message."""
    sums = [0]
    for message in messages:
        sums.append(sums[-1] + _length(message))
    return sums


def _may_begin(message: Message) -> bool:
    if message.role is Role.USER:
        return not is_results(message)
    return bool(calls_of(message))


def _begin_of_run(messages: tuple[Message, ...], at: int) -> int:
    """Where the user's last messages begin, the results of calls among them."""
    while at > 0 and messages[at - 1].role is messages[at].role is Role.USER:
        at -= 1
    return at


def _length(message: Message) -> int:
    return sum(_part_length(part) for part in message.parts)


def _part_length(part: Part) -> int:
    match part:
        case Text(text=text):
            return len(text)
        case ToolUse(arguments=arguments):
            return len(arguments)
        case ToolResult(content=content):
            return sum(len(piece.text) for piece in content if isinstance(piece, Text))
        case Image() | Document() | Reasoning():
            return 0
        case _:
            assert_never(part)
