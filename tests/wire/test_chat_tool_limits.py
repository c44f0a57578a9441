"""What a tool loop must not lose: an effort that changes, characters, results, and its end.

What may live here: cases that once went wrong, with the real CLI and the upstream's view.
"""

from typing import Any

import pytest

from tests.kit.script import Call, CallTools, Say
from tests.wire.stage import Stage, say
from tests.wire.tooling import Chat, called, calls_in, result, results_heard, tool, tools_heard

pytestmark = pytest.mark.real_cli

LOOKUP = tool("lookup")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FORM: dict[str, Any] = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
}


def test_the_effort_of_each_request_holds_for_that_request(stage: Stage) -> None:
    stage.upstream.script(
        CallTools((Call("lookup", {"key": 1}),)), CallTools((Call("lookup"),)), Say("Done.")
    )
    chat: Chat = say("hi")
    for effort in ("low", "max"):
        told = stage.stream(chat, tools=[LOOKUP], reasoning_effort=effort)
        chat += [called(told), result(calls_in(told)[0], "ok")]
    stage.stream(chat, tools=[LOOKUP])
    heard = [r.body["output_config"]["effort"] for r in stage.upstream.requests]
    assert heard == ["low", "max", "medium"]
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 2}


def test_characters_that_look_alike_stay_what_they_are(stage: Stage) -> None:
    text = "\uff08\u57ce\u5e02\uff0c\u65e5\u671f\uff09 e\u0301 \u200b\u200d"
    schema = {"type": "object", "properties": {"place": {"enum": [text, "x"], "description": text}}}
    stage.upstream.script(CallTools((Call("odd", {"place": text}),)), Say("Done."))
    chat: Chat = say("hi")
    tools = [tool("odd", description=text, parameters=schema), LOOKUP]
    first = stage.stream(chat, tools=tools)
    chat += [called(first), result(calls_in(first)[0], "ok")]
    assert stage.stream(chat, tools=tools).text == "Done."
    for request in stage.upstream.requests:
        heard = {offered["name"]: offered for offered in request.body["tools"]}
        assert (heard["odd"]["description"], heard["odd"]["input_schema"]) == (text, schema)
        assert sorted(heard) == ["lookup", "odd"]


def test_what_is_combined_at_the_top_of_a_schema_stays_so(stage: Stage) -> None:
    schema = {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    stage.ask("hi", tools=[tool("odd", parameters=schema)])
    assert stage.heard().body["tools"][0]["input_schema"] == schema


def test_no_more_calls_but_an_answer_of_a_form(stage: Stage) -> None:
    stage.upstream.script(
        CallTools((Call("lookup", {"key": 1}),)),
        CallTools((Call("StructuredOutput", {"city": "Ulm"}),)),
    )
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP], **FORM)
    chat += [called(first), result(calls_in(first)[0], "Ulm")]
    last = stage.stream(chat, tools=[LOOKUP], tool_choice="none", **FORM)
    assert last.text == '{"city":"Ulm"}'
    request = stage.upstream.requests[-1]
    assert tools_heard(request) == ["StructuredOutput"]
    assert request.body.get("tool_choice") is None


def test_an_answer_given_before_the_results_is_none(stage: Stage) -> None:
    both = CallTools((Call("lookup", {"key": 1}), Call("StructuredOutput", {"city": "Bonn"})))
    stage.upstream.script(both, CallTools((Call("StructuredOutput", {"city": "Ulm"}),)))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=[LOOKUP], **FORM)
    (call,) = calls_in(first)
    chat += [called(first), result(call, "Ulm")]
    assert stage.stream(chat, tools=[LOOKUP], **FORM).text == '{"city":"Ulm"}'
    assert results_heard(stage.upstream.requests[-1])[call["id"]][0]["text"] == "Ulm"


def test_a_model_that_only_calls_what_nobody_offered_is_stopped(stage: Stage) -> None:
    stage.upstream.script_default(CallTools((Call("rm"),)))
    error = stage.refusal("hi", tools=[LOOKUP])
    assert (error.status_code, error.code) == (502, "unknown_tool_calls")
    assert len(stage.upstream.requests) < 10


def test_the_older_form_has_room_for_one_call(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("lookup", {"key": 1}), Call("lookup", {"key": 2}))))
    told = stage.stream("hi", functions=[LOOKUP["function"]])
    pieces = [c.choices[0].delta.function_call for c in told.chunks if c.choices]
    found = [piece for piece in pieces if piece is not None]
    assert [piece.name for piece in found if piece.name] == ["lookup"]
    assert "".join(piece.arguments or "" for piece in found) == '{"key":1}'


def test_a_schema_that_the_cli_does_not_take_is_no_fault_of_the_process(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    odd = tool("secret_name", parameters={"type": "object", "required": "a"})
    assert stage.refusal("hi", tools=[odd]).status_code == 400
    report = stage.daemon.wait_quiet()
    assert report.processes.failures_in_a_row == 0
    assert not any("secret_name" in note.message for note in report.recent_errors)
    assert not any("secret_name" in str(record.__dict__) for record in caplog.records)


def test_fields_that_ask_for_other_things_are_named(stage: Stage) -> None:
    answer = stage.client.chat.completions.with_raw_response.create(
        model="sonnet",
        messages=say("hi"),
        tools=[LOOKUP],
        functions=[LOOKUP["function"]],
        web_search_options={},
        extra_body={"thinking": {"type": "enabled"}},
    )
    assert answer.headers["x-ocpd-ignored"] == "functions, thinking, web_search_options"
