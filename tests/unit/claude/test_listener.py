"""The frames of one turn become the events of one answer: each thing once, in order, or a failure.

Whose frames these are is the session's question; here all are ours.
"""

import pytest

from ocpd.claude.wire import (
    RateLimitInfo,
)
from ocpd.errors import Overloaded, Unauthorized, Upstream
from ocpd.turn.events import (
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Started,
    StopReason,
    TextDelta,
    Usage,
)
from tests.unit.claude.stage import (
    MODEL,
    SIGN_IN,
    Frame,
    begin,
    close,
    failure,
    kinds,
    listen,
    requesting,
    result,
    retrying,
    stop,
    stream,
    tell,
    text,
    text_block,
    thought,
    whole,
)

STARTED = Started(MODEL)
TOO_SLOW = Upstream("too slow", status=504, code="timeout")


def tool_block() -> Frame:
    return {"type": "tool_use", "id": "toolu_1", "name": "lookup", "input": {}}


def broke_off(event: Event) -> bool:
    return isinstance(event, Failed) and (event.error.status, event.error.code) == (
        502,
        "broke_off",
    )


# A streamed answer...


def test_a_streamed_answer_is_told_as_it_comes() -> None:
    listener = listen()
    told = tell(listener, begin(), thought("hm"), text("Hel"), text("lo"), stop(), close())
    assert told == [
        STARTED,
        ReasoningDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finished(StopReason.END_TURN, Usage()),
    ]
    assert (listener.over, listener.cut) == (True, False)


def test_an_empty_piece_is_no_event() -> None:
    assert tell(listen(), begin(), text(""), thought("")) == [STARTED]


@pytest.mark.parametrize("kind", ["input_json_delta", "signature_delta", "citations_delta", ""])
def test_pieces_of_other_kinds_are_no_events(kind: str) -> None:
    delta = {"type": kind, "partial_json": "{", "signature": "x"}
    assert tell(listen(), stream({"type": "content_block_delta", "delta": delta})) == []


@pytest.mark.parametrize("kind", ["ping", "error", "content_block_start", "message_start", "new"])
def test_other_upstream_events_are_no_events(kind: str) -> None:
    assert tell(listen(), stream({"type": kind})) == []


def test_a_piece_before_the_message_begins_still_starts_the_turn() -> None:
    assert tell(listen(), text("a"), begin())[:2] == [STARTED, TextDelta("a")]


def test_the_whole_block_after_its_pieces_is_not_told_twice() -> None:
    told = tell(listen(), begin(), text("Hi"), whole(text_block("Hi")), stop(), close())
    assert kinds(told) == ["Started", "TextDelta", "Finished"]


def test_nothing_is_told_after_the_end() -> None:
    listener = listen()
    tell(listener, begin(), text("Hi"), stop())
    more = tell(listener, text("x"), begin("msg_2"), whole(text_block("y"), message_id="msg_3"))
    assert more == []


def test_an_unknown_stop_reason_is_an_end_like_any_other() -> None:
    told = tell(listen(), begin(), text("a"), stop("pause_turn"))
    assert told[-1] == Finished(StopReason.END_TURN, Usage())


# ... where the CLI would go on by itself ...


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "model_context_window_exceeded"])
def test_an_answer_the_cli_would_continue_is_complete_and_its_process_must_go(reason: str) -> None:
    listener = listen()
    told = tell(listener, begin(), text("a"), stop(reason))
    assert told[-1] == Finished(StopReason(reason), Usage())
    assert listener.cut
    assert tell(listener, requesting(), begin("msg_2"), text("b"), stop(), result()) == []


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence"])
@pytest.mark.parametrize("piece", [text(""), text(" \n"), thought("hm")])
def test_an_answer_without_visible_text_is_not_asked_for_again(piece: Frame, reason: str) -> None:
    listener = listen()
    told = tell(listener, begin(), piece, stop(reason))
    assert told[-1] == Finished(StopReason(reason), Usage())
    assert listener.cut


def test_after_a_call_the_second_message_is_what_must_be_visible() -> None:
    listener = listen()
    tell(listener, begin(), text("Let me look."), stop("tool_use"), close())
    assert kinds(tell(listener, begin("msg_2"), stop())) == ["Finished"]
    assert listener.cut


# ... or goes on because it has to.


