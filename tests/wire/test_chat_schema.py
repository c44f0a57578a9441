"""An answer of a form: JSON and nothing else, or a refusal that says so.

What may live here: response_format with the official client, the real CLI and the upstream's view.
"""

from typing import Any

import openai
import pydantic
import pytest

from tests.kit.journal import Received
from tests.kit.script import Call, CallTools, Say
from tests.wire.stage import Stage, say
from tests.wire.tooling import Chat, called, calls_in, result, results_heard, tool, tools_heard

pytestmark = pytest.mark.real_cli

TOOL = "StructuredOutput"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["city", "size"],
    "additionalProperties": False,
}
GOOD = {"city": "Ulm", "size": 3}


class City(pydantic.BaseModel):
    """What ``parse`` makes of it."""

    city: str
    size: int


def form(schema: dict[str, Any] = CITY, **more: Any) -> dict[str, Any]:
    inner = {"name": "city", "schema": schema, "strict": True, **more}
    return {"response_format": {"type": "json_schema", "json_schema": inner}}


def give(arguments: dict[str, Any], **more: Any) -> CallTools:
    return CallTools((Call(TOOL, arguments),), **more)


def refusals(stage: Stage, asked: Any, **more: Any) -> tuple[str | None, str | None, str]:
    choice = stage.ask(asked, **more).choices[0]
    return choice.message.content, choice.message.refusal, choice.finish_reason


def schema_heard(request: Received) -> Any:
    (offered,) = [offered for offered in request.body["tools"] if offered["name"] == TOOL]
    return offered["input_schema"]


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_of_a_schema_is_its_json_and_nothing_else(stage: Stage, streamed: bool) -> None:
    stage.upstream.script(give(GOOD, text="Let me think about that."))
    if streamed:
        told = stage.stream("Which city?", **form())
        text, finish = told.text, told.finish
    else:
        choice = stage.ask("Which city?", **form()).choices[0]
        text, finish = choice.message.content or "", [choice.finish_reason]
    assert (text, finish) == ('{"city":"Ulm","size":3}', ["stop"])
    assert schema_heard(stage.heard())["required"] == ["city", "size"]


def test_the_official_client_parses_it(stage: Stage) -> None:
    stage.upstream.script(give(GOOD), give(GOOD))
    answer = stage.client.chat.completions.parse(
        model="sonnet", messages=say("Which city?"), response_format=City
    )
    assert answer.choices[0].message.parsed == City(city="Ulm", size=3)
    with stage.client.chat.completions.stream(
        model="sonnet", messages=say("Which city, streamed?"), response_format=City
    ) as events:
        events.until_done()
        final = events.get_final_completion()
    assert final.choices[0].message.parsed == City(city="Ulm", size=3)


@pytest.mark.parametrize(
    "text", ['{"city": "Ulm", "size": 3}', '```json\n{"city":"Ulm","size":3}\n```']
)
def test_a_model_that_answers_in_text_is_taken_at_its_word(stage: Stage, text: str) -> None:
    stage.upstream.script(Say(text))
    assert stage.stream("Which city?", **form()).text == '{"city":"Ulm","size":3}'
    assert len(stage.upstream.requests) == 1


def test_an_answer_that_does_not_fit_is_asked_for_again(stage: Stage) -> None:
    stage.upstream.script(give({"city": "Ulm"}), give(GOOD))
    told = stage.stream("Which city?", **form())
    assert (told.text, told.finish) == ('{"city":"Ulm","size":3}', ["stop"])
    assert len(stage.upstream.requests) == 2


@pytest.mark.parametrize("streamed", [True, False])
def test_a_form_that_cannot_be_had_is_a_refusal(stage: Stage, streamed: bool) -> None:
    stage.upstream.script_default(Say("I would rather not."))
    if streamed:
        told = stage.stream("Which city?", **form())
        said = [c.choices[0].delta.refusal for c in told.chunks if c.choices]
        found = ("".join(told.pieces), "".join(filter(None, said)), told.finish[0])
        assert found == ("", "I would rather not.", "stop")
    else:
        found = refusals(stage, "Which city?", **form())
        assert found == (None, "I would rather not.", "stop")
    assert stage.daemon.wait_quiet().stats.errors == 1


def test_an_answer_that_never_fits_is_a_refusal_that_says_why(stage: Stage) -> None:
    stage.upstream.script_default(give({"city": "Ulm", "size": "large"}))
    content, refusal, finish = refusals(stage, "Which city?", **form())
    assert (content, finish) == (None, "stop")
    assert refusal is not None
    assert "size" in refusal
    # The setting structuredMaxAttempts.
    assert len(stage.upstream.requests) == 3


def test_the_next_turn_goes_on_in_the_same_process(stage: Stage) -> None:
    stage.upstream.script(give(GOOD), give({"city": "Bonn", "size": 5}))
    chat: Chat = say("Which city?")
    first = stage.stream(chat, **form()).text
    chat += [{"role": "assistant", "content": first}, *say("And another?")]
    assert stage.stream(chat, **form()).text == '{"city":"Bonn","size":5}'
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 1}


