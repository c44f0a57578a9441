"""The messages of a request: who said what, in which order.

What may live here: what each role becomes, and what a conversation must look like to be answered.
The rules: leading system messages are the system prompt, later ones stay where they stand as a
reminder; messages that say nothing are left out; tool results that follow each other are one
message; the last word is the user's or a tool's.
"""

from collections.abc import Sequence

import msgspec

from ocpd.dialects.openai_chat import wire
from ocpd.dialects.openai_chat.content import (
    join_texts,
    read_parts,
    read_result,
    read_texts,
)
from ocpd.errors import BadRequest
from ocpd.turn.blank import is_blank
from ocpd.turn.request import Message, Part, Reasoning, Role, Text, ToolResult, ToolUse

_SYSTEM = frozenset({"system", "developer"})
_RESULTS = frozenset({"tool", "function"})
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class Conversation(msgspec.Struct, frozen=True):
    """The system prompt ("" is none) and the messages, which end with the user's."""

    system: str
    messages: tuple[Message, ...]


def read_conversation(items: Sequence[wire.Message], field: str) -> Conversation:
    """Read all messages; ``field`` is the request's field they came in. Raises BadRequest naming
    the message that does not fit."""
    _check_roles(items, field)
    lead = _count_leading(items)
    texts = (join_texts(items[i].content, f"{field}[{i}].content") for i in range(lead))
    system = "\n\n".join(text for text in texts if not is_blank(text))
    reader = _Reader()
    last = _find_last(items, field)
    for index in range(lead, len(items)):
        said = reader.add(items[index], f"{field}[{index}]")
        if index == last and not said:
            path = f"{field}[{index}].content"
            raise BadRequest(f"{path} must not be empty", param=path)
    return Conversation(system, reader.close())


def _check_roles(items: Sequence[wire.Message], field: str) -> None:
    for index, item in enumerate(items):
        if item.role not in _ROLES:
            path = f"{field}[{index}].role"
            raise BadRequest(
                f"{path}: {item.role[:64]!r} is not one of {', '.join(_ROLES)}", param=path
            )


def _count_leading(items: Sequence[wire.Message]) -> int:
    for index, item in enumerate(items):
        if item.role not in _SYSTEM:
            return index
    return len(items)


def _find_last(items: Sequence[wire.Message], field: str) -> int:
    spoken = [index for index, item in enumerate(items) if item.role not in _SYSTEM]
    if all(items[index].role == "assistant" for index in spoken):
        raise BadRequest(f"{field} has no message of the user's to answer", param=field)
    last = spoken[-1]
    if items[last].role == "assistant":
        path = f"{field}[{last}].role"
        raise BadRequest(
            f"{path}: the last message must be the user's or a tool's; continuing a message of"
            " the assistant's is not possible here",
            param=path,
        )
    return last


class _Reader:
    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._results: list[Part] = []
        # How often each function was called the old way, where calls have no id.
        self._calls: dict[str, int] = {}

    def add(self, item: wire.Message, at: str) -> bool:
        """Take the next message; False if it says nothing."""
        if item.role in _RESULTS:
            self._results.append(self._read_result(item, at))
            return True
        self._flush()
        if item.role == "assistant":
            return self._append(Role.ASSISTANT, self._read_assistant(item, at))
        if item.role == "user":
            return self._append(Role.USER, read_parts(item.content, f"{at}.content"))
        text = join_texts(item.content, f"{at}.content")
        return not is_blank(text) and self._append(Role.USER, (_remind(text),))

    def close(self) -> tuple[Message, ...]:
        """The messages read."""
        self._flush()
        return tuple(self._messages)

    def _append(self, role: Role, parts: tuple[Part, ...]) -> bool:
        if parts:
            self._messages.append(Message(role, parts))
        return bool(parts)

    def _flush(self) -> None:
        if self._results:
            self._messages.append(Message(Role.USER, tuple(self._results)))
            self._results = []

    def _read_assistant(self, item: wire.Message, at: str) -> tuple[Part, ...]:
        parts: list[Part] = []
        if item.reasoning_content is not None and not is_blank(item.reasoning_content):
            parts.append(Reasoning(item.reasoning_content))
        parts.extend(read_texts(item.content, f"{at}.content"))
        if item.refusal is not None and not is_blank(item.refusal):
            parts.append(Text(item.refusal))
        for index, call in enumerate(item.tool_calls or ()):
            parts.append(_read_call(call, f"{at}.tool_calls[{index}]"))
        if (old := item.function_call) is not None:
            self._calls[old.name] = self._calls.get(old.name, 0) + 1
            parts.append(ToolUse(self._name_call(old.name), old.name, old.arguments or "{}"))
        # Thinking alone says nothing.
        return () if all(isinstance(part, Reasoning) for part in parts) else tuple(parts)

    def _read_result(self, item: wire.Message, at: str) -> ToolResult:
        field = "tool_call_id" if item.role == "tool" else "name"
        given = item.tool_call_id if item.role == "tool" else item.name
        if given is None:
            raise BadRequest(f"{at}.{field}: required, but missing", param=f"{at}.{field}")
        call_id = given if item.role == "tool" else self._name_call(given)
        return ToolResult(call_id, read_result(item.content, f"{at}.content"))

    def _name_call(self, function: str) -> str:
        return f"{function}-{self._calls.get(function, 1)}"


def _read_call(call: wire.ToolCall, at: str) -> ToolUse:
    if call.type != "function":
        raise BadRequest(f"{at}.type: {call.type[:64]!r} is not supported here", param=f"{at}.type")
    if call.function is None:
        raise BadRequest(f"{at}.function: required, but missing", param=f"{at}.function")
    return ToolUse(call.id, call.function.name, call.function.arguments or "{}")


def _remind(text: str) -> Text:
    return Text(f"<system-reminder>\n{text}\n</system-reminder>")