def test_a_call_to_a_tool_nobody_offered_does_not_end_the_answer() -> None:
    listener = listen()
    told = tell(listener, begin(), text("Let me look."), stop("tool_use"), close(), requesting())
    told += tell(listener, begin("msg_2"), text("Done."), stop(), close())
    assert told[:3] == [STARTED, TextDelta("Let me look."), TextDelta("Done.")]
    assert (kinds(told[3:]), listener.cut) == (["Finished"], False)


def test_between_a_message_with_calls_and_the_next_request_tools_are_at_work() -> None:
    listener = listen()
    tell(listener, begin(), text("Let me look."))
    assert not listener.is_at_tools
    tell(listener, stop("tool_use"), close())
    assert listener.is_at_tools
    tell(listener, requesting())
    assert not listener.is_at_tools
    tell(listener, begin("msg_2"), text("Once more."), stop("tool_use"))
    assert listener.is_at_tools
    listener.drop()
    assert not listener.is_at_tools


def test_a_message_that_breaks_in_the_middle_fails_the_turn() -> None:
    listener = listen()
    told = tell(listener, begin(), text("Hel"), close())
    assert broke_off(told[-1])
    # The CLI starts again from nothing, and nobody may hear it.
    assert listener.cut
    assert tell(listener, begin("msg_2"), text("Hello"), stop(), result()) == []


@pytest.mark.parametrize("piece", [text("Hel"), thought("hm")])
def test_a_message_that_begins_inside_another_fails_the_turn(piece: Frame) -> None:
    assert broke_off(tell(listen(), begin(), piece, begin("msg_2"))[-1])


def test_a_whole_message_inside_another_fails_the_turn() -> None:
    told = tell(listen(), begin(), text("a"), whole(text_block("b"), message_id="msg_2"))
    assert broke_off(told[-1])
    assert "b" not in [e.text for e in told if isinstance(e, TextDelta)]


def test_a_message_that_breaks_before_it_says_anything_is_begun_again() -> None:
    listener = listen()
    told = tell(listener, begin(), close(), begin("msg_2"), text("Hello"), stop(), close())
    assert kinds(told) == ["Started", "TextDelta", "Finished"]
    assert not listener.cut


def test_the_second_message_may_break_before_it_says_anything_too() -> None:
    listener = listen()
    told = tell(listener, begin(), text("Let me look."), stop("tool_use"), close())
    told += tell(listener, begin("msg_2"), close(), begin("msg_3"), text("Done."), stop())
    assert kinds(told) == ["Started", "TextDelta", "TextDelta", "Finished"]


# An answer that was not streamed...


def test_an_answer_that_was_not_streamed_is_told_once() -> None:
    told = tell(
        listen(),
        whole({"type": "thinking", "thinking": "hm"}, stop_reason="end_turn"),
        whole(text_block("whole "), stop_reason="end_turn"),
        whole(text_block("answer"), text_block(""), stop_reason="end_turn"),
        result(),
    )
    assert told[:4] == [
        STARTED,
        ReasoningDelta("hm"),
        TextDelta("whole "),
        TextDelta("answer"),
    ]
    assert kinds(told[4:]) == ["Finished", "Settled"]


def test_a_stream_that_broke_before_saying_anything_may_be_followed_by_a_whole_answer() -> None:
    told = tell(listen(), begin(), close(), whole(text_block("Hi"), message_id="msg_2"), result())
    assert kinds(told) == ["Started", "TextDelta", "Finished", "Settled"]


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "model_context_window_exceeded"])
def test_a_whole_answer_the_cli_would_continue_ends_before_its_next_request(reason: str) -> None:
    for following in (requesting(), begin("msg_2")):
        listener = listen()
        told = tell(listener, whole(text_block("cut"), stop_reason=reason), following)
        assert told[1:] == [TextDelta("cut"), Finished(StopReason(reason), Usage())]
        assert listener.cut


def test_a_whole_answer_may_call_a_tool_and_go_on() -> None:
    listener = listen()
    told = tell(
        listener,
        whole(text_block("Let me look."), stop_reason="tool_use"),
        whole(tool_block(), stop_reason="tool_use"),
        requesting(),
        whole(text_block("Done."), message_id="msg_2", stop_reason="end_turn"),
        result(),
    )
    assert told[:3] == [STARTED, TextDelta("Let me look."), TextDelta("Done.")]
    assert kinds(told[3:]) == ["Finished", "Settled"]


