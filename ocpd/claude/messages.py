"""The messages of a conversation as frames, in the order and at the pace that the CLI takes them.

What may live here: pure writing. Everything a caller wrote travels in these frames on stdin and
nowhere else. ``client_composed`` stands on every user message: without it the CLI expands
``@path`` and runs ``/commands`` that a caller wrote.

History goes in as real messages. A past user message is sent with ``shouldQuery: false``; the
assistant message after it may only be written once that message's ``result`` came, or the CLI
mixes up their order (measured on 2.1.329).
"""

import re
from typing import assert_never

import msgspec

from ocpd.claude.frames import encode_line
from ocpd.claude.tools import NO_OUTPUT, legal_calls
from ocpd.errors import Bug
from ocpd.turn.attachments import PLAIN, text_of
from ocpd.turn.blank import is_blank
from ocpd.turn.calls import calls_of, is_results, read_arguments
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
    TurnId,
)

SPEAKS_FIRST = "<system-reminder>The assistant speaks first.</system-reminder>"
"""The upstream wants a user message before any of the assistant's; a chat that begins with a
greeting has none."""

_NO_OUTPUT = re.compile(re.escape(NO_OUTPUT).replace(r"\{\}", r"\S+"))

INVENTED = -1
"""The place of a message that is not in the turn."""


class Said(msgspec.Struct, frozen=True):
    """A user message that a process has got: its uuid, and its place in the turn's messages.
    ``is_target``: a rewind can begin with it; one that holds results cannot be parted from their
    calls."""

    uuid: str
    position: int
    is_target: bool = True


class Step(msgspec.Struct, frozen=True):
    """Bytes to write, and what must come before the next step: the ``result`` of message ``said``,
    or the end of the turn that is interrupted (``ends``), or the answers to ``rewinds`` rewinds, or
    to the request ``asks``."""

    frames: bytes
    said: Said | None = None
    rewinds: int = 0
    ends: bool = False
    asks: str = ""


def message_uuid(turn_id: TurnId, index: int) -> str:
    """Make the uuid of the turn's message ``index``: a version-4 shape over the turn's random id,
    so that a frame of another turn is never taken for ours.

    The index is in the first group: a rewind compares only the first 24 characters (seen on
    2.1.330), and takes back all from the first message that has them.
    """
    digits = f"{(int(turn_id, 16) + (index << 96)) % (1 << 128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def write_messages(turn: Turn, first: int, opening: bytes) -> tuple[Step, ...]:
    """Return the steps that write ``opening`` and the messages from ``first`` on; a process that
    has those before it has the whole conversation then."""
    numbered = list(enumerate(legal_calls(turn)))[first:]
    if first == 0 and turn.messages[0].role is Role.ASSISTANT:
        numbered.insert(0, (INVENTED, Message(Role.USER, (Text(SPEAKS_FIRST),))))
    steps: list[Step] = []
    pending = opening
    for number, (index, message) in enumerate(numbered):
        uuid = message_uuid(turn.id, number)
        match message.role:
            case Role.ASSISTANT:
                pending += _assistant_frame(turn.model, message, uuid)
            case Role.USER:
                is_prompt = index == len(turn.messages) - 1
                frame = _user_frame(message, uuid, is_query=is_prompt)
                steps.append(Step(pending + frame, Said(uuid, index, not is_results(message))))
                pending = b""
    if pending:
        raise Bug("a turn whose last message is the assistant's reached the CLI room")
    return tuple(steps)


def _user_frame(message: Message, uuid: str, *, is_query: bool) -> bytes:
    frame: dict[str, object] = {
        "type": "user",
        "message": {"role": "user", "content": _content(message)},
        "parent_tool_use_id": None,
        "session_id": "",
        "uuid": uuid,
        "client_composed": True,
    }
    if not is_query:
        frame["shouldQuery"] = False
    return encode_line(frame)


def _assistant_frame(model: str, message: Message, uuid: str) -> bytes:
    return encode_line(
        {
            "type": "assistant",
            "message": {
                "id": "msg_" + uuid.replace("-", "")[:24],
                "type": "message",
                "role": "assistant",
                "model": model,
                "content": [block for part in message.parts for block in _blocks(part)],
                "stop_reason": "tool_use" if calls_of(message) else "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
            "parent_tool_use_id": None,
            "session_id": "",
            "uuid": uuid,
        }
    )


def _content(message: Message) -> object:
    blocks = [block for part in message.parts for block in _blocks(part)]
    # One text goes out as a plain string: that is how the CLI sends a prompt of its own.
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        return blocks[0]["text"]
    return blocks


def _blocks(part: Part) -> list[dict[str, object]]:
    match part:
        case Text(text=text):
            return [{"type": "text", "text": text}]
        case Image(url=str(url)):
            return [{"type": "image", "source": {"type": "url", "url": url}}]
        case Image(media_type=media_type, data=data):
            return [{"type": "image", "source": _base64(media_type, data)}]
        case Document():
            return [_document(part)]
        case Reasoning():
            # Thinking of earlier turns comes back without a signature; the upstream takes none.
            return []
        case ToolUse():
            return [_call(part)]
        case ToolResult():
            return [_result(part)]
        case _:
            assert_never(part)


def _call(part: ToolUse) -> dict[str, object]:
    told = read_arguments(part.arguments)
    # What is no object at all is told in the CLI's own way.
    given = {"__unparsedToolInput": {"raw": part.arguments, "len": len(part.arguments)}}
    return {
        "type": "tool_use",
        "id": part.id,
        "name": part.name,
        "input": given if told is None else told,
    }


def _result(part: ToolResult) -> dict[str, object]:
    content: object = [block for piece in part.content for block in _blocks(piece)]
    match part.content:
        case (Text(text=text),) if _NO_OUTPUT.fullmatch(text):
            content = text
        case _:
            pass
    block: dict[str, object] = {
        "type": "tool_result",
        "tool_use_id": part.id,
        "content": content,
    }
    return block | {"is_error": True} if part.is_error else block


def _document(part: Document) -> dict[str, object]:
    text = text_of(part)
    if text is None:
        source = _base64(part.media_type, part.data)
    else:
        # The API refuses a text of white space here as everywhere.
        source = {
            "type": "text",
            "media_type": PLAIN,
            "data": "(empty)" if is_blank(text) else text,
        }
    block: dict[str, object] = {"type": "document", "source": source}
    return block if part.name is None else block | {"title": part.name}


def _base64(media_type: str | None, data: str | None) -> dict[str, object]:
    return {"type": "base64", "media_type": media_type, "data": data}
