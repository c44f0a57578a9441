"""How free the model is to call, and what holds for one request of a conversation that calls.

What may live here: tool_choice, the older form, sampling and limits beside tools, named sessions.
"""

from typing import Any

import pytest

from tests.kit.journal import Received
from tests.kit.script import Call, CallTools, Say
from tests.wire.stage import Stage, say
from tests.wire.tooling import (
    Chat,
    called,
    calls_in,
    result,
    results_heard,
    shape,
    tool,
    tools_heard,
)

pytestmark = pytest.mark.real_cli

LOOKUP, MORE = tool("lookup"), tool("more")
CAN_STOP = "claude-haiku-4-5"
"""A model that can do without thinking."""


def choice_heard(request: Received) -> Any:
    return request.body.get("tool_choice")


def ask(stage: Stage, chat: Chat, **more: Any) -> Any:
    wanted = {"model": "sonnet", "messages": chat, "tools": [LOOKUP], **more}
    return stage.client.chat.completions.with_raw_response.create(**wanted)


@pytest.mark.parametrize(
    ("given", "heard"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "lookup"}}},
            {"type": "tool", "name": "lookup"},
        ),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_a_choice_reaches_a_model_that_can_do_without_thinking(
    stage: Stage, given: dict[str, Any], heard: Any
) -> None:
    answer = ask(stage, say("hi"), model=CAN_STOP, **given)
    request = stage.heard()
    assert choice_heard(request) == heard
    assert tools_heard(request) == ["lookup"]
    is_forced = heard is not None and heard["type"] in ("any", "tool")
    assert (request.body["thinking"]["type"] == "disabled") is is_forced
    assert "x-ocpd-ignored" not in answer.headers


def test_a_model_that_must_think_is_not_forced_and_the_caller_is_told(stage: Stage) -> None:
    answer = ask(stage, say("hi"), tool_choice="required", parallel_tool_calls=False)
    assert choice_heard(stage.heard()) == {"type": "auto", "disable_parallel_tool_use": True}
    assert answer.headers["x-ocpd-ignored"] == "tool_choice"
    assert answer.headers["x-proxy-unsupported"] == "tool_choice"


def test_a_choice_is_for_one_request_only(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("lookup", {"key": 1}),)), Say("One."), Say("Two."))
    chat: Chat = say("hi")
    first = stage.stream(chat, model=CAN_STOP, tools=[LOOKUP], tool_choice="required")
    chat += [called(first), result(calls_in(first)[0], "ok")]
    stage.stream(chat, model=CAN_STOP, tools=[LOOKUP])
    chat += [{"role": "assistant", "content": "One."}, *say("and?")]
    stage.stream(chat, model=CAN_STOP, tools=[LOOKUP])
    heard = [choice_heard(request) for request in stage.upstream.requests]
    assert heard == [{"type": "any"}, None, None]
    kinds = [request.body["thinking"]["type"] for request in stage.upstream.requests]
    # Within one request of the user's it stays without: the API wants thinking before the call.
    assert (kinds[0], kinds[2]) == ("disabled", "enabled")


def test_allowed_tools_are_all_that_the_model_sees(stage: Stage) -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "more"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    ask(stage, say("hi"), tools=[LOOKUP, MORE], tool_choice=choice)
    assert tools_heard(stage.heard()) == ["more"]


def test_a_conversation_goes_on_when_it_may_not_call_any_more(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("lookup", {"key": 1}),)), Say("Enough."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    chat += [called(first), result(calls_in(first)[0], "ok")]
    assert stage.stream(chat, tools=[LOOKUP], tool_choice="none").text == "Enough."
    assert choice_heard(stage.upstream.requests[-1]) == {"type": "none"}
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 1}


def test_max_tokens_holds_for_the_answer_to_the_results(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("lookup", {"key": 1}),)), Say("Short."), Say("Long."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    chat += [called(first), result(calls_in(first)[0], "ok")]
    stage.stream(chat, tools=[LOOKUP], max_tokens=50)
    chat += [{"role": "assistant", "content": "Short."}, *say("and?")]
    stage.stream(chat, tools=[LOOKUP])
    assert [r.body["max_tokens"] for r in stage.upstream.requests] == [128_000, 50, 128_000]
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 2}


def test_a_length_stop_in_the_middle_of_a_call_ends_the_answer(stage: Stage) -> None:
    reply = CallTools((Call("lookup", raw='{"key'),), text="Hm.", stop_reason="max_tokens")
    stage.upstream.script(reply)
    told = stage.stream("hi", tools=[LOOKUP], max_tokens=5)
    assert (told.text, told.finish) == ("Hm.", ["length"])
    assert len(stage.upstream.requests) == 1