def test_a_message_without_blocks_says_nothing() -> None:
    frame = {"type": "assistant", "message": {"id": "x", "model": MODEL, "content": "as text"}}
    assert tell(listen(), frame) == []


# Failures...


@pytest.mark.parametrize(
    "frame",
    [
        whole(text_block("API Error: 529"), model="<synthetic>"),
        whole(text_block("API Error: 529"), error="overloaded"),
    ],
)
def test_a_synthetic_message_is_never_told(frame: Frame) -> None:
    assert tell(listen(), begin(), frame) == [STARTED]


def test_the_word_of_a_synthetic_message_explains_the_failure() -> None:
    (failed,) = tell(
        listen(),
        whole(text_block("Not logged in"), model="<synthetic>", error="authentication_failed"),
        failure(result="Not logged in", api_error_status=None, terminal_reason="api_error"),
    )
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Unauthorized)
    assert SIGN_IN in failed.error.message


def test_a_failure_after_text_is_a_failure() -> None:
    told = tell(listen(), begin(), text("Hel"), failure(api_error_status=500, result="boom"))
    assert kinds(told) == ["Started", "TextDelta", "Failed"]


def test_a_failure_may_list_what_went_wrong() -> None:
    (failed,) = tell(listen(), failure(errors=["one", "two"]))
    assert isinstance(failed, Failed)
    assert failed.error.message == "one; two"


@pytest.mark.parametrize("resets_at", [None, 4_102_444_800.0])
def test_a_limit_says_when_the_plan_resets(resets_at: float | None) -> None:
    limit = RateLimitInfo(status="rejected", resetsAt=resets_at)
    (failed,) = tell(listen(), failure(api_error_status=429, result="limit"), limit=limit)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Overloaded)
    assert failed.error.retry_at == resets_at


def test_a_result_without_any_message_is_a_failure() -> None:
    (failed,) = tell(listen(), result(result="fine"))
    assert isinstance(failed, Failed)
    assert (failed.error.status, failed.error.message) == (502, "the CLI ended without an answer")


def test_a_result_after_an_open_message_still_ends_the_answer() -> None:
    told = tell(listen(), begin(), text("Hi"), result(stop_reason="stop_sequence"))
    assert told[-2] == Finished(StopReason.STOP_SEQUENCE, Usage())
    assert kinds(told[-1:]) == ["Settled"]


def test_a_result_that_names_no_reason_ends_the_turn_as_usual() -> None:
    told = tell(listen(), begin(), text("Hi"), result(stop_reason=None))
    assert told[-2] == Finished(StopReason.END_TURN, Usage())


# ... and time-outs.


def test_a_time_out_ends_the_turn_with_its_own_failure() -> None:
    listener = listen()
    assert listener.time_out(TOO_SLOW) == Failed(TOO_SLOW)
    assert listener.over
    assert tell(listener, begin(), text("late")) == []


@pytest.mark.parametrize(
    ("status", "kind", "answer"), [(529, Overloaded, 503), (401, Unauthorized, 401)]
)
def test_a_time_out_between_retries_tells_what_the_upstream_says(
    status: int, kind: type[Exception], answer: int
) -> None:
    listener = listen()
    tell(listener, retrying(status, "whatever"))
    failed = listener.time_out(TOO_SLOW)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, kind)
    assert failed.error.status == answer


def test_a_retry_without_a_status_explains_nothing() -> None:
    listener = listen()
    tell(listener, retrying(None, "unknown"))
    assert listener.time_out(TOO_SLOW) == Failed(TOO_SLOW)


def test_a_time_out_in_the_middle_of_the_answer_is_a_time_out() -> None:
    listener = listen()
    tell(listener, retrying(529, "overloaded"), begin(), text("Hel"))
    assert listener.time_out(TOO_SLOW) == Failed(TOO_SLOW)


def test_who_has_left_hears_nothing_more() -> None:
    listener = listen()
    tell(listener, begin(), text("Hel"))
    listener.drop()
    # What a real interrupt brings: the message is closed without a reason, the turn has failed.
    assert tell(listener, stop(None), close(), failure(terminal_reason="aborted_streaming")) == []
    assert not listener.cut