def test_after_a_refusal_the_conversation_has_no_trace_of_what_was_tried(stage: Stage) -> None:
    stage.upstream.script(Say("No."), Say("Still no."))
    refusals(stage, "Which city?", **form())
    stage.upstream.script(give(GOOD))
    assert stage.stream("Which river?", **form()).text == '{"city":"Ulm","size":3}'
    request = stage.upstream.requests[-1]
    assert b"Which city" not in request.raw
    assert b"Still no" not in request.raw


def test_tools_and_a_form_go_together(stage: Stage) -> None:
    stage.upstream.script(CallTools((Call("lookup", {"key": 1}),), text="Hm."), give(GOOD))
    chat: Chat = say("Which city?")
    more: dict[str, Any] = {"tools": [tool("lookup")], **form()}
    first = stage.stream(chat, **more)
    assert (first.text, first.finish) == ("", ["tool_calls"])
    (call,) = calls_in(first)
    chat += [called(first), result(call, "Ulm")]
    assert stage.stream(chat, **more).text == '{"city":"Ulm","size":3}'
    assert sorted(tools_heard(stage.upstream.requests[0])) == [TOOL, "lookup"]
    assert results_heard(stage.upstream.requests[-1])[call["id"]][0]["text"] == "Ulm"
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 1}


@pytest.mark.parametrize(
    "more", [{"response_format": {"type": "json_object"}}, {"json_mode": True}]
)
def test_json_mode_gives_an_object(stage: Stage, more: dict[str, Any]) -> None:
    stage.upstream.script(
        lambda request: give({next(iter(schema_heard(request)["properties"])): {"a": [1, 2.50]}})
    )
    body = {key: more[key] for key in more if key == "json_mode"}
    rest = {key: more[key] for key in more if key != "json_mode"}
    assert stage.stream("Give me JSON.", extra_body=body, **rest).text == '{"a":[1,2.5]}'


def test_json_mode_refuses_what_is_no_object(stage: Stage) -> None:
    stage.upstream.script_default(Say("[1, 2]"))
    content, refusal, _ = refusals(stage, "JSON?", response_format={"type": "json_object"})
    assert (content, refusal) == (None, "[1, 2]")


@pytest.mark.parametrize(
    "schema",
    [
        {"$schema": "https://json-schema.org/draft/2020-12/schema", **CITY},
        {**CITY, "x-note": 1, "example": GOOD, "discriminator": {"propertyName": "city"}},
        {
            "$defs": {"Name": {"type": "string", "pattern": "^[A-Z]"}},
            "type": "object",
            "properties": {"city": {"$ref": "#/$defs/Name"}, "size": {"type": ["integer", "null"]}},
            "required": ["city", "size"],
        },
    ],
)
def test_schemas_that_the_cli_would_pass_over_hold(stage: Stage, schema: dict[str, Any]) -> None:
    stage.upstream.script(give(GOOD))
    assert stage.stream("Which city?", **form(schema)).text == '{"city":"Ulm","size":3}'
    stage.upstream.script_default(give({"city": 7, "size": 1}))
    assert refusals(stage, "Which other?", **form(schema))[0] is None


def test_what_is_at_the_top_need_not_be_an_object(stage: Stage) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 2}
    stage.upstream.script(
        lambda request: give({next(iter(schema_heard(request)["properties"])): [1, 2]})
    )
    assert stage.stream("Two numbers?", **form(schema, strict=False)).text == "[1,2]"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/x.json"}}},
        {"type": "strange"},
        {"type": "object", "properties": {"a": {"pattern": "("}}},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_by_name(
    stage: Stage, schema: dict[str, Any]
) -> None:
    error = stage.refusal("Which city?", **form(schema))
    assert (error.status_code, error.code) == (400, "invalid_json_schema")
    assert error.param == "response_format.json_schema.schema"
    assert stage.upstream.requests == ()


def test_an_answer_that_is_cut_is_no_answer(stage: Stage) -> None:
    stage.upstream.script(give(GOOD, stop_reason="max_tokens"))
    told = stage.stream("Which city?", max_tokens=5, **form())
    assert told.finish in (["length"], ["stop"])
    assert told.text in ("", '{"city":"Ulm","size":3}')
    assert len(stage.upstream.requests) == 1
    stage.upstream.script(CallTools((Call(TOOL, raw='{"city": "U'),), stop_reason="max_tokens"))
    with pytest.raises(openai.LengthFinishReasonError):
        stage.client.chat.completions.parse(
            model="sonnet", messages=say("Which?"), response_format=City, max_tokens=5
        )


def test_stop_strings_have_no_part_in_a_form(stage: Stage) -> None:
    stage.upstream.script(give(GOOD))
    answer = stage.client.chat.completions.with_raw_response.create(
        model="sonnet", messages=say("Which city?"), stop=["Ulm"], **form()
    )
    assert answer.headers["x-ocpd-ignored"] == "stop"
    assert answer.parse().choices[0].message.content == '{"city":"Ulm","size":3}'
