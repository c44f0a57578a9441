"""A session tells its turn's events and nobody else's, and writes each step when its time has come.

The transcripts are the real CLI's; the rest is what a CLI could say. That cuts of the bytes do not
matter, and that no sequence of frames breaks the order, is in the property tests.
"""

import pytest

from ocpd.claude.lifecycle import IllegalMove, State
from ocpd.claude.messages import message_uuid
from ocpd.claude.session import Session
from ocpd.errors import Died, Upstream
from ocpd.turn.events import Event, Failed, Settled, Started, TextDelta, Usage
from tests.unit.claude.stage import (
    MODEL,
    PROMPT,
    SIGN_IN,
    TURN_ID,
    Frame,
    ask,
    assert_in_order,
    assistant,
    begin,
    claimed,
    close,
    encode,
    failure,
    granted,
    hear,
    holding,
    kinds,
    refused,
    requesting,
    result,
    retrying,
    said,
    stop,
    text,
    text_block,
    user,
    whole,
    written,
)
from tests.unit.claude.transcripts import (
    CASES,
    FOLDER,
    calls_in,
    play,
    read,
    split_events,
    summarize,
)

OTHER = "99999999-9999-4999-8999-999999999999"
TOO_SLOW = Upstream("too slow", status=504, code="timeout")
HISTORY = (user("one"), assistant("eins"), user("two"), assistant("zwei"), user("three"))


def error_of(events: list[Event]) -> tuple[int, str]:
    (failed,) = events
    assert isinstance(failed, Failed)
    return failed.error.status, failed.error.message


def confirm(index: int, **more: object) -> Frame:
    """The CLI has taken message ``index`` of the turn."""
    return result(user_message_uuids=[message_uuid(TURN_ID, index)], num_turns=0, **more)


# What the real CLI said.


@pytest.mark.parametrize("name", CASES)
def test_a_transcript_of_the_real_cli_becomes_the_answer(name: str) -> None:
    session, events, _ = play(name)
    case = CASES[name]
    assert summarize(events) == (case.thinks, case.text, case.ending)
    assert calls_in(events) == list(case.calls)
    for turn in split_events(events):
        assert_in_order(turn)
    assert session.must_kill is case.kills
    assert session.is_settled
    assert session.bad_frames == 0


@pytest.mark.parametrize("name", CASES)
def test_a_transcript_holds_nothing_of_the_machine_it_was_made_on(name: str) -> None:
    for word in (b"/tmp", b"/root", b"/home", b"/work", b"/usr"):
        assert word not in b"".join(read(name))


def test_every_transcript_has_its_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.jsonl")} == set(CASES)


@pytest.mark.parametrize("name", ["history", "speaks_first"])
def test_history_is_written_step_by_step_and_one_message_asks(name: str) -> None:
    _, _, answers = play(name)
    frames = [frame for answer in answers for frame in written(answer)]
    users = [frame for frame in frames if frame["type"] == "user"]
    assert [frame.get("shouldQuery", True) for frame in users] == [False] * (len(users) - 1) + [
        True
    ]
    # An answer of the history goes out in one write with the user's message after it.
    for answer in answers:
        assert [frame["type"] for frame in written(answer)][-1:] in ([], ["user"])


def test_the_real_cli_says_which_models_it_offers_and_where_the_plan_stands() -> None:
    session, _, _ = play("plan_limit")
    assert (session.offered[0].value, session.offered[0].resolvedModel) == ("default", MODEL)
    assert session.limit is not None
    assert (session.limit.status, session.limit.resetsAt) == ("rejected", 4_102_444_800)


def test_the_real_cli_s_books_are_passed_on() -> None:
    _, events, _ = play("answer")
    assert events[-1] == Settled(Usage(11, 5, 3, 7, 2), pytest.approx(0.0001))


def test_only_a_turn_that_went_upstream_is_said_to_have() -> None:
    assert play("answer")[0].asked_upstream
    assert not play("cancelled")[0].asked_upstream


# A claim...


def test_a_claim_writes_at_once_and_only_once() -> None:
    session = Session(MODEL, SIGN_IN)
    assert repr(session) == f"Session({MODEL}, PARKED)"
    session.claim(ask(), CASES["answer"].sheet)
    assert [frame["type"] for frame in written(session.data_to_send())] == [
        "control_request",
        "user",
    ]
    assert session.data_to_send() == b""
    assert session.state is State.BUSY


