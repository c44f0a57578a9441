"""The frames of the CLI's stream-json protocol, as 2.1.330 writes them. Pure.

What may live here: functions from the facts of a session to frames. Fields that nobody could want
(lists of the CLI's own commands and agents, costs, paths) are left out or empty.
"""

import uuid
from typing import Any

from msgspec import Struct

Frame = dict[str, Any]

_EFFORTS = ["low", "medium", "high", "xhigh", "max"]
_ALIASES = {
    "default": "claude-sonnet-5-5",
    "sonnet": "claude-sonnet-5-5",
    "fable": "claude-fable-5-2",
    "opus": "claude-opus-5-5",
    "haiku": "claude-haiku-5-5",
}
_USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 5,
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 0},
}
_NO_USAGE = {name: 0 for name in _USAGE if name != "output_tokens_details"}


class Turn(Struct, frozen=True):
    """The facts that the frames of one turn share."""

    session_id: str
    model: str
    version: str
    message_uuid: str
    message_id: str
    tools: tuple[str, ...] = ()

    @property
    def marks(self) -> Frame:
        """What joins a frame to the user message it belongs to."""
        return {
            "user_message_uuid": self.message_uuid,
            "user_message_uuids": [self.message_uuid],
        }


def success(request_id: object, response: Frame | None = None) -> Frame:
    """A control response; without a payload if there is none."""
    inner: Frame = {"subtype": "success", "request_id": request_id}
    if response is not None:
        inner["response"] = response
    return {"type": "control_response", "response": inner}


def failure(request_id: object, error: str, **more: object) -> Frame:
    """A control response that refuses."""
    inner = {"subtype": "error", "request_id": request_id, "error": error, **more}
    return {"type": "control_response", "response": inner}


def models() -> list[Frame]:
    """What ``list_models`` and the initialize response name."""
    return [
        {
            "value": value,
            "resolvedModel": model,
            "displayName": value.capitalize(),
            "description": "fake",
            "supportsEffort": True,
            "supportedEffortLevels": _EFFORTS,
            "supportsAdaptiveThinking": True,
            "supportsThinkingOff": False,
        }
        for value, model in _ALIASES.items()
    ]


def initialized(pid: int, version: str) -> Frame:
    """The payload of the initialize response."""
    return {
        "commands": [],
        "agents": [],
        "output_style": "default",
        "models": models(),
        "account": {"tokenSource": "CLAUDE_CODE_OAUTH_TOKEN", "apiProvider": "firstParty"},
        "pid": pid,
        "claude_code_version": version,
        "current_permission_mode": "default",
        "session_state": "idle",
        "capabilities": ["interrupt_receipt_v1", "interrupt_cancel_queued_v1", "msg_lifecycle_v1"],
    }


def usage_report() -> Frame:
    """The payload of ``get_usage`` for a login without profile scope."""
    return {
        "session": {"total_cost_usd": 0, "model_usage": {}},
        "subscription_type": None,
        "rate_limits_available": False,
        "rate_limits": None,
    }


def lifecycle(turn: Turn, state: str) -> Frame:
    """Where a user message stands: queued, started, completed or cancelled."""
    return {
        "type": "command_lifecycle",
        "command_uuid": turn.message_uuid,
        "state": state,
        **_own(turn),
    }


def system_init(turn: Turn) -> Frame:
    """The head of every turn."""
    return {
        "type": "system",
        "subtype": "init",
        "cwd": "/",
        "tools": list(turn.tools),
        "mcp_servers": [],
        "model": turn.model,
        "permissionMode": "default",
        "apiKeySource": "none",
        "claude_code_version": turn.version,
        "capabilities": ["interrupt_receipt_v1", "interrupt_cancel_queued_v1", "msg_lifecycle_v1"],
        "user_message_uuids": [turn.message_uuid],
        **_own(turn),
    }


def requesting(turn: Turn) -> Frame:
    """The API is about to be asked."""
    return {
        "type": "system",
        "subtype": "status",
        "status": "requesting",
        "user_message_uuids": [turn.message_uuid],
        **_own(turn),
    }


def opening(turn: Turn) -> list[Frame]:
    """``message_start`` and the start of a text block."""
    return _opening(turn, _text(""))


