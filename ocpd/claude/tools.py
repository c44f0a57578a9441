"""The caller's tools as an MCP server inside a conversation: ours, spoken over stdin and stdout.

What may live here: the few words of MCP that the CLI says to such a server, and the calls that wait
for their results. ``tools/call`` is not answered when it comes: the caller runs its tools itself,
and what they answer comes with its next request.

What the CLI needs to be told so that it leaves the tools and their results alone (2.1.330; the
environment of ``argv`` says the rest):

* ``readOnlyHint``: it asks for all calls of a message at once, and not one after the other.
* ``anthropic/maxResultSizeChars``: a long result is passed on, and not put into a file; up to
  ``MOST_CHARS``.
* Some names are not free: ``names`` has those.
"""

import re
from collections.abc import Container, Sequence
from typing import assert_never

import msgspec

from ocpd.claude.frames import answer
from ocpd.claude.names import SERVER, wire_name
from ocpd.claude.wire import McpMessage
from ocpd.turn.blank import is_trimmed
from ocpd.turn.calls import calls_of, plain_id, results_of
from ocpd.turn.request import Image, Message, Part, Text, Tool, ToolResult, ToolUse, Turn

NO_OUTPUT = "({} completed with no output)"
"""What the CLI says of a tool that answered nothing."""

MOST_CHARS = 500_000
"""What the CLI passes on of one result at most, whatever it is told."""

_MOST_ERROR_CHARS = 5_000
"""It cuts the middle out of errors of more than 11,024 characters."""

_NUMBERED = re.compile(r"_(?=[0-9]+$)")
_METHOD_NOT_FOUND = -32601
_LEGAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def legal_calls(turn: Turn) -> tuple[Message, ...]:
    """Return the messages of ``turn`` with calls as the upstream takes them: ids of few characters,
    each once, and names as the model knows them. Clients count the calls of each answer from 0, or
    use ids and names of another model's."""
    seen: set[str] = set()
    ids: dict[str, str] = {}
    names: dict[str, str] = {}
    found: list[Message] = []
    for message in turn.messages:
        calls = calls_of(message)
        if calls:
            ids = {plain_id(call.id): _legal_id(call.id, seen) for call in calls}
            names = {plain_id(call.id): wire_name(turn, _legal(call.name)) for call in calls}
        parts = message.parts
        if calls or results_of(message):
            parts = tuple(_rename(part, ids, names) for part in parts)
        found.append(Message(message.role, parts))
    return tuple(found)


class Parked(msgspec.Struct, frozen=True):
    """A call that waits: the control request it came in, and its id within."""

    request_id: str
    rpc_id: int | str


class Bridge:
    """The server of one conversation. ``parked`` are the calls that wait, by their tool-use id."""

    def __init__(self) -> None:
        self.parked: dict[str, Parked] = {}
        self._tools: dict[str, Tool] = {}

    def offer(self, turn: Turn) -> None:
        """Have the tools of ``turn``. A conversation asks for them once, when it begins."""
        self._tools = {wire_name(turn, tool.name): tool for tool in turn.tools}

    def find_left_out(self, names: Sequence[str]) -> list[str]:
        """Return the tools that are not among ``names``, those that the model gets."""
        known = frozenset(names)
        return [tool.name for name, tool in self._tools.items() if name not in known]

    def hear(
        self, request_id: str, message: McpMessage, told: Container[str] | None = None
    ) -> bytes:
        """Return the answer to what the CLI says; b"" for a call, which is parked. One that is not
        among those ``told`` (None: all were) is refused: its caller would never hear of it."""
        match message.method:
            case "initialize":
                return _reply(request_id, message, _introduce(message))
            case "tools/list":
                tools = [_describe(name, tool) for name, tool in self._tools.items()]
                return _reply(request_id, message, {"tools": tools})
            case "tools/call" if message.id is not None:
                if told is not None and message.params.meta.tool_use_id not in told:
                    return _refuse(request_id, message.id)
                self.parked[message.params.meta.tool_use_id] = Parked(request_id, message.id)
                return b""
            case "notifications/cancelled":
                self._withdraw(message.params.requestId)
            case _:
                if message.id is not None:
                    return _refuse(request_id, message.id)
        return answer(request_id, {"mcp_response": {"jsonrpc": "2.0", "result": {}}})

    def resolve(self, messages: Sequence[Message]) -> bytes | None:
        """Return the answers to all parked calls if ``messages`` are their results and nothing
        else, and reach the model as they are; None otherwise, and nothing has happened."""
        if len(messages) != 1 or not self.parked:
            return None
        results = results_of(messages[0])
        if len(results) != len(messages[0].parts) or not all(map(_is_exact, results)):
            return None
        waiting = {plain_id(name): parked for name, parked in self.parked.items()}
        if {plain_id(result.id) for result in results} != waiting.keys():
            return None
        self.parked.clear()
        return b"".join(_answer(waiting[plain_id(result.id)], result) for result in results)

    def clear(self) -> None:
        """Nothing waits any more: the turn is over."""
        self.parked.clear()

    def _withdraw(self, rpc_id: int | str | None) -> None:
        gone = [name for name, parked in self.parked.items() if parked.rpc_id == rpc_id]
        for name in gone:
            del self.parked[name]


