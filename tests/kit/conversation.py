"""What the documented Messages API refuses in the shape of a conversation. Pure.

What may live here: rules about ``messages``: roles, empty text, tool calls and their results.

Messages of role ``system`` may stand anywhere and hold anything, also nothing: the CLI sends its
reminders that way under the ``per-turn-control`` and ``mid-conversation-tool-changes`` betas.
Consecutive messages of one role count as one, as the API joins them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

_ROLES = frozenset({"user", "assistant", "system"})


def refusal_for_messages(messages: object) -> str | None:
    """What is wrong with ``messages`` in the API's words, or None."""
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    for at, message in enumerate(messages):
        if fault := _message_fault(message, f"messages.{at}"):
            return fault
    turns = list(_turns(messages))
    if not turns or turns[0][0] != "user":
        return "messages: first message must use the user role"
    return _ending_fault(turns) or _tool_fault(turns)


def _message_fault(message: object, where: str) -> str | None:
    if not isinstance(message, dict):
        return f"{where}: Input should be an object"
    role = message.get("role")
    if role not in _ROLES:
        return f"{where}.role: Input should be 'user' or 'assistant'"
    if role == "system":
        return None
    content = message.get("content")
    if isinstance(content, str):
        return None if content.strip() else f"{where}: text content blocks must be non-empty"
    if not isinstance(content, list) or not content:
        return f"{where}: user messages must have non-empty content"
    return _content_fault(content, f"{where}.content")


def _content_fault(content: Sequence[object], where: str) -> str | None:
    for at, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            return f"{where}.{at}: Input should be a content block"
        if block["type"] == "text" and not str(block.get("text", "")):
            return "messages: text content blocks must be non-empty"
        if block["type"] == "text" and not str(block["text"]).strip():
            return "messages: text content blocks must contain non-whitespace text"
        inner = block.get("content")
        nested = inner if block["type"] == "tool_result" and isinstance(inner, list) else ()
        if fault := _content_fault(nested, f"{where}.{at}.content"):
            return fault
    return None


_Turn = tuple[str, list[dict[str, Any]]]


def _turns(messages: Sequence[dict[str, Any]]) -> Iterator[_Turn]:
    """Roles with their blocks; neighbours of one role joined, system messages left out."""
    role, blocks = "", list[dict[str, Any]]()
    for message in messages:
        if message["role"] == "system":
            continue
        if message["role"] != role:
            if role:
                yield role, blocks
            role, blocks = message["role"], []
        blocks.extend(_blocks_of(message["content"]))
    if role:
        yield role, blocks


def _blocks_of(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _ending_fault(turns: Sequence[_Turn]) -> str | None:
    role, blocks = turns[-1]
    last = blocks[-1]
    if role == "assistant" and last["type"] == "text" and last["text"] != last["text"].rstrip():
        return "messages: final assistant content cannot end with trailing whitespace"
    return None


def _tool_fault(turns: Sequence[_Turn]) -> str | None:
    called: list[str] = []
    seen: set[str] = set()
    for at, (role, blocks) in enumerate(turns):
        if role == "user":
            if fault := _results_fault(blocks, called, at):
                return fault
            called = []
            continue
        called = [str(block.get("id")) for block in blocks if block["type"] == "tool_use"]
        if len(set(called)) < len(called) or seen & set(called):
            return f"messages.{at}: `tool_use` ids must be unique"
        seen.update(called)
    if called:
        return _unanswered(len(turns) - 1, called)
    return None


def _results_fault(blocks: Sequence[dict[str, Any]], called: list[str], at: int) -> str | None:
    results = [str(b.get("tool_use_id")) for b in blocks if b["type"] == "tool_result"]
    strangers = [result for result in results if result not in called]
    if strangers:
        return (
            f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: "
            f"{', '.join(strangers)}. Each `tool_result` block must have a corresponding "
            "`tool_use` block in the previous message."
        )
    if len(set(results)) < len(results):
        return f"messages.{at}: each tool_use must have a single result"
    missing = [call for call in called if call not in results]
    if missing:
        return _unanswered(at - 1, missing)
    if results and any(block["type"] != "tool_result" for block in blocks[: len(results)]):
        return f"messages.{at}: `tool_result` blocks must come first in the content"
    return None


def _unanswered(at: int, missing: Sequence[str]) -> str:
    return (
        f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately "
        f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding "
        "`tool_result` block in the next message."
    )