def calling(turn: Turn, name: str, call_id: str, arguments: str) -> list[Frame]:
    """A whole message that calls a tool of the host's, and the request for its result."""
    block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    piece = {"type": "input_json_delta", "partial_json": arguments}
    params = {"name": name, "arguments": {}, "_meta": {"claudecode/toolUseId": call_id}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    asked = {"subtype": "mcp_message", "server_name": "c", "message": message}
    ending = {"stop_reason": "tool_use", "stop_sequence": None}
    return [
        *_opening(turn, block),
        _event(turn, {"type": "content_block_delta", "index": 0, "delta": piece}),
        _event(turn, {"type": "content_block_stop", "index": 0}),
        {"type": "control_request", "request_id": call_id, "request": asked},
        _event(turn, {"type": "message_delta", "delta": ending, "usage": _USAGE}),
        _event(turn, {"type": "message_stop"}),
    ]


def delta(turn: Turn, text: str) -> Frame:
    """One text delta."""
    inner = {"type": "text_delta", "text": text}
    return _event(turn, {"type": "content_block_delta", "index": 0, "delta": inner})


def closing(turn: Turn, text: str, stop_reason: str | None) -> list[Frame]:
    """The block's ``assistant`` frame and the end of the message.

    Without a stop reason it is the end that an interrupted stream gets.
    """
    message = {**_message(turn, [_text(text)]), "usage": {**_USAGE, "output_tokens": 1}}
    aborted = {} if stop_reason else {"aborted": True}
    ending = {"stop_reason": stop_reason, "stop_sequence": None}
    return [
        {
            "type": "assistant",
            "message": message,
            "parent_tool_use_id": None,
            **aborted,
            **turn.marks,
            **_own(turn),
        },
        _event(turn, {"type": "content_block_stop", "index": 0}),
        _event(turn, {"type": "message_delta", "delta": ending, "usage": _USAGE}),
        _event(turn, {"type": "message_stop"}),
    ]


def rate_limit(turn: Turn) -> Frame:
    """The plan's state after a good answer."""
    info = {"status": "allowed", "isUsingOverage": False}
    return {"type": "rate_limit_event", "rate_limit_info": info, **_own(turn)}


def result(turn: Turn, text: str, stop_reason: str | None) -> Frame:
    """The end of a turn that went well; without a stop reason, of one that asked nothing."""
    return {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "num_turns": 1 if stop_reason else 0,
        "stop_reason": stop_reason,
        "result": text,
        **({"terminal_reason": "completed", "api_error_status": None} if stop_reason else {}),
        **_result_facts(turn, _USAGE if stop_reason else _NO_USAGE),
    }


def aborted(turn: Turn) -> Frame:
    """The end of an interrupted turn."""
    return {
        "type": "result",
        "subtype": "error_during_execution",
        "is_error": True,
        "num_turns": 1,
        "stop_reason": None,
        "terminal_reason": "aborted_streaming",
        "errors": ["[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null"],
        **_result_facts(turn, _NO_USAGE),
    }


def empty_error(turn: Turn) -> Frame:
    """A result that is an error and carries no text at all."""
    return {
        "type": "result",
        "subtype": "error_during_execution",
        "is_error": True,
        "num_turns": 0,
        **_result_facts(turn, _NO_USAGE),
    }


def _result_facts(turn: Turn, usage: Frame) -> Frame:
    return {
        "duration_ms": 1,
        "duration_api_ms": 1,
        "total_cost_usd": 0,
        "usage": usage,
        "modelUsage": {},
        "permission_denials": [],
        "queued_turn_count": 0,
        **turn.marks,
        **_own(turn),
    }


def _opening(turn: Turn, block: Frame) -> list[Frame]:
    message = {**_message(turn, []), "usage": {**_USAGE, "output_tokens": 1}}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    first = {**_event(turn, {"type": "message_start", "message": message}), **turn.marks}
    return [{**first, "ttft_ms": 1}, _event(turn, start)]


def _event(turn: Turn, event: Frame) -> Frame:
    return {
        "type": "stream_event",
        "event": event,
        "parent_tool_use_id": None,
        "api_message_id": turn.message_id,
        **_own(turn),
    }


def _message(turn: Turn, content: list[Frame]) -> Frame:
    return {
        "id": turn.message_id,
        "type": "message",
        "role": "assistant",
        "model": turn.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _text(text: str) -> Frame:
    return {"type": "text", "text": text}


def _own(turn: Turn) -> Frame:
    return {"session_id": turn.session_id, "uuid": str(uuid.uuid4())}
