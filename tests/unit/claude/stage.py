"""What the tests of this room stand on: turns to ask, frames to hear, and the order events keep.

What may live here: builders and readers. What is expected stands in the tests; what the real CLI
said is in ``transcripts``.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ocpd.claude.claim import write_claim
from ocpd.claude.limits import Applied, Sheet, find_limits, write_limits
from ocpd.claude.listener import Listener
from ocpd.claude.messages import Step, message_uuid
from ocpd.claude.session import Session
from ocpd.claude.wire import (
    AssistantFrame,
    RateLimitInfo,
    ResultFrame,
    StreamFrame,
    SystemFrame,
    decode_frame,
)
from ocpd.turn.events import (
    CallBegun,
    CallDelta,
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Refused,
    Settled,
    Started,
    TextDelta,
)
from ocpd.turn.request import Limits, Message, Role, Text, Tool, Turn, TurnId

TURN_ID = TurnId("0123456789abcdef0123456789abcdef")
MODEL = "claude-sonnet-5-5"
SIGN_IN = "claude auth login"
PROMPT = message_uuid(TURN_ID, 0)
"""The uuid of the prompt of a turn without history."""

LOOKUP = Tool("lookup", "Looks something up.", msgspec.Raw(b'{"type":"object"}'))
"""A tool of the caller's."""

Frame = dict[str, Any]

_frames: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


def claim_steps(turn: Turn, sheet: Sheet) -> tuple[Step, ...]:
    """The steps of a fresh process."""
    return write_claim(turn, write_limits(find_limits(turn, sheet), Applied()))


def user(*texts: str) -> Message:
    """Something the caller said."""
    return Message(Role.USER, tuple(Text(text) for text in texts))


def assistant(*texts: str) -> Message:
    """Something the model said earlier."""
    return Message(Role.ASSISTANT, tuple(Text(text) for text in texts))


def ask(
    *messages: Message,
    system: str = "You are terse.",
    model: str = MODEL,
    max_tokens: int | None = None,
    turn_id: TurnId = TURN_ID,
    tools: tuple[Tool, ...] = (),
) -> Turn:
    """A turn; without messages it is one short question."""
    return Turn(
        id=turn_id,
        model=model,
        messages=messages or (user("hi there"),),
        system=system,
        limits=Limits(max_tokens=max_tokens),
        tools=tools,
    )


def claimed(*messages: Message, sheet: Sheet | None = None) -> Session:
    """A child that has just been claimed; what it writes first is thrown away."""
    turn = ask(*messages)
    session = Session(turn.model, SIGN_IN)
    session.claim(turn, sheet or Sheet())
    session.data_to_send()
    return session


def holding(*ids: str) -> Session:
    """A child whose answer calls ``lookup`` once for each of ``ids``, and waits for the results."""
    turn = ask(tools=(LOOKUP,))
    session = Session(turn.model, SIGN_IN)
    session.claim(turn, Sheet())
    names = ids or ("toolu_1",)
    hear(session, begin(), *(call(name, at) for at, name in enumerate(names)))
    hear(session, *(calling(name, at) for at, name in enumerate(names)), stop("tool_use"))
    session.data_to_send()
    return session


def encode(*frames: object) -> bytes:
    """Frames as the CLI writes them."""
    return b"".join(msgspec.json.encode(frame) + b"\n" for frame in frames)


def hear(session: Session, *frames: object) -> list[Event]:
    """Let the child say ``frames``."""
    return session.receive(encode(*frames))


def listen() -> Listener:
    """Somebody who reads one turn's frames."""
    return Listener(ask(), SIGN_IN)


def tell(listener: Listener, *frames: Frame, limit: RateLimitInfo | None = None) -> list[Event]:
    """Let a listener read ``frames``, all of which are its turn's."""
    events: list[Event] = []
    for frame in frames:
        match decode_frame(encode(frame)):
            case StreamFrame(event=event):
                events += listener.on_stream(event)
            case AssistantFrame() as said:
                events += listener.on_assistant(said)
            case SystemFrame() as said:
                events += listener.on_system(said)
            case ResultFrame() as said:
                events += listener.on_result(said, limit)
    if events and isinstance(events[0], Started):
        assert_in_order(events)
    return events


def written(data: bytes) -> list[Frame]:
    """The frames in what a session wrote."""
    assert not data or data.endswith(b"\n")
    return [_frames.decode(line) for line in data.split(b"\n")[:-1]]


# What the CLI says...


def stream(event: Frame, **more: object) -> Frame:
    """A raw event of the upstream's."""
    return {"type": "stream_event", "event": event, "parent_tool_use_id": None, **more}


