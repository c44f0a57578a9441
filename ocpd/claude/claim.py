"""The frames that make a parked process ours: initialize, limits, history, prompt.

What may live here: pure writing. Everything a caller wrote travels in these frames on stdin and
nowhere else. ``client_composed`` stands on every user message: without it the CLI expands
``@path`` and runs ``/commands`` that a caller wrote.

History goes in as real messages. A past user message is sent with ``shouldQuery: false``; the
assistant message after it may only be written once that message's ``result`` came, or the CLI
mixes up their order (measured on 2.1.329).
"""

from collections.abc import Iterable

import msgspec

from ocpd.errors import Bug
from ocpd.turn.request import Message, Role, Text, Turn, TurnId

INITIALIZE = "initialize"
LIMITS = "limits"
THINKING = "thinking"
INTERRUPT = "interrupt"
CONSULT = "consult"

SPEAKS_FIRST = "<system-reminder>The assistant speaks first.</system-reminder>"
"""The upstream wants a user message before any of the assistant's; a chat that begins with a
greeting has none."""

MIN_THINKING_BUDGET = 1024
"""The least thinking budget the Messages API takes. It must also stay below max_tokens."""


class Sheet(msgspec.Struct, frozen=True):
    """What a claim needs to know of the model: its output limit (None: unknown) and whether it
    thinks on a fixed budget, which has to fit into a small ``max_tokens``."""

    max_output_tokens: int | None = None
    thinks_on_budget: bool = False


class Step(msgspec.Struct, frozen=True):
    """Bytes to write, and the uuid of the message whose ``result`` must come before the next."""

    frames: bytes
    awaits: str


def message_uuid(turn_id: TurnId, index: int) -> str:
    """Make the uuid of the turn's message ``index``: a version-4 shape over the turn's random id,
    so that a frame of another turn is never taken for ours."""
    digits = f"{(int(turn_id, 16) + index) % (1 << 128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def write_claim(turn: Turn, sheet: Sheet) -> tuple[Step, ...]:
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
    opening += _write_limits(turn, sheet)
    messages = turn.messages
    if messages[0].role is Role.ASSISTANT:
        messages = (Message(Role.USER, (Text(SPEAKS_FIRST),)), *messages)
    steps: list[Step] = []
    pending = opening
    for index, message in enumerate(messages):
        uuid = message_uuid(turn.id, index)
        match message.role:
            case Role.ASSISTANT:
                pending += _assistant_frame(turn.model, message, uuid)
            case Role.USER:
                is_prompt = index == len(messages) - 1
                frame = _user_frame(message, uuid, is_query=is_prompt)
                steps.append(Step(pending + frame, uuid))
                pending = b""
    if pending:
        raise Bug("a turn whose last message is the assistant's reached the CLI room")
    return tuple(steps)


def write_consult(subtype: str) -> bytes:
    """Ask a parked process something that is no turn, such as ``get_usage``."""
    opening = control(INITIALIZE, {"subtype": "initialize", "systemPrompt": []})
    return opening + control(CONSULT, {"subtype": subtype})


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


def _write_limits(turn: Turn, sheet: Sheet) -> bytes:
    wanted = turn.limits.max_tokens
    if wanted is None:
        return b""
    if sheet.max_output_tokens is not None:
        wanted = min(wanted, sheet.max_output_tokens)
    frames = b""
    if sheet.thinks_on_budget and wanted <= MIN_THINKING_BUDGET:
        # The upstream refuses a budget that does not fit under max_tokens.
        frames = control(THINKING, {"subtype": "set_max_thinking_tokens", "max_thinking_tokens": 0})
    environment = {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(wanted)}
    return frames + control(
        LIMITS, {"subtype": "apply_flag_settings", "settings": {"env": environment}}
    )


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
                "content": [{"type": "text", "text": text} for text in _texts(message)],
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
    texts = list(_texts(message))
    # One text goes out as a plain string: that is how the CLI sends a prompt of its own.
    return texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]


def _texts(message: Message) -> Iterable[str]:
    # Thinking of earlier turns comes back without a signature, and the upstream takes none such;
    # the other kinds of parts are refused by name before a turn gets here.
    return (part.text for part in message.parts if isinstance(part, Text))