def test_a_rebuilt_request_of_a_model_with_a_budget_goes_on_without_thinking(stage: Stage) -> None:
    function = {"name": "lookup", "arguments": '{"key":1}'}
    call = {"id": "call_1", "type": "function", "function": function}
    chat: Chat = [
        *say("hi"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        result("call_1", "ok"),
    ]
    ask(stage, chat, model=CAN_STOP)
    assert stage.heard().body["thinking"]["type"] == "disabled"


# The older form.


@pytest.mark.parametrize("streamed", [True, False])
def test_functions_are_called_and_answered_the_old_way(stage: Stage, streamed: bool) -> None:
    stage.upstream.script(CallTools((Call("lookup", {"key": 1}),)), Say("Done."))
    chat: Chat = say("hi")
    more: dict[str, Any] = {"functions": [LOOKUP["function"]], "function_call": "auto"}
    if streamed:
        told = stage.stream(chat, **more)
        pieces = [c.choices[0].delta.function_call for c in told.chunks if c.choices]
        found = [piece for piece in pieces if piece is not None]
        name, arguments = found[0].name, "".join(piece.arguments or "" for piece in found)
        finish = told.finish[0]
    else:
        choice = stage.ask(chat, **more).choices[0]
        assert choice.message.function_call is not None
        assert choice.message.tool_calls is None
        name, arguments = choice.message.function_call.name, choice.message.function_call.arguments
        finish = choice.finish_reason
    assert (name, arguments, finish) == ("lookup", '{"key":1}', "function_call")
    call = {"name": name, "arguments": arguments}
    chat += [
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": "lookup", "content": "ok"},
    ]
    assert stage.stream(chat, **more).text == "Done."
    assert choice_heard(stage.upstream.requests[0])["disable_parallel_tool_use"] is True
    ((_, content),) = results_heard(stage.upstream.requests[-1]).items()
    assert content == [{"type": "text", "text": "ok"}]


# Named sessions.


def test_a_named_session_takes_only_the_results(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("lookup", {"key": 1}),)), Say("Done."), Say("Sure."))
    more: dict[str, Any] = {"tools": [LOOKUP], "extra_body": {"session_id": "mine"}}
    first = stage.stream("hi", **more)
    (call,) = calls_in(first)
    assert stage.stream([result(call, "ok")], **more).text == "Done."
    assert stage.stream("and?", **more).text == "Sure."
    assert shape(stage.upstream.requests[-1]) == [
        ("user", ["text"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result"]),
        ("assistant", ["text"]),
        ("user", ["text"]),
    ]
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 2}


def test_a_named_session_refuses_a_result_of_another(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("lookup", {"key": 1}),)))
    more: dict[str, Any] = {"tools": [LOOKUP], "extra_body": {"session_id": "mine"}}
    stage.stream("hi", **more)
    error = stage.refusal([result("toolu_other", "ok")], **more)
    assert (error.status_code, error.code) == (400, "invalid_tool_results")
    assert "toolu_other" in str(error)


# Sampling.


def test_sampling_is_forwarded_where_the_model_takes_it_and_does_not_think(stage: Stage) -> None:
    body = {"top_k": 7, "reasoning_effort": "none"}
    answer = ask(stage, say("hi"), model=CAN_STOP, temperature=0.25, extra_body=body)
    heard = stage.heard().body
    assert (heard["temperature"], heard["top_k"]) == (0.25, 7)
    assert "x-ocpd-ignored" not in answer.headers


@pytest.mark.parametrize("model", ["sonnet", CAN_STOP])
def test_sampling_of_a_model_that_thinks_is_named_and_left_out(stage: Stage, model: str) -> None:
    answer = ask(stage, say("hi"), model=model, temperature=0.25, top_p=0.5)
    heard = stage.heard().body
    assert ("temperature" in heard, "top_p" in heard) == (False, False)
    assert answer.headers["x-ocpd-ignored"] == "temperature, top_p"
    assert answer.headers["x-proxy-unsupported"] == "temperature, top_p"


def test_what_was_forwarded_does_not_stay(stage: Stage) -> None:
    stage.upstream.script(Say("Hello."))
    chat: Chat = say("hi")
    ask(stage, chat, model=CAN_STOP, temperature=0.25, extra_body={"reasoning_effort": "none"})
    chat += [{"role": "assistant", "content": "Hello."}, *say("and?")]
    ask(stage, chat, model=CAN_STOP)
    assert "temperature" not in stage.upstream.requests[-1].body
    assert stage.upstream.requests[-1].body["thinking"]["type"] == "enabled"
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 1}


def test_strict_tools_are_named_as_not_forwarded(stage: Stage) -> None:
    answer = ask(stage, say("hi"), tools=[tool("lookup", strict=True)])
    assert answer.headers["x-ocpd-ignored"] == "tools.strict"
    assert "strict" not in stage.heard().body["tools"][0]