def test_a_child_serves_one_turn() -> None:
    session = claimed()
    hear(session, begin(), text("Hi"), stop(), result())
    assert session.state is State.RESTING
    with pytest.raises(IllegalMove):
        session.claim(ask(), CASES["answer"].sheet)


def test_what_a_parked_child_says_is_about_no_turn() -> None:
    session = Session(MODEL, SIGN_IN)
    assert hear(session, requesting(), begin(), text("x"), whole(text_block("x")), result()) == []
    assert hear(session, refused("initialize")) == []
    assert session.time_out(TOO_SLOW) == []
    assert session.state is State.PARKED
    assert not session.asked_upstream


# ... with history ...


def test_the_next_step_waits_for_the_result_of_the_one_before() -> None:
    session = claimed(*HISTORY)
    for index, kind in ((0, State.CLAIMED), (2, State.BUSY)):
        assert hear(session, granted("initialize"), requesting()) == []
        assert session.data_to_send() == b""
        assert hear(session, confirm(index)) == []
        sent = written(session.data_to_send())
        assert [frame["type"] for frame in sent] == ["assistant", "user"]
        assert session.state is kind


def test_the_result_of_another_message_moves_nothing() -> None:
    session = claimed(*HISTORY)
    assert hear(session, confirm(1), confirm(4), result(user_message_uuids=[OTHER])) == []
    assert session.data_to_send() == b""
    assert session.state is State.CLAIMED


def test_a_history_that_is_refused_fails_the_turn_and_asks_nothing() -> None:
    session = claimed(*HISTORY)
    status, message = error_of(hear(session, confirm(0) | {"is_error": True, "result": "no"}))
    assert (status, "history" in message) == (502, True)
    assert hear(session, confirm(0), confirm(2)) == []
    assert session.data_to_send() == b""
    assert session.state is State.CLAIMED


@pytest.mark.parametrize("how", ["time_out", "refused"])
def test_a_turn_that_failed_during_its_history_never_asks(how: str) -> None:
    session = claimed(*HISTORY)
    ended = session.time_out(TOO_SLOW) if how == "time_out" else hear(session, refused("limits"))
    assert kinds(ended) == ["Failed"]
    assert hear(session, confirm(0), confirm(2)) == []
    assert session.data_to_send() == b""


# ... and its answer.


def test_an_answer_is_told_and_settled() -> None:
    session = claimed()
    told = hear(session, granted("initialize"), requesting(), begin(), text("Hi"), stop(), result())
    assert kinds(told) == ["Started", "TextDelta", "Finished", "Settled"]
    assert (session.state, session.is_settled) == (State.RESTING, True)


def test_only_the_first_result_settles() -> None:
    session = claimed()
    hear(session, begin(), text("Hi"), stop(), result())
    assert hear(session, result(), failure()) == []


@pytest.mark.parametrize("mine", [[PROMPT], [OTHER, PROMPT]])
def test_a_frame_that_names_our_prompt_is_ours(mine: list[str]) -> None:
    told = hear(claimed(), begin(user_message_uuids=mine), text("Hi"), stop(), result())
    assert said(told) == "Hi"


def test_nothing_of_another_turn_is_told() -> None:
    session = claimed()
    other = {"user_message_uuids": [OTHER]}
    told = hear(
        session,
        begin("msg_0", **other),
        text("secret"),
        whole(text_block("secret"), message_id="msg_x"),
        stop(),
        close(),
        result(**other),
    )
    assert (told, session.state) == ([], State.BUSY)
    told = hear(session, begin(user_message_uuids=[PROMPT]), text("Hi"), stop(), result())
    assert kinds(told) == ["Started", "TextDelta", "Finished", "Settled"]


def test_after_another_turn_s_result_frames_without_a_name_are_ours() -> None:
    session = claimed()
    hear(session, begin("msg_0", user_message_uuids=[OTHER]), result(user_message_uuids=[OTHER]))
    assert said(hear(session, begin(), text("Hi"))) == "Hi"


