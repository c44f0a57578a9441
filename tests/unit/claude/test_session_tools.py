"""A child that calls the caller's tools holds the calls until their results come."""

import msgspec
import pytest

from ocpd.claude.lifecycle import State
from ocpd.claude.limits import Sheet
from ocpd.claude.session import Session
from ocpd.turn.events import CallBegun, CallDelta, Finished, Settled, StopReason, Usage
from ocpd.turn.request import (
    Image,
    Limits,
    Message,
    Part,
    Role,
    Text,
    ToolResult,
    ToolUse,
    Turn,
    TurnId,
)
from tests.unit.claude.stage import (
    LOOKUP,
    SIGN_IN,
    Frame,
    ask,
    begin,
    call,
    calling,
    end_block,
    fragment,
    granted,
    hear,
    holding,
    mcp,
    requesting,
    result,
    stop,
    text,
    user,
    written,
)

SECOND = TurnId("f" * 32)


def results(*parts: Part) -> Message:
    return Message(Role.USER, parts)


def told(name: str, said: str = "42") -> ToolResult:
    return ToolResult(name, (Text(said),))


def after(*messages: Message, ids: tuple[str, ...] = ("toolu_1",), **more: object) -> Turn:
    """The turn that goes on after calls of these ids."""
    called = Message(Role.ASSISTANT, tuple(ToolUse(name, "lookup", "{}") for name in ids))
    return ask(user("hi there"), called, *messages, turn_id=SECOND, tools=(LOOKUP,), **more)


def started() -> Session:
    session = Session("m", SIGN_IN)
    session.claim(ask(tools=(LOOKUP,)), Sheet())
    return session


def mcp_answers(frames: list[Frame]) -> dict[str, Frame]:
    return {
        frame["response"]["request_id"]: frame["response"]["response"]["mcp_response"]
        for frame in frames
        if frame["type"] == "control_response"
    }


def test_the_cli_is_told_of_our_server_and_asks_it() -> None:
    session = started()
    opening = written(session.data_to_send())[0]
    assert opening["request"]["sdkMcpServers"] == ["c"]
    hear(
        session,
        mcp("initialize", "a", id=0, params={"protocolVersion": "2025-11-25"}),
        mcp("notifications/initialized", "b"),
        mcp("tools/list", "c", id=1),
        mcp("resources/list", "d", id=2),
    )
    said = mcp_answers(written(session.data_to_send()))
    assert said["a"]["result"]["protocolVersion"] == "2025-11-25"
    assert said["b"] == {"jsonrpc": "2.0", "result": {}}
    (tool,) = said["c"]["result"]["tools"]
    assert (tool["name"], tool["inputSchema"]) == ("lookup", {"type": "object"})
    assert tool["annotations"] == {"readOnlyHint": True}
    assert (said["d"]["id"], said["d"]["error"]["code"]) == (2, -32601)


def test_without_tools_there_is_no_server() -> None:
    session = Session("m", SIGN_IN)
    session.claim(ask(), Sheet())
    assert "sdkMcpServers" not in written(session.data_to_send())[0]["request"]


def test_calls_are_told_as_they_come_and_then_held() -> None:
    session = started()
    events = hear(session, begin(), text("Let me see."), call("toolu_1", 1))
    events += hear(session, fragment("", 1), fragment('{"a"', 1), fragment(":1}", 1), end_block(1))
    events += hear(session, calling("toolu_1"))
    assert session.state is State.BUSY
    events += hear(session, stop("tool_use", {"output_tokens": 5}))
    assert events[2:5] == [
        CallBegun(0, "toolu_1", "lookup"),
        CallDelta(0, '{"a"'),
        CallDelta(0, ":1}"),
    ]
    assert events[5:] == [Finished(StopReason.TOOL_USE, Usage(output_tokens=5))]
    assert session.state is State.HOLDING
    assert (session.is_settled, session.is_reusable, session.must_kill) == (True, True, False)


def test_a_call_without_arguments_has_an_empty_object() -> None:
    session = started()
    events = hear(session, begin(), call("toolu_1"), fragment(""), end_block())
    assert events[1:] == [CallBegun(0, "toolu_1", "lookup"), CallDelta(0, "{}")]


