"""Events to bytes."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.dialects.openai_chat.encode import (
    FINISH_REASONS,
    FoldingEncoder,
    StreamEncoder,
    count_tokens,
    encode_refusal,
)
from ocpd.errors import (
    BadRequest,
    Bug,
    Gone,
    OcpdError,
    Overloaded,
    QuotaExceeded,
    QuotaFacts,
    Unauthorized,
    Upstream,
)
from ocpd.turn.events import (
    CallBegun,
    CallDelta,
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
from ocpd.turn.request import Message, Role, Text, Turn
from tests.unit.dialects.openai_chat.asking import TURN_ID

GOLDEN = Path(__file__).resolve().parents[3] / "golden/openai_chat"
USAGE = Usage(
    input_tokens=10,
    cache_read_tokens=20,
    cache_write_tokens=30,
    output_tokens=7,
    reasoning_tokens=3,
)
DONE = Finished(StopReason.END_TURN, USAGE)
BROKEN = Failed(Upstream("The model's service failed.", code="upstream_error", detail="secret"))
CALLED = Finished(StopReason.TOOL_USE, USAGE)


def call(index: int, name: str, *pieces: str) -> list[Event]:
    """A call of the tool ``name``, its arguments in pieces."""
    begun = CallBegun(index, f"toolu_01{name}", name)
    return [begun, *(CallDelta(index, piece) for piece in pieces)]


CASES: dict[str, tuple[bool, list[Event]]] = {
    "stream": (
        False,
        [
            Started("m"),
            TextDelta("Hello"),
            TextDelta(' "wörld"\n\u2028🙂'),
            DONE,
            Settled(USAGE, 0.1),
        ],
    ),
    "stream_with_usage": (True, [Started("m"), TextDelta("Hello"), DONE]),
    "stream_with_reasoning": (
        False,
        [
            Started("m"),
            ReasoningDelta("Let me"),
            ReasoningDelta(" see."),
            TextDelta("42"),
            Finished(StopReason.MAX_TOKENS, USAGE),
        ],
    ),
    "stream_empty": (True, [Started("m"), Finished(StopReason.MAX_TOKENS, USAGE)]),
    "stream_broken": (True, [Started("m"), TextDelta("Hel"), BROKEN]),
    "folded": (False, [Started("m"), TextDelta("Hello "), TextDelta("world"), DONE]),
    "folded_with_reasoning": (
        False,
        [Started("m"), ReasoningDelta("hm"), TextDelta("42"), DONE, Settled(USAGE, 0.1)],
    ),
    "folded_broken": (False, [Started("m"), TextDelta("Hel"), BROKEN]),
    # Calls: with a text before, without arguments, with what a line of a stream must not hold.
    "stream_calls": (
        True,
        [
            Started("m"),
            TextDelta("Let me look."),
            *call(0, "lookup", '{"ke', 'y":1}'),
            *call(1, "now", "{}"),
            CALLED,
            Settled(USAGE, 0.1),
        ],
    ),
    "stream_call_odd": (
        False,
        [Started("m"), *call(0, "say", '{"text":"wört\u2028', '\u0085🙂\\n\\u0000\\""}'), CALLED],
    ),
    "stream_call_broken": (False, [Started("m"), *call(0, "lookup", '{"ke'), BROKEN]),
    "stream_function_call": (
        False,
        [Started("m"), TextDelta("Hm."), *call(0, "lookup", '{"key"', ":1}"), CALLED],
    ),
    "folded_calls": (
        False,
        [
            Started("m"),
            TextDelta("Let me "),
            TextDelta("look."),
            *call(0, "lookup", '{"ke', 'y":1}'),
            *call(1, "now", "{}"),
            CALLED,
        ],
    ),
    "folded_call_odd": (
        False,
        [Started("m"), *call(0, "say", '{"text":"wört\u2028', '\u0085🙂\\n\\u0000\\""}'), CALLED],
    ),
    "folded_call_with_reasoning": (
        False,
        [Started("m"), ReasoningDelta("hm"), *call(0, "now"), CALLED],
    ),
    "folded_function_call": (False, [Started("m"), *call(0, "lookup", '{"key"', ":1}"), CALLED]),
}


def make_turn(
    *, stream: bool = False, include_usage: bool = False, as_functions: bool = False
) -> Turn:
    return Turn(
        id=TURN_ID,
        model="claude-sonnet-5-5",
        messages=(Message(Role.USER, (Text("hi"),)),),
        stream=stream,
        include_usage=include_usage,
        calls_as_functions=as_functions,
    )


def stream(*events: Event, include_usage: bool = False, as_functions: bool = False) -> bytes:
    turn = make_turn(stream=True, include_usage=include_usage, as_functions=as_functions)
    encoder = StreamEncoder(turn, 1_700_000_000)
    return b"".join(encoder.feed(event) for event in events)


def fold(*events: Event, as_functions: bool = False) -> bytes:
    encoder = FoldingEncoder(make_turn(as_functions=as_functions), 1_700_000_000)
    return b"".join(encoder.feed(event) for event in events)


@pytest.mark.parametrize("case", CASES)
def test_events_become_exactly_the_golden_bytes(case: str) -> None:
    include_usage, events = CASES[case]
    as_functions = case.endswith("function_call")
    if case.startswith("stream"):
        written = stream(*events, include_usage=include_usage, as_functions=as_functions)
    else:
        written = fold(*events, as_functions=as_functions) + b"\n"
    assert written == (GOLDEN / f"{case}.txt").read_bytes()


def test_every_golden_file_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


def test_content_types_are_the_apis() -> None:
    assert StreamEncoder(make_turn(), 0).content_type == "text/event-stream"
    assert FoldingEncoder(make_turn(), 0).content_type == "application/json"


@pytest.mark.parametrize("first", [TextDelta("a"), ReasoningDelta("a"), *call(0, "now"), DONE])
def test_the_role_comes_first_even_if_nobody_said_the_turn_started(first: Event) -> None:
    assert stream(first).startswith(stream(Started("m")))


def test_the_role_comes_once() -> None:
    assert stream(Started("m"), Started("m")) == stream(Started("m"))


@pytest.mark.parametrize("last", [DONE, BROKEN])
def test_after_the_end_nothing_more_is_said(last: Event) -> None:
    late = (TextDelta("late"), Settled(USAGE, 0.0), DONE, BROKEN, Started("m"))
    assert stream(last, *late) == stream(last)
    assert fold(last, *late) == fold(last)


def test_the_books_of_the_cli_are_no_business_of_the_callers() -> None:
    assert stream(Settled(USAGE, 0.1)) == fold(Settled(USAGE, 0.1)) == b""


def test_a_model_name_that_looks_like_a_format_comes_through() -> None:
    turn = msgspec.structs.replace(make_turn(stream=True), model='claude-%s-%b"')
    frames = StreamEncoder(turn, 0).feed(DONE)
    assert b'"model":"claude-%s-%b\\""' in frames


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        (StopReason.END_TURN, "stop"),
        (StopReason.STOP_SEQUENCE, "stop"),
        (StopReason.MAX_TOKENS, "length"),
        (StopReason.CONTEXT_EXCEEDED, "length"),
        (StopReason.TOOL_USE, "tool_calls"),
        (StopReason.REFUSAL, "content_filter"),
    ],
)
def test_reasons_are_told_in_this_apis_words(reason: StopReason, finish: str) -> None:
    assert f'"finish_reason":"{finish}"'.encode() in stream(Finished(reason, USAGE))
    assert f'"finish_reason":"{finish}"'.encode() in fold(Finished(reason, USAGE))


def test_no_reason_is_without_a_word() -> None:
    assert set(FINISH_REASONS) == set(StopReason)


def test_tokens_from_the_cache_count_as_prompt_tokens() -> None:
    assert msgspec.to_builtins(count_tokens(USAGE)) == {
        "prompt_tokens": 60,
        "completion_tokens": 7,
        "total_tokens": 67,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("x"), "invalid_request_error"),
        (BadRequest("x", status=404), "invalid_request_error"),
        (BadRequest("x", status=405), "invalid_request_error"),
        (BadRequest("x", status=408), "invalid_request_error"),
        (BadRequest("x", status=409), "invalid_request_error"),
        (BadRequest("x", status=413), "invalid_request_error"),
        (BadRequest("x", status=431), "invalid_request_error"),
        (Unauthorized("x"), "authentication_error"),
        (OcpdError("x", status=403), "permission_error"),
        (Overloaded("x"), "rate_limit_error"),
        (Overloaded("x", status=503), "api_error"),
        (Upstream("x"), "api_error"),
        (Bug("private"), "api_error"),
        (Gone("x"), "api_error"),
    ],
)
def test_a_status_has_its_type_of_error(error: OcpdError, kind: str) -> None:
    body = msgspec.json.decode(encode_refusal(error))
    assert list(body) == ["error"]
    assert body["error"] == {
        "message": error.message,
        "type": kind,
        "param": error.param,
        "code": error.code,
    }


def test_a_quota_is_told_with_its_facts() -> None:
    facts = QuotaFacts("daily", 5, 6, "2h 0m")
    error = QuotaExceeded("enough", facts, retry_after_s=7)
    assert msgspec.json.decode(encode_refusal(error))["error"] == {
        "message": "enough",
        "type": "quota_exceeded",
        "param": None,
        "code": "quota_exceeded",
        "quota": {"period": "daily", "limit": 5, "used": 6, "resetsIn": "2h 0m"},
    }


def test_what_is_for_the_log_is_not_in_the_body() -> None:
    assert b"secret" not in stream(BROKEN) + fold(BROKEN) + encode_refusal(Bug("secret"))


# Calls.


def deltas(streamed: bytes) -> list[dict[str, object]]:
    """What the chunks of a stream bring, one after the other."""
    frames = streamed.decode().splitlines()
    chunks = [msgspec.json.decode(frame[6:]) for frame in frames if frame.startswith("data: {")]
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def test_a_client_can_tell_where_a_call_begins_and_what_belongs_to_it() -> None:
    said = deltas(stream(*call(0, "lookup", "a", "b"), *call(1, "now", "c")))[1:]
    assert [delta["tool_calls"][0] for delta in said] == [
        {"index": 0, "id": "toolu_01lookup", "type": "function"}
        | {"function": {"name": "lookup", "arguments": ""}},
        {"index": 0, "function": {"arguments": "a"}},
        {"index": 0, "function": {"arguments": "b"}},
        {"index": 1, "id": "toolu_01now", "type": "function"}
        | {"function": {"name": "now", "arguments": ""}},
        {"index": 1, "function": {"arguments": "c"}},
    ]


@pytest.mark.parametrize(
    ("said", "content"), [((), None), ((TextDelta("Hm."),), "Hm."), ((ReasoningDelta("hm"),), None)]
)
def test_a_whole_answer_that_only_calls_has_no_content(
    said: tuple[Event, ...], content: str | None
) -> None:
    message = msgspec.json.decode(fold(*said, *call(0, "now"), CALLED))["choices"][0]["message"]
    assert message["content"] == content


@pytest.mark.parametrize(
    ("as_functions", "finish"), [(False, "tool_calls"), (True, "function_call")]
)
def test_an_answer_that_calls_ends_in_the_words_of_its_kind(
    as_functions: bool, finish: str
) -> None:
    for write in (stream, fold):
        written = write(*call(0, "now"), CALLED, as_functions=as_functions)
        assert f'"finish_reason":"{finish}"'.encode() in written
        other = b"tool_calls" if as_functions else b"function_call"
        assert other not in written


def test_a_caller_of_the_older_kind_whose_answer_does_not_call_sees_nothing_of_it() -> None:
    said = [TextDelta("Hi"), DONE]
    assert stream(*said, as_functions=True) == stream(*said)
    assert fold(*said, as_functions=True) == fold(*said)


PIECES = st.lists(st.text(min_size=1, max_size=5), max_size=4)


@given(PIECES, st.lists(PIECES, min_size=1, max_size=3))
def test_the_pieces_of_a_stream_are_the_whole_answer(
    texts: list[str], told: list[list[str]]
) -> None:
    events: list[Event] = [TextDelta(text) for text in texts]
    for index, pieces in enumerate(told):
        events += call(index, f"tool_{index}", *pieces)
    message = msgspec.json.decode(fold(*events, CALLED))["choices"][0]["message"]
    found = [""] * len(told)
    for delta in deltas(stream(*events, CALLED)):
        for piece in delta.get("tool_calls", ()):
            found[piece["index"]] += piece["function"]["arguments"]
    assert found == [each["function"]["arguments"] for each in message["tool_calls"]]
    assert found == ["".join(pieces) for pieces in told]
    assert message["content"] == ("".join(texts) or None)