def test_a_whole_message_of_another_turn_is_not_told() -> None:
    session = claimed()
    assert hear(session, whole(text_block("secret"), user_message_uuids=[OTHER])) == []
    assert said(hear(session, whole(text_block("Hi"), user_message_uuids=[PROMPT]))) == "Hi"


def test_what_a_subagent_says_is_not_told() -> None:
    session = claimed()
    inside = {"parent_tool_use_id": "toolu_1"}
    told = hear(session, begin(**inside), text("x", **inside), whole(text_block("y"), **inside))
    assert told == []


def test_lines_that_cannot_be_read_are_counted_and_passed_over() -> None:
    session = claimed()
    told = session.receive(b"[SandboxDebug] x\n{broken\n" + encode(begin(), text("Hi")) + b"{}\n")
    assert told == [Started(MODEL), TextDelta("Hi")]
    assert session.bad_frames == 1


@pytest.mark.parametrize("request_id", ["initialize", "interrupt", "limits"])
def test_an_answer_may_say_nothing(request_id: str) -> None:
    session = claimed()
    answer = {"subtype": "success", "request_id": request_id}
    assert hear(session, {"type": "control_response", "response": answer}) == []
    assert session.bad_frames == 0


@pytest.mark.parametrize("request_id", ["initialize", "interrupt"])
def test_an_answer_of_an_unknown_shape_is_a_bad_frame(request_id: str) -> None:
    session = claimed()
    assert hear(session, granted(request_id, [1])) == []
    assert session.bad_frames == 1


def test_a_line_of_ten_megabytes_is_read() -> None:
    session = claimed()
    piece = "é" * 5_000_000
    assert said(hear(session, begin(), text(piece))) == piece


def test_a_line_that_is_too_long_fails_the_turn_after_what_came_before() -> None:
    session = claimed()
    told = session.receive(encode(begin(), text("Hi")) + b"x" * (64 * 1024 * 1024 + 1))
    assert told[:2] == [Started(MODEL), TextDelta("Hi")]
    assert error_of(told[2:]) == (502, "the Claude CLI sent a line too long")
    assert session.receive(b"\n" + encode(text("more"), result())) == []


# Control requests.


def test_what_the_cli_wants_of_us_is_answered_once_with_an_error() -> None:
    session = claimed()
    asked = {"type": "control_request", "request_id": "r1", "request": {"subtype": "can_use_tool"}}
    assert hear(session, asked) == []
    (answer,) = written(session.data_to_send())
    assert (answer["response"]["subtype"], answer["response"]["request_id"]) == ("error", "r1")
    assert session.data_to_send() == b""


@pytest.mark.parametrize("request_id", ["initialize", "limits", "thinking"])
def test_a_claim_that_is_refused_fails_the_turn(request_id: str) -> None:
    told = hear(claimed(), refused(request_id, "no such thing"))
    assert error_of(told) == (502, f"the Claude CLI refused {request_id}")


def test_a_refusal_after_the_answer_changes_nothing() -> None:
    session = claimed()
    hear(session, begin(), text("Hi"), stop(), result())
    assert hear(session, refused("limits")) == []


def test_answers_to_what_nobody_asked_are_ignored() -> None:
    assert hear(claimed(), granted("whatever", {"models": 3})) == []


# Interrupts.


def test_a_caller_that_leaves_during_the_history_never_lets_the_prompt_out() -> None:
    session = claimed(*HISTORY)
    session.interrupt()
    assert (session.state, session.is_settled) == (State.STOPPING, True)
    assert hear(session, confirm(0), confirm(2), refused("initialize")) == []
    assert session.time_out(TOO_SLOW) == []
    assert session.data_to_send() == b""
    session.interrupt()
    assert session.data_to_send() == b""
    assert session.eof(0) == []


def test_a_caller_that_leaves_later_interrupts_and_hears_nothing_more() -> None:
    session = claimed()
    hear(session, begin(), text("Hel"))
    session.interrupt()
    (frame,) = written(session.data_to_send())
    assert frame["request"]["subtype"] == "interrupt"
    assert hear(session, granted("interrupt", {"cancelled": []}), text("lo"), close()) == []
    assert not session.is_settled
    assert hear(session, failure(terminal_reason="aborted_streaming")) == []
    assert (session.is_settled, session.must_kill) == (True, False)


