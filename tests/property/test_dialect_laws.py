"""Laws every dialect keeps: decoders are total, streaming equals folding, and what is emitted a
strict reader accepts."""

import copy
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.dialects.interface import Context, Dialect
from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.errors import BadRequest, OcpdError
from ocpd.turn.events import (
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Settled,
    Started,
    StopReason,
    TextDelta,
    Usage,
)
from ocpd.turn.request import Message, Role, Text, ToolMode, Turn, TurnId

DIALECTS = [OPENAI_CHAT]
TURN_ID = TurnId("f" * 32)

VALID = {
    "model": "opus",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "g", "arguments": ""}},
        {"role": "function", "name": "g", "content": "r"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
            ],
        },
    ],
    "input": "in",
    "prompt": "p",
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 5,
    "stop": ["x"],
    "temperature": 1,
    "logit_bias": {"1": 2},
    "reasoning": {"effort": "low"},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "functions": [{"name": "f"}],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}]},
    },
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "session_id": "s",
    "user": "u",
}

words = st.sampled_from(
    ["user", "assistant", "tool", "system", "text", "image_url", "auto", "", " ", "data:,", "f"]
)
keys = st.sampled_from([*VALID, "role", "content", "type", "function", "name"]) | st.text()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)
texts = st.text(min_size=1)
tokens = st.integers(min_value=0, max_value=1 << 40)
usages = st.builds(Usage, tokens, tokens, tokens, tokens, tokens)
errors = st.builds(
    OcpdError, st.text(), status=st.sampled_from([400, 401, 429, 500, 502, 599]), code=st.none()
)
deltas = st.builds(TextDelta, texts) | st.builds(ReasoningDelta, texts)
finished = st.builds(Finished, st.sampled_from(StopReason), usages)
settled = st.lists(st.builds(Settled, usages, st.just(0.5)), max_size=1)


@st.composite
def sequences(draw: st.DrawFn) -> list[Event]:
    """Every order that ``turn.events`` allows."""
    if draw(st.booleans()):
        failed = Failed(draw(errors))
        begun = draw(st.booleans())
        said = draw(st.lists(deltas, max_size=5)) if begun else []
        return [*([Started("m")] if begun else []), *said, failed, *draw(settled)]
    said = draw(st.lists(deltas, max_size=8))
    return [Started("m"), *said, draw(finished), *draw(settled)]


def make_turn(*, stream: bool, include_usage: bool = False) -> Turn:
    return Turn(
        id=TURN_ID,
        model="claude-sonnet-5-5",
        messages=(Message(Role.USER, (Text("hi"),)),),
        stream=stream,
        include_usage=include_usage,
    )


def encode(dialect: Dialect, turn: Turn, events: list[Event]) -> list[bytes]:
    encoder = dialect.encoder(turn, 1_700_000_000)
    return [encoder.feed(event) for event in events]


def resolve(name: str | None) -> str:
    return name or "claude-sonnet-5-5"


def read_any(dialect: Dialect, body: bytes) -> None:
    """Decode ``body`` and check what came of it; BadRequest is an answer too."""
    try:
        turn = dialect.decode(body, Context(TURN_ID, resolve))
        check_turn(turn)
    except BadRequest as refusal:
        check_refusal(dialect, refusal)


def check_refusal(dialect: Dialect, refusal: BadRequest) -> None:
    assert 400 <= refusal.status < 500
    assert refusal.message
    assert msgspec.json.decode(dialect.refusal(refusal))["error"]["message"] == refusal.message


def check_turn(turn: Turn) -> None:
    assert turn.messages
    assert turn.messages[-1].role is Role.USER
    for message in turn.messages:
        assert message.parts
        for part in message.parts:
            assert not isinstance(part, Text) or part.text.strip()
    assert not turn.system or turn.system.strip()
    assert list(turn.ignored) == sorted(set(turn.ignored))
    assert (turn.tool_policy.name is not None) == (turn.tool_policy.mode is ToolMode.NAMED)
    assert turn.limits.max_tokens is None or turn.limits.max_tokens >= 1
    # Whatever came in must go out again: no lone surrogate, no number out of range.
    msgspec.json.encode(msgspec.structs.replace(turn, tools=()))


