"""A line is decoded into the frame it says it is, and what we do not know is let pass."""

import msgspec
import pytest

from ocpd.claude.wire import (
    AssistantFrame,
    BadFrame,
    ControlRequestFrame,
    ControlResponseFrame,
    IgnoredFrame,
    RateLimitFrame,
    ResultFrame,
    StreamFrame,
    SystemFrame,
    decode_frame,
)
from tests.unit.claude.stage import encode, granted, requesting, result, text, text_block, whole
from tests.unit.claude.transcripts import CASES, read

KINDS: dict[str, type] = {
    "stream_event": StreamFrame,
    "assistant": AssistantFrame,
    "result": ResultFrame,
    "system": SystemFrame,
    "rate_limit_event": RateLimitFrame,
    "control_response": ControlResponseFrame,
    "control_request": ControlRequestFrame,
}


@pytest.mark.parametrize("name", CASES)
def test_every_frame_of_the_real_cli_is_read(name: str) -> None:
    for line in read(name):
        kind = msgspec.json.decode(line)["type"]
        assert type(decode_frame(line)) is KINDS.get(kind, IgnoredFrame)


@pytest.mark.parametrize(
    "frame", [text("a"), whole(text_block("a")), result(), requesting(), granted("x")]
)
def test_unknown_fields_are_ignored(frame: dict[str, object]) -> None:
    more = {**frame, "brand_new": {"a": [1]}}
    assert type(decode_frame(encode(more))) is type(decode_frame(encode(frame)))


def test_the_type_may_stand_anywhere_in_the_frame() -> None:
    frame = decode_frame(b'{"parent_tool_use_id":null,"event":{"type":"x"},"type":"stream_event"}')
    assert frame == StreamFrame(event=frame.event)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"keep_alive"}',
        b'{"type":"user","message":{"content":[{"type":"text","text":"x"}]}}',
        b'{"type":"transcript_mirror","deep":[[[[]]]]}',
        b"{}",
    ],
)
def test_frames_of_other_types_are_ignored(line: bytes) -> None:
    assert isinstance(decode_frame(line), IgnoredFrame)


@pytest.mark.parametrize("line", [b"[SandboxDebug] x", b"null", b"[1]", b'"{"', b"\xff\xfe", b""])
def test_lines_that_are_no_object_are_ignored(line: bytes) -> None:
    assert decode_frame(line) == IgnoredFrame("")


def test_a_frame_may_have_white_space_around_it() -> None:
    assert isinstance(decode_frame(b'  {"type": "result"} \r'), ResultFrame)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b'{"type":"result"',
        b'{"type":3}',
        b'{"type":"stream_event"}',
        b'{"type":"stream_event","event":',
        b'{"type":"assistant","message":"x"}',
        b'{"type":"assistant","message":{"content":[{}]}}',
        b'{"type":"result","is_error":"no"}',
        b'{"type":"control_request","request":{}}',
        b'{"type":"rate_limit_event"}',
        b'{"type":"result","result":"\xff"}',
        b'{"type":"result","result":"\\ud800"}',
        b'{"type":"x","deep":' + b"[" * 100_000,
    ],
)
def test_a_broken_frame_is_a_bad_frame_and_nothing_worse(line: bytes) -> None:
    with pytest.raises(BadFrame):
        decode_frame(line)


def test_counts_may_be_null() -> None:
    usage = {"input_tokens": None, "output_tokens": 3, "output_tokens_details": None}
    frame = decode_frame(encode(result(usage=usage)))
    assert isinstance(frame, ResultFrame)
    assert frame.usage is not None
    assert (frame.usage.input_tokens, frame.usage.output_tokens) == (None, 3)


def test_the_answer_of_a_control_response_is_passed_on_as_it_came() -> None:
    frame = decode_frame(encode(granted("x", {"b": [1, {"c": None}]})))
    assert isinstance(frame, ControlResponseFrame)
    assert bytes(frame.response.response) == b'{"b":[1,{"c":null}]}'


@pytest.mark.parametrize("said", [b"", b',"response":null', b',"response":{}'])
def test_a_control_response_may_have_no_answer(said: bytes) -> None:
    line = b'{"type":"control_response","response":{"subtype":"success","request_id":"x"%b}}' % said
    assert isinstance(decode_frame(line), ControlResponseFrame)