def _introduce(message: McpMessage) -> dict[str, object]:
    return {
        "protocolVersion": message.params.protocolVersion,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": SERVER, "version": "1"},
    }


def _describe(name: str, tool: Tool) -> dict[str, object]:
    return {
        "name": name,
        "description": tool.description,
        "inputSchema": _on_one_line(tool.schema),
        "annotations": {"readOnlyHint": True},
        "_meta": {"anthropic/maxResultSizeChars": MOST_CHARS},
    }


def _on_one_line(schema: msgspec.Raw) -> msgspec.Raw:
    # A frame is a line. No string of a JSON text has a line end in it.
    return msgspec.Raw(bytes(schema).replace(b"\n", b" ").replace(b"\r", b" "))


def _reply(request_id: str, message: McpMessage, result: dict[str, object]) -> bytes:
    told = {"jsonrpc": "2.0", "id": message.id, "result": result}
    return answer(request_id, {"mcp_response": told})


def _refuse(request_id: str, rpc_id: int | str) -> bytes:
    error = {"code": _METHOD_NOT_FOUND, "message": "not supported by this server"}
    told = {"jsonrpc": "2.0", "id": rpc_id, "error": error}
    return answer(request_id, {"mcp_response": told})


def _answer(parked: Parked, result: ToolResult) -> bytes:
    content = [_content(piece) for piece in result.content]
    told: dict[str, object] = {"content": content}
    if result.is_error:
        told["isError"] = True
    response = {"jsonrpc": "2.0", "id": parked.rpc_id, "result": told}
    return answer(parked.request_id, {"mcp_response": response})


def _content(piece: Text | Image) -> dict[str, object]:
    match piece:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(media_type=media_type, data=data):
            return {"type": "image", "data": data, "mimeType": media_type}
        case _:
            assert_never(piece)


def _is_exact(result: ToolResult) -> bool:
    """Whether the CLI passes it on as it is. It cannot point at pictures, saves what is very long
    to a file, and makes one trimmed text of an error."""
    if any(isinstance(piece, Image) and piece.url is not None for piece in result.content):
        return False
    texts = [piece.text for piece in result.content if isinstance(piece, Text)]
    # It counts as JavaScript does: a character beyond U+FFFF is two.
    if 2 * sum(map(len, texts)) > MOST_CHARS and sum(map(_count, texts)) > MOST_CHARS * 4 // 5:
        return False
    if not result.is_error:
        return True
    is_one = len(texts) == len(result.content) == 1
    return is_one and len(texts[0]) <= _MOST_ERROR_CHARS and is_trimmed(texts[0])


def _count(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _legal_id(name: str, seen: set[str]) -> str:
    # Beside an id X the CLI loses the result of X_<digits> (seen on 2.1.330).
    legal = _NUMBERED.sub("-", _legal(name))
    found, count = legal, 1
    while found in seen:
        count += 1
        found = f"{legal}-{count}"
    seen.add(found)
    return found


def _legal(name: str) -> str:
    return "".join(character if character in _LEGAL else "_" for character in name) or "call"


def _rename(part: Part, ids: dict[str, str], names: dict[str, str]) -> Part:
    match part:
        case ToolUse():
            key = plain_id(part.id)
            return msgspec.structs.replace(part, id=ids[key], name=names[key])
        case ToolResult():
            key = plain_id(part.id)
            content = part.content
            if not content and not part.is_error and key in names:
                # As the CLI has it for the result of a call that was held.
                content = (Text(NO_OUTPUT.format(names[key])),)
            return msgspec.structs.replace(part, id=ids.get(key, part.id), content=content)
        case _:
            return part
