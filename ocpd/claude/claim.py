"""The frames that give a turn to a process: initialize, rewinds, limits, history, prompt.

What may live here: pure writing. Everything a caller wrote travels in these frames on stdin and
nowhere else. ``client_composed`` stands on every user message: without it the CLI expands
``@path`` and runs ``/commands`` that a caller wrote.

History goes in as real messages. A past user message is sent with ``shouldQuery: false``; the
assistant message after it may only be written once that message's ``result`` came, or the CLI
mixes up their order (measured on 2.1.329).
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from ocpd.errors import Bug
from ocpd.turn.attachments import PLAIN, text_of
from ocpd.turn.blank import is_blank
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

INITIALIZE = "initialize"
LIMITS = "limits"
THINKING = "thinking"
INTERRUPT = "interrupt"
CONSULT = "consult"
REWIND = "rewind-"
"""Begins the ids of rewinds; their number follows."""

SPEAKS_FIRST = "<system-reminder>The assistant speaks first.</system-reminder>"
"""The upstream wants a user message before any of the assistant's; a chat that begins with a
greeting has none."""

MIN_THINKING_BUDGET = 1024
"""The least thinking budget the Messages API takes. It must also stay below max_tokens."""


class Sheet(msgspec.Struct, frozen=True):
    """What a claim needs to know of the model: its output limit (None: unknown) and whether it
    thinks on a fixed budget, which has to fit into a small ``max_tokens``; and how hard it is to
    think for this turn."""

    max_output_tokens: int | None = None
    thinks_on_budget: bool = False
    effort: str | None = None
    thinks: bool = True


class Applied(msgspec.Struct, frozen=True):
    """The limits that are in force in a process; they stay until others are written."""

    max_tokens: int | None = None
    thinks: bool = True
    effort: str | None = None


class Said(msgspec.Struct, frozen=True):
    """A user message that a process has got: its uuid, and its place in the turn's messages
    (INVENTED for one that is ours)."""

    uuid: str
    position: int


INVENTED = -1


class Step(msgspec.Struct, frozen=True):
    """Bytes to write, and what must come before the next step: the ``result`` of message ``said``,
    or if that is None, the answers to ``rewinds`` rewinds."""

    frames: bytes
    said: Said | None = None
    rewinds: int = 0


def message_uuid(turn_id: TurnId, index: int) -> str:
    """Make the uuid of the turn's message ``index``: a version-4 shape over the turn's random id,
    so that a frame of another turn is never taken for ours.

    The index is in the first group: a rewind compares only the first 24 characters (seen on
    2.1.330), and takes back all from the first message that has them.
    """
    digits = f"{(int(turn_id, 16) + (index << 96)) % (1 << 128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def write_claim(turn: Turn, limits: bytes) -> tuple[Step, ...]:
    """Return the steps that put ``turn`` to a parked process; the last one awaits its end.

    The initialize request, the limits and the first message go out in one write: the CLI reads
    its stdin in order (measured on 2.1.330: 54 ms to the first event instead of 90).
    """
    opening = control(
        INITIALIZE,
        {
            "subtype": "initialize",
            # [] and not left out: the CLI would send its own prompt of 27 KB.
            "systemPrompt": [turn.system] if turn.system else [],
        },
    )
    return write_messages(turn, 0, opening + limits)


def write_messages(turn: Turn, first: int, opening: bytes) -> tuple[Step, ...]:
    """Return the steps that write ``opening`` and the messages from ``first`` on; a process that
    has those before it has the whole conversation then."""
    numbered = list(enumerate(turn.messages))[first:]
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
                steps.append(Step(pending + frame, Said(uuid, index)))
                pending = b""
    if pending:
        raise Bug("a turn whose last message is the assistant's reached the CLI room")
    return tuple(steps)


def write_rewinds(said: Sequence[Said]) -> Step:
    """Return the step that takes back the user messages ``said`` with all that followed them.

    The CLI takes the latest first and each at once, without a trace: the next upstream request
    is what it would have been (measured on 2.1.330: six in 4 ms).
    """
    frames = b"".join(
        control(
            f"{REWIND}{number}",
            {"subtype": "rewind_conversation", "target_message_uuid": message.uuid},
        )
        for number, message in enumerate(reversed(said))
    )
    return Step(frames, rewinds=len(said))


def write_consult(subtype: str) -> bytes:
    """Ask a parked process something that is no turn, such as ``get_usage``."""
    opening = control(INITIALIZE, {"subtype": "initialize", "systemPrompt": []})
    return opening + control(CONSULT, {"subtype": subtype})


def find_limits(turn: Turn, sheet: Sheet) -> Applied:
    """Return the limits that ``turn`` needs."""
    wanted = turn.limits.max_tokens
    if wanted is None:
        return Applied(None, sheet.thinks, sheet.effort)
    if sheet.max_output_tokens is not None:
        wanted = min(wanted, sheet.max_output_tokens)
    # The upstream refuses a budget that does not fit under max_tokens.
    fits = not sheet.thinks_on_budget or wanted > MIN_THINKING_BUDGET
    return Applied(wanted, sheet.thinks and fits, sheet.effort)


def write_limits(wanted: Applied, before: Applied) -> bytes:
    """Write what differs; null takes a limit back (measured on 2.1.330)."""
    frames = b""
    if wanted.thinks != before.thinks:
        budget = None if wanted.thinks else 0
        frames = control(
            THINKING, {"subtype": "set_max_thinking_tokens", "max_thinking_tokens": budget}
        )
    settings: dict[str, object] = {}
    if wanted.max_tokens != before.max_tokens:
        tokens = None if wanted.max_tokens is None else str(wanted.max_tokens)
        settings["env"] = {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": tokens}
    if wanted.effort != before.effort:
        settings["effortLevel"] = wanted.effort
    if settings:
        frames += control(LIMITS, {"subtype": "apply_flag_settings", "settings": settings})
    return frames


def write_interrupt() -> bytes:
    """Ask the CLI to drop the running turn, also when it is still queued."""
    return control(INTERRUPT, {"subtype": "interrupt", "cancel_queued": True})


def write_unsupported(request_id: str) -> bytes:
    """Answer a request of the CLI's that we do not serve."""
    return encode_line(
        {
            "type": "control_response",
            "response": {
                "subtype": "error",
                "request_id": request_id,
                "error": "not supported by this host",
            },
        }
    )


def control(request_id: str, request: dict[str, object]) -> bytes:
    """Write one control request."""
    return encode_line({"type": "control_request", "request_id": request_id, "request": request})


def encode_line(frame: dict[str, object]) -> bytes:
    """Write one frame. JSON escapes newlines inside texts, so a frame is always one line."""
    return msgspec.json.encode(frame) + b"\n"


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
                "stop_reason": "end_turn",
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
        case ToolUse() | ToolResult():
            raise Bug("a part that is refused by name reached the CLI room")
        case _:
            assert_never(part)


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
