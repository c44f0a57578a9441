"""A conversation that is too long loses its oldest messages, and says so.

What may live here: which ones. They go in steps of a quarter of the budget, so that a conversation
that grows by a message each turn keeps its beginning, and with it its process and the upstream's
cache, for many turns.
"""

import msgspec

from ocpd.errors import BadRequest
from ocpd.turn.request import Message, Role, Text, Turn
from ocpd.turn.transcript import last_request

_STEPS = 4


def count_chars(turn: Turn) -> int:
    """Return the length of all texts of a turn."""
    return len(turn.system) + sum(_length(message) for message in turn.messages)


def truncate(turn: Turn, budget: int | None, *, may_drop: bool) -> Turn:
    """Return ``turn`` within ``budget`` characters (None: there is no bound); its ``dropped`` says
    how many messages went.

    What is left begins with a message of the user's; the newest request and the system prompt
    always stay. Raises BadRequest ``context_length_exceeded`` if those alone are too long, or
    nothing may be dropped.
    """
    total = count_chars(turn)
    if budget is None or total <= budget:
        return turn
    newest = last_request(turn.messages)
    starts = [
        at
        for at, message in enumerate(turn.messages[: newest + 1])
        if at > 0 and message.role is Role.USER
    ]
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


def _length(message: Message) -> int:
    return sum(len(part.text) for part in message.parts if isinstance(part, Text))
