"""What the real CLI said of the caller's tools, and what was written in between: the transcripts
whose names begin with ``calls``, and ``tool_left_out``."""

import pytest

from ocpd.claude.lifecycle import State
from ocpd.turn.events import Finished, Settled, Usage
from tests.unit.claude.stage import Frame, written
from tests.unit.claude.transcripts import CASES, call_id, play, read, split_events, split_turns

WITH_TOOLS = [name for name in CASES if name.startswith("calls") or name == "tool_left_out"]


def frames_of(answers: list[bytes]) -> list[Frame]:
    return [frame for answer in answers for frame in written(answer)]


def answered(frames: list[Frame]) -> dict[str, Frame]:
    """What we answered to the CLI's requests, by their ids; each at most once."""
    responses = [frame["response"] for frame in frames if frame["type"] == "control_response"]
    assert len({response["request_id"] for response in responses}) == len(responses)
    return {r["request_id"]: r["response"]["mcp_response"] for r in responses}


def asked(name: str) -> dict[str, Frame]:
    """What the CLI said to our server, by the ids of its requests."""
    frames = written(b"".join(read(name)))
    return {
        frame["request_id"]: frame["request"]["message"]
        for frame in frames
        if frame["type"] == "control_request"
    }


def methods(name: str) -> list[str]:
    return [message["method"] for message in asked(name).values()]


@pytest.mark.parametrize("name", WITH_TOOLS)
def test_every_request_of_the_cli_is_answered_once_but_calls_that_nobody_answered(
    name: str,
) -> None:
    _, _, answers = play(name)
    given = answered(frames_of(answers))
    for request_id, message in asked(name).items():
        if message["method"] == "tools/call":
            result = given.get(request_id)
            assert result is None or result["id"] == message["id"]
        else:
            assert given[request_id].get("id") == message.get("id")


def test_results_answer_the_calls_that_waited_for_them() -> None:
    _, _, answers = play("calls")
    given = answered(frames_of(answers))
    told = {
        message["params"]["_meta"]["claudecode/toolUseId"]: given[request_id]["result"]["content"]
        for request_id, message in asked("calls").items()
        if message["method"] == "tools/call"
    }
    ids = [call_id(1, 0), call_id(1, 1), call_id(2, 0)]
    assert told == {name: [{"type": "text", "text": f"found {name}"}] for name in ids}


def test_what_was_used_is_told_once() -> None:
    _, events, _ = play("calls")
    ends = [
        [each.usage for each in turn if isinstance(each, Finished | Settled)]
        for turn in split_events(events)
    ]
    first, second = Usage(11, 5, 3, 7, 2), Usage(13, 9, 0, 8, 0)
    third = Usage(17, 6, 0, 9, 0)
    assert ends == [[first], [second], [third, third]]


@pytest.mark.parametrize("name", ["calls", "calls_whole"])
def test_a_conversation_with_calls_is_one_turn_of_the_cli_s(name: str) -> None:
    _, _, answers = play(name)
    frames = frames_of(answers)
    assert [frame["type"] for frame in frames if frame["type"] != "control_response"] == [
        "control_request",
        "user",
    ]


def test_calls_that_are_dropped_leave_nothing_behind() -> None:
    session, _, answers = play("calls_dropped")
    after = [
        frame["request"]["subtype"] if frame["type"] == "control_request" else frame["type"]
        for frame in frames_of(answers)
        if frame["type"] != "control_response"
    ]
    assert after == ["initialize", "user", "interrupt", "rewind_conversation", "user"]
    assert methods("calls_dropped")[-2:] == ["notifications/cancelled"] * 2
    assert (session.state, session.is_reusable) == (State.RESTING, True)


def test_a_user_who_goes_on_has_the_whole_request_written_again() -> None:
    session, _, answers = play("calls_left_behind")
    frames = frames_of(answers)
    users = [frame for frame in frames if frame["type"] == "user"]
    assert [frame.get("shouldQuery", True) for frame in users] == [True, False, True]
    content = users[-1]["message"]["content"]
    assert [block["type"] for block in content] == ["tool_result", "tool_result", "text"]
    assert session.is_reusable


@pytest.mark.parametrize(
    ("name", "is_reusable"),
    [
        ("calls", True),
        ("calls_whole", True),
        # The process holds a call that the caller never saw.
        ("calls_broken", False),
        ("calls_cut_short", False),
        ("calls_broke_middle", False),
        ("tool_left_out", False),
    ],
)
def test_only_a_process_that_holds_what_the_caller_knows_serves_again(
    name: str, is_reusable: bool
) -> None:
    session, _, _ = play(name)
    assert session.is_reusable is is_reusable


def test_a_call_that_nobody_offered_is_answered_by_the_cli_itself() -> None:
    assert methods("calls_stray").count("tools/call") == 1
    assert b"No such tool available: rm" in b"".join(read("calls_stray"))


def test_a_call_that_nobody_can_read_makes_the_cli_go_on_by_itself() -> None:
    """That is why the process is killed; here it was not, so that the transcript shows it."""
    assert methods("calls_broken").count("tools/call") == 0
    assert b"".join(read("calls_broken")).count(b'"status":"requesting"') == 2


@pytest.mark.parametrize("name", WITH_TOOLS)
def test_a_turn_of_a_transcript_ends_where_the_next_begins(name: str) -> None:
    turns = split_turns(name)
    assert b"".join(turns) == b"".join(read(name))
    assert len(turns) == 1 + len(CASES[name].then)
    assert all(turn.endswith(b"\n") for turn in turns)