def test_a_prompt_that_was_still_queued_settles_without_a_result() -> None:
    session = claimed()
    session.interrupt()
    assert hear(session, granted("interrupt", {"cancelled": [OTHER]})) == []
    assert not session.is_settled
    assert hear(session, granted("interrupt", {"cancelled": [OTHER, PROMPT]})) == []
    assert session.is_settled


def test_a_second_interrupt_is_harmless() -> None:
    session = claimed()
    session.interrupt()
    session.interrupt()
    hear(session, granted("interrupt", {"cancelled": [PROMPT]}))
    # The second one finds nothing to cancel any more.
    hear(session, granted("interrupt", {"cancelled": []}), refused("interrupt"))
    assert session.is_settled
    assert session.eof(0) == []


def test_a_child_without_a_turn_has_nothing_to_interrupt() -> None:
    parked, resting = Session(MODEL, SIGN_IN), claimed()
    hear(resting, begin(), text("Hi"), stop(), result())
    for session in (parked, resting):
        session.interrupt()
        assert session.data_to_send() == b""


# The end of the process, and of time.


def in_state(state: State) -> Session:
    match state:
        case State.PARKED:
            return Session(MODEL, SIGN_IN)
        case State.CLAIMED:
            return claimed(*HISTORY)
        case State.BUSY:
            return claimed()
        case State.RESTING:
            session = claimed()
            hear(session, begin(), text("Hi"), stop(), result())
            return session
        case State.HOLDING:
            return holding()
        case State.REWINDING:
            session = in_state(State.RESTING)
            session.rewind(0)
            return session
        case State.STOPPING:
            session = claimed()
            session.stop()
            return session
        case State.GONE:
            session = Session(MODEL, SIGN_IN)
            session.eof(0)
            return session


@pytest.mark.parametrize("state", State)
def test_the_end_of_the_process_fails_the_turn_only_if_one_runs(state: State) -> None:
    session = in_state(state)
    assert session.state is state
    told = session.eof(-9)
    assert session.state is State.GONE
    assert session.is_settled
    if state in (State.CLAIMED, State.BUSY):
        assert error_of(told) == (502, "the Claude CLI ended before the answer did")
        assert isinstance(told[0], Failed)
        assert isinstance(told[0].error, Died)
        assert "-9" in told[0].error.detail
    else:
        assert told == []
    assert session.eof(0) == []


def test_a_process_that_ends_after_the_answer_fails_nothing() -> None:
    session = claimed()
    hear(session, begin(), text("Hi"), stop())
    assert session.eof(0) == []


@pytest.mark.parametrize("state", State)
def test_stopping_is_possible_in_every_state_and_ends_all_hearing(state: State) -> None:
    session = in_state(state)
    session.stop()
    session.stop()
    assert session.state is (State.GONE if state is State.GONE else State.STOPPING)
    assert hear(session, begin("new"), text("x"), result(), confirm(0)) == []


def test_a_time_out_ends_the_turn_once() -> None:
    session = claimed()
    hear(session, begin(), text("Hel"))
    assert session.time_out(TOO_SLOW) == [Failed(TOO_SLOW)]
    assert session.time_out(TOO_SLOW) == []
    assert kinds(hear(session, text("lo"), stop(), close(), result())) == ["Settled"]


def test_a_time_out_between_retries_says_what_the_upstream_says() -> None:
    session = claimed()
    hear(session, requesting(), retrying(529, "overloaded"))
    assert error_of(session.time_out(TOO_SLOW))[0] == 503


def test_a_time_out_after_the_answer_says_nothing() -> None:
    session = claimed()
    hear(session, begin(), text("Hi"), stop())
    assert session.time_out(TOO_SLOW) == []


# Signs of life.


def test_whatever_the_cli_says_is_a_sign_of_life_but_that_its_pipe_is_there() -> None:
    session = claimed()
    before = session.pulse
    hear(session, {"type": "keep_alive"})
    assert session.pulse == before
    hear(session, {"type": "tool_progress", "tool_use_id": "toolu_1", "heartbeat": True})
    assert session.pulse == before + 1
    hear(session, begin(), text("Let me look."), stop("tool_use"), close())
    assert session.pulse > before + 1
    assert session.is_at_tools


def test_a_session_without_a_turn_is_at_no_tools() -> None:
    assert not Session(MODEL, SIGN_IN).is_at_tools