def begin(message_id: str = "msg_1", usage: Frame | None = None, **more: object) -> Frame:
    """The upstream begins a message."""
    message = {"id": message_id, "model": MODEL, "content": [], "usage": usage}
    return stream({"type": "message_start", "message": message}, **more)


def text(piece: str, **more: object) -> Frame:
    """A piece of the answer."""
    delta = {"type": "text_delta", "text": piece}
    return stream({"type": "content_block_delta", "index": 0, "delta": delta}, **more)


def thought(piece: str) -> Frame:
    """A piece of thinking."""
    delta = {"type": "thinking_delta", "thinking": piece}
    return stream({"type": "content_block_delta", "index": 0, "delta": delta})


def block(kind: str, index: int = 0, **more: object) -> Frame:
    """The upstream begins a block."""
    told = {"type": kind, **more}
    return stream({"type": "content_block_start", "index": index, "content_block": told})


def call(name: str, index: int = 0, tool: str = "lookup") -> Frame:
    """The model begins a call with the id ``name``."""
    return block("tool_use", index, id=name, name=tool, input={})


def fragment(piece: str, index: int = 0) -> Frame:
    """A piece of a call's arguments."""
    delta = {"type": "input_json_delta", "partial_json": piece}
    return stream({"type": "content_block_delta", "index": index, "delta": delta})


def end_block(index: int = 0) -> Frame:
    """A block is complete."""
    return stream({"type": "content_block_stop", "index": index})


def mcp(method: str, request_id: str = "cli-1", **message: object) -> Frame:
    """The CLI says something to our MCP server."""
    told = {"jsonrpc": "2.0", "method": method, **message}
    asked = {"subtype": "mcp_message", "server_name": "c", "message": told}
    return {"type": "control_request", "request_id": request_id, "request": asked}


def calling(name: str, number: int = 0, tool: str = "lookup") -> Frame:
    """The CLI wants the result of the call ``name``."""
    params = {"name": tool, "arguments": {}, "_meta": {"claudecode/toolUseId": name}}
    return mcp("tools/call", f"call-{number}", id=number, params=params)


def stop(reason: str | None = "end_turn", usage: Frame | None = None) -> Frame:
    """The upstream says why the message ends."""
    return stream({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage})


def close() -> Frame:
    """The message is closed."""
    return stream({"type": "message_stop"})


def whole(*blocks: Frame, message_id: str = "msg_1", **more: object) -> Frame:
    """An ``assistant`` frame. ``stop_reason``, ``usage`` and ``model`` belong to its message."""
    inner = {key: more.pop(key) for key in ("stop_reason", "usage", "model") if key in more}
    message = {"id": message_id, "model": MODEL, "content": list(blocks), **inner}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, **more}


def text_block(said: str) -> Frame:
    """A block of such a frame."""
    return {"type": "text", "text": said}


def result(**more: object) -> Frame:
    """The end of a turn."""
    return {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "stop_reason": "end_turn",
        "total_cost_usd": 0.25,
        **more,
    }


def failure(**more: object) -> Frame:
    """The end of a turn that failed."""
    return result(is_error=True, stop_reason=None, total_cost_usd=0, **more)


def requesting() -> Frame:
    """A request is on its way to the model."""
    return {"type": "system", "subtype": "status", "status": "requesting"}


def retrying(status: int | None, word: str) -> Frame:
    """The CLI will try again."""
    return {"type": "system", "subtype": "api_retry", "error_status": status, "error": word}


def granted(request_id: str, response: object = None) -> Frame:
    """The CLI has done what was asked."""
    answer = {"subtype": "success", "request_id": request_id, "response": response or {}}
    return {"type": "control_response", "response": answer}


def refused(request_id: str, error: str = "no") -> Frame:
    """The CLI has not."""
    answer = {"subtype": "error", "request_id": request_id, "error": error}
    return {"type": "control_response", "response": answer}


# ... and what becomes of it.

_LETTERS: dict[type, str] = {
    Started: "s",
    TextDelta: "t",
    ReasoningDelta: "r",
    CallBegun: "c",
    CallDelta: "d",
    Refused: "f",
    Finished: "F",
    Failed: "X",
    Settled: "e",
}
_ORDER = re.compile(r"(s[trcd]*)?|s[trcd]*f?Fe?|(s[trcd]*)?Xe?")


def assert_in_order(events: Iterable[Event]) -> None:
    """The law of ``ocpd.turn.events``, for a turn that is over or still runs."""
    spelled = "".join(_LETTERS[type(event)] for event in events)
    assert _ORDER.fullmatch(spelled), spelled


def said(events: Iterable[Event]) -> str:
    """The text of the answer."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def kinds(events: Sequence[Event]) -> list[str]:
    """The names of what happened."""
    return [type(event).__name__ for event in events]