def test_it_holds_only_when_every_call_of_the_answer_is_parked() -> None:
    session = started()
    hear(session, begin(), call("toolu_1"), end_block(), call("toolu_2", 1), end_block(1))
    hear(session, calling("toolu_1", 1), stop("tool_use"))
    assert (session.state, session.is_settled) == (State.BUSY, False)
    hear(session, calling("toolu_2", 2))
    assert session.state is State.HOLDING


def test_results_in_any_order_go_to_their_calls() -> None:
    session = holding("toolu_1", "toolu_2")
    ids = ("toolu_1", "toolu_2")
    session.resume(after(results(told("call_2", "b"), told("toolu1", "a")), ids=ids), Sheet(), 2)
    said = mcp_answers(written(session.data_to_send()))
    contents = {name: answer["result"]["content"][0]["text"] for name, answer in said.items()}
    assert contents == {"call-0": "a", "call-1": "b"}
    assert session.state is State.BUSY
    events = hear(session, begin("msg_2"), text("42."), stop(), result())
    assert [type(event) for event in events[-2:]] == [Finished, Settled]
    assert session.state is State.RESTING


def test_what_was_told_before_is_not_counted_twice() -> None:
    session = started()
    hear(session, begin(), call("toolu_1"), end_block(), calling("toolu_1"))
    hear(session, stop("tool_use", {"input_tokens": 100, "output_tokens": 5}))
    session.resume(after(results(told("toolu_1"))), Sheet(), 2)
    usage = {"input_tokens": 120, "output_tokens": 7}
    hear(session, begin("msg_2", usage=usage), text("42."), stop())
    total = {"input_tokens": 220, "output_tokens": 12}
    (settled,) = hear(session, result(usage=total, total_cost_usd=0.5))
    assert settled == Settled(Usage(input_tokens=120, output_tokens=7), 0.5)


@pytest.mark.parametrize(
    "messages",
    [
        (results(told("toolu_1"), Text("and?")),),
        (results(told("toolu_1")), user("and?")),
        (results(ToolResult("toolu_1", (Text("not run"),), is_error=True)), user("never mind")),
        (results(told("toolu_1", "x" * 400_001)),),
        (results(ToolResult("toolu_1", (Image(url="https://x.test/a.png"),))),),
        (results(ToolResult("toolu_1", (Text("a"), Text("b")), is_error=True)),),
    ],
)
def test_more_than_results_takes_the_request_back_and_tells_it_again(
    messages: tuple[Message, ...],
) -> None:
    session = holding()
    turn = after(*messages)
    session.resume(turn, Sheet(), 2)
    (frame,) = written(session.data_to_send())
    assert frame["request"] == {"subtype": "interrupt", "cancel_queued": True}
    # Nothing of the turn that ends is told, and its end is awaited.
    assert hear(session, granted("interrupt", {"cancelled": []}), text("x")) == []
    assert hear(session, result(is_error=True, stop_reason="tool_use")) == []
    (frame,) = written(session.data_to_send())
    assert frame["request"]["subtype"] == "rewind_conversation"
    hear(session, granted("rewind-0", {"rewound": True, "precedingAssistantUuid": None}))
    (first,) = written(session.data_to_send())
    assert (first["message"]["content"], first["shouldQuery"]) == ("hi there", False)
    assert session.state is State.CLAIMED
    hear(session, result(user_message_uuids=[first["uuid"]]))
    again = written(session.data_to_send())
    assert again[0]["message"]["content"][0]["type"] == "tool_use"
    assert session.state is (State.BUSY if len(messages) == 1 else State.CLAIMED)


def test_limits_that_hold_for_a_request_go_in_before_the_results() -> None:
    session = holding()
    turn = msgspec.structs.replace(after(results(told("toolu_1"))), limits=Limits(max_tokens=9))
    session.resume(turn, Sheet(max_output_tokens=100), 2)
    first, second = written(session.data_to_send())
    assert first["request"]["settings"]["env"] == {"CLAUDE_CODE_EXTRA_BODY": '{"max_tokens":9}'}
    assert second["type"] == "control_response"


@pytest.mark.parametrize("sheet", [Sheet(thinks=False), Sheet(100, thinks_on_budget=True)])
def test_limits_that_hold_for_a_turn_need_a_new_one(sheet: Sheet) -> None:
    session = holding()
    turn = msgspec.structs.replace(after(results(told("toolu_1"))), limits=Limits(max_tokens=9))
    session.resume(turn, sheet, 2)
    assert written(session.data_to_send())[0]["request"]["subtype"] == "interrupt"


