"""What tests with tools need: tools to offer, calls as the official client read them, and what the
upstream heard of both.

What may live here: builders and readers. What is expected stands in the tests.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from openai.types.chat import ChatCompletion

from tests.kit.journal import Received
from tests.wire.stage import Told

Chat = list[dict[str, Any]]


def tool(name: str, **more: Any) -> dict[str, Any]:
    """A function that the model may call; ``more`` replaces parts of it."""
    schema = {"type": "object", "properties": {"key": {"type": "integer"}}}
    function = {"name": name, "description": f"Does {name}.", "parameters": schema, **more}
    return {"type": "function", "function": function}


def calls_in(answer: Told | ChatCompletion) -> list[dict[str, Any]]:
    """The calls of an answer, as a client sends them back."""
    if isinstance(answer, ChatCompletion):
        told = answer.choices[0].message.tool_calls or []
        return [call.model_dump(exclude_none=True) for call in told]
    found: dict[int, dict[str, Any]] = {}
    for chunk in answer.chunks:
        for choice in chunk.choices:
            for piece in choice.delta.tool_calls or ():
                assert piece.function is not None
                if piece.index not in found:
                    function = {"name": piece.function.name, "arguments": ""}
                    found[piece.index] = {"id": piece.id, "type": piece.type, "function": function}
                found[piece.index]["function"]["arguments"] += piece.function.arguments or ""
    return [found[index] for index in sorted(found)]


def called(answer: Told | ChatCompletion) -> dict[str, Any]:
    """An answer that calls, as the message that a client sends back."""
    if isinstance(answer, ChatCompletion):
        text: str | None = answer.choices[0].message.content
    else:
        text = answer.text or None
    return {"role": "assistant", "content": text, "tool_calls": calls_in(answer)}


def result(call: Mapping[str, Any] | str, content: Any) -> dict[str, Any]:
    """What a tool answered to ``call``."""
    name = call if isinstance(call, str) else call["id"]
    return {"role": "tool", "tool_call_id": name, "content": content}


def blocks(request: Received, kind: str) -> list[dict[str, Any]]:
    """All blocks of one kind in the upstream's request, in order."""
    return [
        {key: value for key, value in block.items() if key != "cache_control"}
        for message in request.messages
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == kind
    ]


def results_heard(request: Received) -> dict[str, Any]:
    """What the upstream heard of results, by the id of their call."""
    return {block["tool_use_id"]: block["content"] for block in blocks(request, "tool_result")}


def tools_heard(request: Received) -> list[str]:
    """The names of the tools that the upstream got."""
    return [offered["name"] for offered in request.body["tools"]]


def shape(request: Received) -> list[tuple[str, list[str]]]:
    """The roles and the kinds of blocks, without the CLI's own messages."""
    found = []
    for message in request.messages:
        if message["role"] == "system":
            continue
        content: str | Sequence[Mapping[str, Any]] = message["content"]
        kinds = ["text"] if isinstance(content, str) else [block["type"] for block in content]
        found.append((message["role"], kinds))
    return found
