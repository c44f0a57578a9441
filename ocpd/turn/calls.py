"""Calls of tools and their results: which belongs to which, and where a conversation may be cut.

What may live here: the rules that the upstream has for them, and what two spellings of a call are
the same. Every call is answered in the user's message that follows it, and every result answers a
call of the message before it.
"""

from collections.abc import Iterable, Sequence

import msgspec

from ocpd.errors import BadRequest
from ocpd.turn.nesting import MOST_LEVELS, survey
from ocpd.turn.request import Message, Part, Role, Text, ToolResult, ToolUse, Turn

UNANSWERED = "The tool was not run: the user went on without its result."
"""What stands for the result of a call that the user left behind."""

_PREFIXES = ("toolu", "call")
_SHOWN = 80

_json: msgspec.json.Decoder[object] = msgspec.json.Decoder()


def plain_id(name: str) -> str:
    """Return what is left of an id when the habits of clients are taken off it: some put another
    dialect's prefix in the place of ours, some take out what is no letter or digit."""
    name = "".join(character for character in name if character.isalnum())
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def read_arguments(text: str) -> dict[str, object] | None:
    """Return the arguments that ``text`` spells; none at all are an empty object. None if they are
    no JSON object, or nested without end: models do write that."""
    if not text.strip():
        return {}
    try:
        told = _json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if told is None:
        return {}
    if not isinstance(told, dict) or survey(told)[0] > MOST_LEVELS:
        return None
    return told


def calls_of(message: Message) -> tuple[ToolUse, ...]:
    """Return the calls in it."""
    return tuple(part for part in message.parts if isinstance(part, ToolUse))


def results_of(message: Message) -> tuple[ToolResult, ...]:
    """Return the results in it."""
    return tuple(part for part in message.parts if isinstance(part, ToolResult))


def is_results(message: Message) -> bool:
    """Whether it answers calls, and so belongs to the message before it."""
    return any(isinstance(part, ToolResult) for part in message.parts)


def cut_before(messages: Sequence[Message], at: int) -> int:
    """Return the last place up to ``at`` where a conversation can be cut: before a message of the
    user's that asks something, after an answer or at the beginning.

    What lies between two such places is one request of the user's, with all its calls.
    """
    while at > 0 and not _begins_request(messages, at):
        at -= 1
    return at


def has_begun(messages: Sequence[Message]) -> bool:
    """Whether calls were made already for the user's last request."""
    begin = cut_before(messages, len(messages))
    return any(calls_of(message) for message in messages[begin:])


def pair_calls(turn: Turn) -> Turn:
    """Return ``turn`` with every call answered: where the user went on without a result, one says
    so.

    Raises BadRequest naming the id of a result without its call, of a second result, of two calls
    of one message, and of a call without a result that no new message of the user's replaces.
    """
    messages = turn.messages
    if not any(calls_of(message) or is_results(message) for message in messages):
        return turn
    paired: list[Message] = []
    waiting: tuple[ToolUse, ...] = ()
    for index, message in enumerate(messages):
        if message.role is Role.USER and is_results(message):
            missing = _check_results(results_of(message), waiting)
            if missing and not _goes_on(messages, index):
                raise _refuse(missing[0].id, "has no result")
            parts = (*results_of(message), *_not_run(missing), *_others(message))
            paired.append(msgspec.structs.replace(message, parts=parts))
            waiting = ()
            continue
        if waiting:
            if message.role is Role.ASSISTANT:
                raise _refuse(waiting[0].id, "has no result")
            paired.append(Message(Role.USER, tuple(_not_run(waiting))))
        waiting = calls_of(message)
        _check_calls(waiting)
        paired.append(message)
    return msgspec.structs.replace(turn, messages=tuple(paired))


def _goes_on(messages: Sequence[Message], index: int) -> bool:
    """Whether the user said something new with, or right after, the results."""
    if _others(messages[index]):
        return True
    return index + 1 < len(messages) and messages[index + 1].role is Role.USER


def _others(message: Message) -> tuple[Part, ...]:
    return tuple(part for part in message.parts if not isinstance(part, ToolResult))


def _begins_request(messages: Sequence[Message], at: int) -> bool:
    if at < len(messages) and (messages[at].role is not Role.USER or is_results(messages[at])):
        return False
    return messages[at - 1].role is Role.ASSISTANT and not (
        at == len(messages) and calls_of(messages[at - 1])
    )


def _not_run(calls: Iterable[ToolUse]) -> list[ToolResult]:
    return [ToolResult(call.id, (Text(UNANSWERED),), is_error=True) for call in calls]


def _check_calls(calls: Sequence[ToolUse]) -> None:
    seen: set[str] = set()
    for call in calls:
        if plain_id(call.id) in seen:
            raise _refuse(call.id, "is made twice in one message")
        seen.add(plain_id(call.id))


def _check_results(results: Sequence[ToolResult], calls: Sequence[ToolUse]) -> tuple[ToolUse, ...]:
    """Return the calls that have no result."""
    left = [plain_id(call.id) for call in calls]
    called = frozenset(left)
    for result in results:
        name = plain_id(result.id)
        if name not in called:
            raise _refuse(result.id, "is answered, but the message before has no such call")
        if name not in left:
            raise _refuse(result.id, "is answered twice")
        left.remove(name)
    return tuple(call for call in calls if plain_id(call.id) in left)


def _refuse(call_id: str, what: str) -> BadRequest:
    return BadRequest(
        f"messages: the tool call {call_id[:_SHOWN]!r} {what}; every call needs one result in the"
        " message after it",
        code="invalid_tool_results",
        param="messages",
    )
