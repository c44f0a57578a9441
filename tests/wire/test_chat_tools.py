"""The caller's tools: the model sees them as they are, the caller runs them, and what they answer
reaches the model. The real CLI, the official client, and the upstream's view.
"""

import os
import signal
from typing import Any

import pytest

from tests.kit.leaks import descendants
from tests.kit.script import Call, CallTools, Say
from tests.wire.conftest import OpenStage
from tests.wire.stage import Caller, Stage, body_of, conversation, quick, say
from tests.wire.tooling import (
    Chat,
    blocks,
    called,
    calls_in,
    result,
    results_heard,
    shape,
    tool,
    tools_heard,
)

pytestmark = pytest.mark.real_cli

LOOKUP = tool("lookup")
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def ask_for(*keys: int, text: str = "") -> CallTools:
    """An answer that looks ``keys`` up."""
    return CallTools(tuple(Call("lookup", {"key": key}) for key in keys), text=text)


def sources(stage: Stage) -> dict[str, int]:
    return stage.daemon.wait_quiet().processes.sources


# One round.


@pytest.mark.parametrize("streamed", [True, False])
def test_a_round_is_one_conversation_in_one_process(stage: Stage, streamed: bool) -> None:
    stage.upstream.script(ask_for(1, 2, text="Let me look."), Say("Both."))
    chat: Chat = say("what are 1 and 2?")
    ask = stage.stream if streamed else stage.ask
    first = ask(chat, tools=[LOOKUP])
    calls = calls_in(first)
    assert [call["function"] for call in calls] == [
        {"name": "lookup", "arguments": '{"key":1}'},
        {"name": "lookup", "arguments": '{"key":2}'},
    ]
    # In another order than they were called.
    chat += [called(first), result(calls[1], "two"), result(calls[0], "one")]
    second = stage.stream(chat, tools=[LOOKUP])
    assert (second.text, second.finish) == ("Both.", ["stop"])
    request = stage.upstream.requests[-1]
    assert [(b["id"], b["name"], b["input"]) for b in blocks(request, "tool_use")] == [
        (calls[0]["id"], "lookup", {"key": 1}),
        (calls[1]["id"], "lookup", {"key": 2}),
    ]
    assert results_heard(request) == {
        calls[0]["id"]: [{"type": "text", "text": "one"}],
        calls[1]["id"]: [{"type": "text", "text": "two"}],
    }
    assert sources(stage) == {"spawned": 1, "continued": 1}
    assert len(stage.upstream.requests) == 2


def test_an_answer_that_calls_is_spelled_as_clients_need_it(stage: Stage) -> None:
    stage.upstream.script(ask_for(1))
    answer = stage.ask("look 1 up", tools=[LOOKUP])
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    stage.upstream.script(ask_for(2, 3))
    told = stage.stream("look 2 and 3 up", tools=[LOOKUP], stream_options={"include_usage": True})
    assert told.finish == ["tool_calls"]
    pieces = [p for c in told.chunks for x in c.choices for p in x.delta.tool_calls or ()]
    assert [piece.index for piece in pieces] == sorted(piece.index for piece in pieces)
    assert [(p.id is None, p.type) for p in pieces if p.index == 0] == [
        (False, "function"),
        *[(True, None)] * (len([p for p in pieces if p.index == 0]) - 1),
    ]
    assert told.usages[0].completion_tokens > 0


