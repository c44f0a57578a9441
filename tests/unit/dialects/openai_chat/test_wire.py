"""The structs accept what real clients send, odd fields included."""

import msgspec
import pytest

from ocpd.dialects.openai_chat import wire
from tests.unit.dialects.openai_chat.asking import decode

CACHE = {"cache_control": {"type": "ephemeral"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
USER = {"role": "user", "content": "go"}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "done"}

REQUESTS = {
    "opencode": {
        "max_tokens": 32000,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tool_choice": "auto",
        "tools": [TOOL],
        "messages": [
            {"role": "system", "content": "s", **CACHE},
            USER,
            {"role": "assistant", "content": "", "tool_calls": [CALL | CACHE]},
            RESULT | CACHE,
        ],
    },
    "pi": {
        "stream": True,
        "store": False,
        "max_completion_tokens": 8192,
        "tools": [{"type": "function", "function": {"name": "f", "strict": False}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "go"}]}],
    },
    "qwen": {
        "max_tokens": 64000,
        "tools": [TOOL],
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "x"},
            RESULT | {"content": [{"type": "text", "text": "done"}]},
        ],
    },
    "openclaw": {
        "max_completion_tokens": 4096,
        "tools": [TOOL],
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL | {"id": "call1"}]},
            RESULT | {"tool_call_id": "call1"},
            {"role": "user", "content": "context"},
        ],
    },
    "gptme": {
        "temperature": 0,
        "top_p": 0.1,
        "messages": [
            *[{"role": "system", "content": [{"type": "text", "text": "s"}]}] * 3,
            {"role": "assistant", "content": [{"type": "text", "text": "hello"}]},
            {"role": "user", "content": [{"type": "text", "text": "go"}]},
        ],
    },
    "smolagents": {
        "stop": ["Observation:", "Calling tools:"],
        "tool_choice": "required",
        "tools": [TOOL],
        "messages": [{"role": "system", "content": [{"type": "text", "text": "s"}]}, USER],
    },
    "langchain": {
        "stream": False,
        "parallel_tool_calls": False,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "messages": [USER],
    },
    "openai stream helper": {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": "a",
                "refusal": None,
                "annotations": [],
                "audio": None,
                "function_call": None,
                "tool_calls": None,
                "parsed": None,
            },
            USER,
        ],
    },
}


@pytest.mark.parametrize("client", REQUESTS)
def test_a_request_as_this_client_sends_it_is_read(client: str) -> None:
    turn = decode(**REQUESTS[client])
    assert turn.messages


def test_every_optional_field_may_be_null() -> None:
    raws = {"input", "prompt", "audio", "prediction", "modalities", "stop", "logit_bias"}
    raws |= {"metadata", "thinking", "web_search_options"}
    fields = dict.fromkeys(wire.Request.__struct_encode_fields__)
    request = msgspec.json.decode(msgspec.json.encode(fields), type=wire.Request)
    for field in fields:
        value = getattr(request, field)
        assert (bytes(value) == b"null") if field in raws else value is None