def list_places(tree: object) -> Iterator[tuple[object, object]]:
    """Every (container, key) of a JSON tree."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield tree, key
            yield from list_places(value)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield tree, index
            yield from list_places(value)


def read_frames(stream: bytes) -> list[str]:
    """Read server-sent events as the standard says, by a splitter that knows Unicode's line ends
    too: the strictest reader."""
    frames: list[str] = []
    data: list[str] = []
    for line in stream.decode("utf-8").splitlines():
        if line:
            field, _, value = line.partition(":")
            assert field == "data"
            data.append(value.removeprefix(" "))
        elif data:
            frames.append("\n".join(data))
            data = []
    assert not data, "the last frame was not ended"
    return frames


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_a_turn_or_a_bad_request(dialect: Dialect, body: bytes) -> None:
    read_any(dialect, body)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(value=values | st.dictionaries(keys, values, max_size=6))
def test_any_json_is_a_turn_or_a_bad_request(dialect: Dialect, value: object) -> None:
    read_any(dialect, msgspec.json.encode(value))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(data=st.data())
def test_a_good_request_with_one_change_is_a_turn_or_a_bad_request(
    dialect: Dialect, data: st.DataObject
) -> None:
    tree = copy.deepcopy(VALID)
    places = list(list_places(tree))
    place, key = places[data.draw(st.integers(0, len(places) - 1))]
    assert isinstance(place, dict | list)
    if data.draw(st.booleans()):
        del place[key]  # type: ignore[arg-type]
    else:
        place[key] = data.draw(values)  # type: ignore[index]
    read_any(dialect, msgspec.json.encode(tree))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(cut=st.integers(0, 1 << 30), flip=st.integers(0, 255))
def test_a_damaged_good_request_is_a_turn_or_a_bad_request(
    dialect: Dialect, cut: int, flip: int
) -> None:
    body = msgspec.json.encode(VALID)
    place = cut % len(body)
    read_any(dialect, body[:place])
    read_any(dialect, body[:place] + bytes([flip]) + body[place + 1 :])


def test_the_good_request_is_good() -> None:
    turn = OPENAI_CHAT.decode(msgspec.json.encode(VALID), Context(TURN_ID, resolve))
    check_turn(turn)
    assert len(turn.messages) == 6


@given(events=sequences())
def test_streaming_equals_folding(events: list[Event]) -> None:
    chunks = encode(OPENAI_CHAT, make_turn(stream=True, include_usage=True), events)
    bodies = [body for body in encode(OPENAI_CHAT, make_turn(stream=False), events) if body]
    assert len(bodies) == 1
    folded = msgspec.json.decode(bodies[0])
    streamed = [msgspec.json.decode(frame) for frame in read_frames(b"".join(chunks))[:-1]]
    if "error" in folded:
        assert streamed[-1] == folded
        return
    choices = [chunk["choices"][0] for chunk in streamed[:-1]]
    message = folded["choices"][0]["message"]
    for field in ("content", "reasoning_content"):
        joined = "".join(choice["delta"].get(field, "") for choice in choices)
        assert joined == message.get(field, "")
    assert choices[-1]["finish_reason"] == folded["choices"][0]["finish_reason"]
    assert streamed[-1]["usage"] == folded["usage"]
    for chunk in streamed:
        assert [chunk[field] for field in ("id", "created", "model")] == [
            folded[field] for field in ("id", "created", "model")
        ]


@given(events=sequences(), include_usage=st.booleans())
def test_a_stream_is_read_by_a_strict_reader_and_ends_once(
    events: list[Event], include_usage: bool
) -> None:
    turn = make_turn(stream=True, include_usage=include_usage)
    frames = read_frames(b"".join(encode(OPENAI_CHAT, turn, events)))
    assert frames.count("[DONE]") == 1
    assert frames[-1] == "[DONE]"
    chunks = [msgspec.json.decode(frame) for frame in frames[:-1]]
    broken = [chunk for chunk in chunks if "error" in chunk]
    choices = [chunk["choices"][0] for chunk in chunks if chunk.get("choices")]
    ends = [choice for choice in choices if choice["finish_reason"] is not None]
    assert len(broken) + len(ends) == 1, "one end, either good or bad"
    if choices:
        assert choices[0]["delta"]["role"] == "assistant"
        assert sum("role" in choice["delta"] for choice in choices) == 1
    if ends:
        assert choices[-1] is ends[0]
        usages_seen = [chunk for chunk in chunks if chunk.get("usage")]
        assert usages_seen == ([chunks[-1]] if include_usage else [])
        assert all(("usage" in chunk) == include_usage for chunk in chunks)


@given(events=sequences())
def test_each_event_is_whole_frames_as_soon_as_it_happens(events: list[Event]) -> None:
    for written in encode(OPENAI_CHAT, make_turn(stream=True), events):
        assert not written or written.endswith(b"\n\n")