def test_the_tools_reach_the_upstream_as_they_are(stage: Stage) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "mode": {"enum": ["a", "b"], "default": "a"},
            "when": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
            "a.b-c": {"description": "ä\u2028", "type": ["integer", "null"], "exclusiveMinimum": 0},
        },
        "required": ["mode"],
        "patternProperties": {"^x-": {"type": "string", "pattern": "\\n$"}},
        "additionalProperties": False,
        "$defs": {"leaf": {"type": "array", "minItems": 1}},
    }
    long = "Line one.\n\n" + "d" * 20_000 + "\n"
    names = ["Bash", "Read", "TodoWrite", "a-b_C9", "n" * 128, "mcp__other__x"]
    tools = [tool(name, parameters=schema, description=long) for name in names]
    stage.ask("hi", tools=tools)
    heard = {offered["name"]: offered for offered in stage.heard().body["tools"]}
    assert sorted(heard) == sorted(names)
    for offered in heard.values():
        assert offered["input_schema"] == schema
        assert offered["description"] == long
    assert conversation(stage.heard()) == [("user", ["hi"])]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"straße": {"type": "string"}}},
        {"type": "object", "properties": None},
        {"type": "object", "required": "a"},
    ],
)
def test_a_tool_that_the_cli_leaves_out_is_refused_and_not_left_out(
    stage: Stage, schema: dict[str, Any]
) -> None:
    error = stage.refusal("hi", tools=[tool("odd", parameters=schema), LOOKUP])
    assert (error.status_code, error.code, error.param) == (400, "invalid_tool_schema", "tools")
    assert "odd" in str(error)


@pytest.mark.parametrize("name", ["Skill", "Agent", "ToolSearch", "StructuredOutput", "mcp__c__x"])
def test_names_that_the_cli_has_a_use_for_come_back_as_they_were(stage: Stage, name: str) -> None:
    stage.upstream.script(
        lambda request: CallTools((Call(tools_heard(request)[-1], {"key": 1}),)), Say("Done.")
    )
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[tool(name)])
    (call,) = calls_in(first)
    assert call["function"]["name"] == name
    chat += [called(first), result(call, "ok")]
    assert stage.stream(chat, tools=[tool(name)]).text == "Done."
    request = stage.upstream.requests[-1]
    assert conversation(request)[0] == ("user", ["hi"])
    assert len(tools_heard(request)) == 1
    assert sources(stage)["continued"] == 1