def test_another_conversation_takes_it_back_to_empty() -> None:
    session = holding()
    session.resume(ask(user("other"), turn_id=SECOND), Sheet(), 0)
    hear(session, result(is_error=True))
    told_so_far = written(session.data_to_send())
    kinds = [frame["request"]["subtype"] for frame in told_so_far]
    assert kinds == ["interrupt", "rewind_conversation"]


def test_a_call_that_nobody_offered_is_not_told() -> None:
    session = started()
    events = hear(session, begin(), call("toolu_1", tool="rm"), fragment("{}"), end_block())
    assert events[1:] == []
    assert hear(session, stop("tool_use"), requesting()) == []
    events = hear(session, begin("msg_2"), text("Sorry."), stop(), result())
    assert [type(event).__name__ for event in events] == ["TextDelta", "Finished", "Settled"]
    assert not session.is_reusable


def test_of_two_calls_only_the_one_that_was_offered_is_told() -> None:
    session = started()
    hear(session, begin(), call("toolu_1", tool="rm"), end_block(), call("toolu_2", 1))
    hear(session, end_block(1), calling("toolu_2"), stop("tool_use"))
    assert (session.is_settled, session.is_reusable) == (True, False)


def test_arguments_that_are_no_json_reach_the_caller_and_the_process_ends() -> None:
    """The CLI would answer such a call by itself, with a request of its own."""
    session = started()
    hear(session, begin(), call("toolu_1"), fragment('{"a": '), end_block())
    (finished,) = hear(session, stop("tool_use"))
    assert isinstance(finished, Finished)
    assert finished.reason is StopReason.TOOL_USE
    assert session.must_kill


def test_a_request_while_calls_are_held_is_nobody_s() -> None:
    session = holding()
    hear(session, requesting())
    assert session.must_kill


def test_a_turn_that_ends_while_calls_are_held_spoils_the_process() -> None:
    session = holding()
    assert hear(session, result(is_error=True)) == []
    assert not session.is_reusable


def test_calls_that_the_cli_withdraws_wait_no_more() -> None:
    session = started()
    hear(session, begin(), call("toolu_1"), end_block(), calling("toolu_1", 7))
    hear(session, mcp("notifications/cancelled", params={"requestId": 7}), stop("tool_use"))
    assert session.state is State.BUSY


def test_stopping_one_that_holds_interrupts_it() -> None:
    session = holding()
    session.stop()
    (frame,) = written(session.data_to_send())
    assert frame["request"]["subtype"] == "interrupt"
    assert session.state is State.STOPPING


def test_dropping_one_that_holds_waits_for_its_end() -> None:
    session = holding()
    session.interrupt()
    assert (session.state, session.is_settled) == (State.BUSY, False)
    hear(session, result(is_error=True))
    assert session.state is State.RESTING


def subtypes(session: Session) -> list[str]:
    return [f["request"]["subtype"] for f in written(session.data_to_send()) if "request" in f]


def test_a_request_whose_thinking_is_lost_goes_on_without_if_the_model_has_a_budget() -> None:
    budget = Sheet(100_000, thinks_on_budget=True)
    session = Session("m", SIGN_IN)
    session.claim(after(results(told("toolu_1"))), budget)
    assert "set_max_thinking_tokens" in subtypes(session)
    # What follows in the same request keeps to that; a new request does not.
    hear(session, result(), begin("msg_2"), call("toolu_2"), end_block(), calling("toolu_2"))
    hear(session, stop("tool_use"))
    called = Message(Role.ASSISTANT, (ToolUse("toolu_2", "lookup", "{}"),))
    more = after(results(told("toolu_1")), called, results(told("toolu_2")))
    session.data_to_send()
    session.resume(more, budget, 4)
    assert subtypes(session) == []
    hear(session, begin("msg_3"), text("Done."), stop(), result())
    answer = Message(Role.ASSISTANT, (Text("Done."),))
    session.resume(after(*more.messages[2:], answer, user("next")), budget, 6)
    assert subtypes(session) == ["set_max_thinking_tokens"]


def test_other_models_think_on() -> None:
    session = Session("m", SIGN_IN)
    session.claim(after(results(told("toolu_1"))), Sheet(100_000))
    assert subtypes(session) == ["initialize"]
