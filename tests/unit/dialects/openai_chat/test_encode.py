"""Events to bytes."""

from pathlib import Path

import msgspec
import pytest

from ocpd.dialects.openai_chat.encode import (
    FINISH_REASONS,
    FoldingEncoder,
    StreamEncoder,
    count_tokens,
    encode_refusal,
)
from ocpd.errors import BadRequest, Bug, Gone, OcpdError, Overloaded, Unauthorized, Upstream
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
}


def make_turn(*, stream: bool = False, include_usage: bool = False) -> Turn:
    return Turn(
        id=TURN_ID,
        model="claude-sonnet-5-5",
        messages=(Message(Role.USER, (Text("hi"),)),),
        stream=stream,
        include_usage=include_usage,
    )


def stream(*events: Event, include_usage: bool = False) -> bytes:
    encoder = StreamEncoder(make_turn(stream=True, include_usage=include_usage), 1_700_000_000)
    return b"".join(encoder.feed(event) for event in events)


def fold(*events: Event) -> bytes:
    encoder = FoldingEncoder(make_turn(), 1_700_000_000)
    return b"".join(encoder.feed(event) for event in events)


@pytest.mark.parametrize("case", CASES)
def test_events_become_exactly_the_golden_bytes(case: str) -> None:
    include_usage, events = CASES[case]
    if case.startswith("stream"):
        written = stream(*events, include_usage=include_usage)
    else:
        written = fold(*events) + b"\n"
    assert written == (GOLDEN / f"{case}.txt").read_bytes()


def test_every_golden_file_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


def test_content_types_are_the_apis() -> None:
    assert StreamEncoder(make_turn(), 0).content_type == "text/event-stream"
    assert FoldingEncoder(make_turn(), 0).content_type == "application/json"


@pytest.mark.parametrize("first", [TextDelta("a"), ReasoningDelta("a"), DONE])
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


def test_what_is_for_the_log_is_not_in_the_body() -> None:
    assert b"secret" not in stream(BROKEN) + fold(BROKEN) + encode_refusal(Bug("secret"))