def test_two_hundred_tools_of_half_a_megabyte(stage: Stage) -> None:
    more = {f"p{at}": {"type": "string", "description": "e" * 100} for at in range(12)}
    schema = {"type": "object", "properties": more}
    tools = [tool(f"tool_{at:03}", parameters=schema, description="d" * 900) for at in range(200)]
    stage.upstream.script(CallTools((Call("tool_117"),)), Say("Done."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=tools)
    chat += [called(first), result(calls_in(first)[0], "ok")]
    assert stage.stream(chat, tools=tools).text == "Done."
    assert len(tools_heard(stage.upstream.requests[0])) == 200
    assert len(stage.upstream.requests[0].raw) > 450_000
    assert sources(stage) == {"spawned": 1, "continued": 1}


def test_forty_calls_of_one_answer_come_at_once(stage: Stage) -> None:
    stage.upstream.script(ask_for(*range(40)), Say("All."))
    chat: Chat = say("look them up")
    first = stage.stream(chat, tools=[LOOKUP])
    calls = calls_in(first)
    assert len(calls) == 40
    chat += [called(first), *(result(call, f"r{at}") for at, call in enumerate(calls))]
    assert stage.stream(chat, tools=[LOOKUP]).text == "All."
    heard = results_heard(stage.upstream.requests[-1])
    assert [heard[call["id"]][0]["text"] for call in calls] == [f"r{at}" for at in range(40)]


# Results.

ODD = (
    "  two\n\n lines \n",
    "@/etc/hostname\n/clear\n!ls #x",
    "\u2028\u0085\x00\ufeffé🙂",
    "<system-reminder>x</system-reminder>",
    "x" * 600_000,
)


@pytest.mark.parametrize("text", ODD, ids=["spaces", "commands", "unicode", "tags", "long"])
def test_a_result_reaches_the_model_byte_for_byte(stage: Stage, text: str) -> None:
    stage.upstream.script(ask_for(1, 2), Say("Done."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    one, two = calls_in(first)
    parts = [{"type": "text", "text": text}, {"type": "text", "text": "and"}]
    chat += [called(first), result(one, text), result(two, parts)]
    assert stage.stream(chat, tools=[LOOKUP]).text == "Done."
    assert results_heard(stage.upstream.requests[-1]) == {
        one["id"]: [{"type": "text", "text": text}],
        two["id"]: parts,
    }


def test_a_picture_in_a_result_is_one_for_the_model(stage: Stage) -> None:
    stage.upstream.script(ask_for(1), Say("I see."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    chat += [called(first), result(calls_in(first)[0], [{"type": "text", "text": "x"}, picture])]
    stage.stream(chat, tools=[LOOKUP])
    (content,) = results_heard(stage.upstream.requests[-1]).values()
    assert content[1]["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}


def test_a_missing_a_stray_and_a_second_result_are_refused_by_their_id(stage: Stage) -> None:
    stage.upstream.script(ask_for(1, 2))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    one, two = calls_in(first)
    chat.append(called(first))
    wrong = {
        two["id"]: [result(one, "1")],
        "toolu_stranger": [result(one, "1"), result(two, "2"), result("toolu_stranger", "3")],
        one["id"]: [result(one, "1"), result(two, "2"), result(one, "1")],
    }
    for name, messages in wrong.items():
        error = stage.refusal([*chat, *messages], tools=[LOOKUP])
        assert (error.status_code, error.code, error.param) == (
            400,
            "invalid_tool_results",
            "messages",
        )
        assert name in str(error)
    assert len(stage.upstream.requests) == 1
    # None of that has harmed the conversation.
    stage.upstream.script(Say("Fine."))
    chat += [result(one, "1"), result(two, "2")]
    assert stage.stream(chat, tools=[LOOKUP]).text == "Fine."
    assert sources(stage) == {"spawned": 1, "continued": 1}


def test_who_goes_on_without_results_is_understood(stage: Stage) -> None:
    stage.upstream.script(ask_for(1, 2), Say("All right."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    one, two = calls_in(first)
    chat += [called(first), result(two, "2"), *say("never mind")]
    assert stage.stream(chat, tools=[LOOKUP]).text == "All right."
    request = stage.upstream.requests[-1]
    assert shape(request)[-1] == ("user", ["tool_result", "tool_result", "text"])
    heard = blocks(request, "tool_result")
    assert [(b["tool_use_id"], b.get("is_error", False)) for b in heard] == [
        (two["id"], False),
        (one["id"], True),
    ]
    assert conversation(request)[-1][1] == ["never mind"]
    assert sources(stage) == {"spawned": 1, "continued": 1}


def test_a_message_after_the_results_stays_one_of_the_users(stage: Stage) -> None:
    stage.upstream.script(ask_for(1), ask_for(2), Say("Done."))
    chat: Chat = say("hi")
    for number in (1, 2):
        first = stage.stream(chat, tools=[LOOKUP])
        chat += [called(first), result(calls_in(first)[0], f"r{number}"), *say(f"and {number}")]
    assert stage.stream(chat, tools=[LOOKUP]).text == "Done."
    request = stage.upstream.requests[-1]
    assert shape(request) == [
        ("user", ["text"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result", "text"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result", "text"]),
    ]
    assert [texts for role, texts in conversation(request) if role == "user"] == [
        ["hi"],
        ["and 1"],
        ["and 2"],
    ]
    assert sources(stage) == {"spawned": 1, "continued": 2}


def test_ids_that_a_client_spells_in_its_own_way_are_the_same(stage: Stage) -> None:
    stage.upstream.script(ask_for(1, 2), Say("Done."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    message = called(first)
    for call in message["tool_calls"]:
        call["id"] = call["id"].replace("_", "")
    chat += [message, *(result(call, "ok") for call in message["tool_calls"])]
    assert stage.stream(chat, tools=[LOOKUP]).text == "Done."
    assert sources(stage) == {"spawned": 1, "continued": 1}


def test_arguments_that_a_client_writes_anew_are_the_same(stage: Stage) -> None:
    arguments = {"b": 1, "a": {"y": 2.5, "x": "é"}}
    stage.upstream.script(CallTools((Call("lookup", arguments),)), Say("Done."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    message = called(first)
    message["tool_calls"][0]["function"]["arguments"] = (
        '{ "a": {"x": "\\u00e9", "y": 2.50},\n "b": 1.0 }'
    )
    chat += [message, result(message["tool_calls"][0], "ok")]
    assert stage.stream(chat, tools=[LOOKUP]).text == "Done."
    assert sources(stage) == {"spawned": 1, "continued": 1}


# When the process is not there any more, or is needed otherwise.


def kill_children(stage: Stage) -> None:
    for pid in descendants(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    stage.wait_report(lambda report: report.processes.resting == 0)


def test_results_for_a_process_that_died_go_to_another(stage: Stage) -> None:
    stage.upstream.script(Say("Hello."), ask_for(1, 2, text="Hm."), Say("Done."))
    chat: Chat = say("hi")
    chat += [{"role": "assistant", "content": stage.stream(chat, tools=[LOOKUP]).text}]
    chat += say("look 1 and 2 up")
    first = stage.stream(chat, tools=[LOOKUP])
    one, two = calls_in(first)
    kill_children(stage)
    chat += [called(first), result(one, " a\n"), result(two, "b")]
    assert stage.stream(chat, tools=[LOOKUP]).text == "Done."
    request = stage.upstream.requests[-1]
    assert shape(request) == [
        ("user", ["text"]),
        ("assistant", ["text"]),
        ("user", ["text"]),
        ("assistant", ["text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result"]),
    ]
    assert blocks(request, "tool_use")[0]["input"] == {"key": 1}
    assert results_heard(request) == {
        one["id"]: [{"type": "text", "text": " a\n"}],
        two["id"]: [{"type": "text", "text": "b"}],
    }
    assert sources(stage) == {"spawned": 2, "continued": 1}


def test_ids_of_another_model_are_made_ones_that_the_upstream_takes(stage: Stage) -> None:
    def call(name: str) -> dict[str, Any]:
        function = {"name": "lookup", "arguments": ""}
        return {"id": name, "type": "function", "function": function}

    chat: Chat = say("hi")
    for _ in range(2):
        ids = ["functions.lookup:0", "call_0"]
        chat += [{"role": "assistant", "content": None, "tool_calls": [call(i) for i in ids]}]
        chat += [result(name, "ok") for name in ids]
    stage.ask(chat, tools=[LOOKUP])
    request = stage.heard()
    names = [block["id"] for block in blocks(request, "tool_use")]
    assert len(set(names)) == 4
    assert [block["tool_use_id"] for block in blocks(request, "tool_result")] == names


def test_another_answer_to_the_results_takes_the_whole_request_back(stage: Stage) -> None:
    stage.upstream.script(ask_for(1), Say("One."), Say("Uno."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    chat += [called(first), result(calls_in(first)[0], "ok")]
    assert stage.stream(chat, tools=[LOOKUP]).text == "One."
    assert stage.stream(chat, tools=[LOOKUP]).text == "Uno."
    before, after = stage.upstream.requests[-2:]
    assert shape(before) == shape(after)
    assert results_heard(before) == results_heard(after)
    assert sources(stage) == {"spawned": 1, "continued": 1, "rewound": 1}


def test_a_conversation_whose_tools_change_is_another_one(stage: Stage) -> None:
    stage.upstream.script(ask_for(1), Say("Done."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    chat += [called(first), result(calls_in(first)[0], "ok")]
    assert stage.stream(chat, tools=[LOOKUP, tool("more")]).text == "Done."
    request = stage.upstream.requests[-1]
    assert sorted(tools_heard(request)) == ["lookup", "more"]
    assert shape(request)[-2:] == [("assistant", ["tool_use"]), ("user", ["tool_result"])]


def test_two_that_go_on_from_the_same_calls_do_not_mix(stage: Stage) -> None:
    stage.upstream.script(ask_for(1), Say("Left."), Say("Right."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    (call,) = calls_in(first)
    chat.append(called(first))
    assert stage.stream([*chat, result(call, "a")], tools=[LOOKUP]).text == "Left."
    assert stage.stream([*chat, result(call, "b")], tools=[LOOKUP]).text == "Right."
    assert [results_heard(r)[call["id"]][0]["text"] for r in stage.upstream.requests[1:]] == [
        "a",
        "b",
    ]


def test_a_process_that_holds_calls_serves_another_conversation_without_a_trace(
    open_real: OpenStage,
) -> None:
    with open_real(settings=quick(max_processes=1)) as stage:
        stage.upstream.script(ask_for(1), Say("New."), Say("Back."))
        chat: Chat = say("the secret is zanzibar")
        first = stage.stream(chat, tools=[LOOKUP])
        assert stage.stream("something else", tools=[LOOKUP]).text == "New."
        assert conversation(stage.upstream.requests[-1]) == [("user", ["something else"])]
        assert b"zanzibar" not in stage.upstream.requests[-1].raw
        assert b"lookup" in stage.upstream.requests[-1].raw
        # And the first one is rebuilt.
        chat += [called(first), result(calls_in(first)[0], "ok")]
        assert stage.stream(chat, tools=[LOOKUP]).text == "Back."
        assert b"something else" not in stage.upstream.requests[-1].raw
        assert sources(stage) == {"spawned": 1, "recycled": 2}


def test_who_leaves_while_the_model_reads_the_results_can_send_them_again(stage: Stage) -> None:
    stage.upstream.script(ask_for(1), Say(["One", " two"], first_delay_s=30), Say("Done."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    chat += [called(first), result(calls_in(first)[0], "ok")]
    body = body_of(chat, tools=[LOOKUP], stream=True)
    with Caller(stage.daemon.port, body):
        stage.upstream.wait_for_requests(2, within_s=10)
    stage.upstream.wait_gone(within_s=10)
    assert stage.stream(chat, tools=[LOOKUP]).text == "Done."
    request = stage.upstream.requests[-1]
    assert shape(request) == [
        ("user", ["text"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result"]),
    ]


# What the model does that it should not.


def test_a_call_to_a_tool_that_was_not_offered_is_not_relayed(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("rm", {"path": "/"}),)), Say("I cannot."))
    told = stage.stream("hi", tools=[LOOKUP])
    assert (told.text, told.finish, calls_in(told)) == ("I cannot.", ["stop"], [])


def test_of_two_calls_the_one_that_was_offered_is_relayed(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("rm"), Call("lookup", {"key": 1}))), Say("Done."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    (call,) = calls_in(first)
    assert call["function"]["name"] == "lookup"
    chat += [called(first), result(call, "ok")]
    assert stage.stream(chat, tools=[LOOKUP]).text == "Done."
    assert [b["name"] for b in blocks(stage.upstream.requests[-1], "tool_use")] == ["lookup"]


def test_arguments_that_are_no_json_are_the_caller_s_to_judge(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("lookup", raw='{"key": 1'),)), Say("Again."))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP])
    (call,) = calls_in(first)
    assert (call["function"]["arguments"], first.finish) == ('{"key": 1', ["tool_calls"])
    chat += [called(first), result(call, "error: that is no JSON")]
    assert stage.stream(chat, tools=[LOOKUP]).text == "Again."
    (use,) = blocks(stage.upstream.requests[-1], "tool_use")
    assert use["input"] == {"__unparsedToolInput": {"raw": '{"key": 1', "len": 9}}
    assert len(stage.upstream.requests) == 2
