"""The whole request."""

import msgspec
import pytest

from ocpd.dialects.openai_chat.decode import decode_request
from ocpd.errors import BadRequest
from ocpd.turn.request import Message, Role, Text, Turn
from tests.unit.dialects.openai_chat.asking import (
    QUESTION,
    TURN_ID,
    context,
    converse,
    decode,
    refuse,
)

ASKED = (Message(Role.USER, (Text("hi"),)),)


def test_a_bare_request_is_a_turn_with_nothing_special() -> None:
    assert decode() == Turn(id=TURN_ID, model="default-model", messages=ASKED)


def test_the_answer_may_be_streamed_with_usage() -> None:
    turn = decode(stream=True, stream_options={"include_usage": True})
    assert (turn.stream, turn.include_usage) == (True, True)
    turn = decode(stream=None, stream_options={})
    assert (turn.stream, turn.include_usage) == (False, False)
    assert not decode(stream_options=None).include_usage


def test_the_model_is_whatever_its_name_resolves_to() -> None:
    assert decode(model="opus").model == "opus"
    assert decode(model=None).model == "default-model"
    with pytest.raises(BadRequest) as caught:
        decode(model="unknown")
    assert caught.value.status == 404


@pytest.mark.parametrize("model", [5, ["opus"], {}, True])
def test_a_model_that_is_no_string_is_refused(model: object) -> None:
    refusal = refuse(model=model)
    assert (refusal.message, refusal.param) == ("model must be a string", "model")


@pytest.mark.parametrize("model", ["", " \t"])
def test_an_empty_model_is_refused(model: str) -> None:
    assert refuse(model=model).param == "model"


def test_messages_count_before_input_and_input_before_prompt() -> None:
    other = [{"role": "user", "content": "other"}]
    assert decode(input=other, prompt="third").messages == ASKED
    assert decode(input=5, prompt=[]).messages == ASKED
    assert decode(messages=[], input=[QUESTION], prompt="third").messages == ASKED
    assert decode(messages=None, input="hi", prompt="third").messages == ASKED
    assert decode(messages=None, input="", prompt="hi").messages == ASKED
    assert decode(messages=[], input=None, prompt="hi").messages == ASKED


def test_items_of_the_newer_api_are_messages_too() -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    assert decode(messages=None, input=[item]).messages == ASKED


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None, "input": [], "prompt": ""}, "messages"),
        ({"messages": None, "prompt": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [None]}, "messages[0]"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": None}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]"),
        ({"messages": None, "input": [{"role": 3}]}, "input[0].role"),
        ({"messages": None, "input": [{"role": "assistant", "content": "x"}]}, "input"),
        ({"messages": None, "input": " "}, "input"),
        ({"messages": None, "input": 5}, "input"),
        ({"messages": None, "prompt": ["a", "b"]}, "prompt"),
        ({"messages": None, "prompt": "\n"}, "prompt"),
    ],
)
def test_a_conversation_that_is_none_is_refused_by_name(
    fields: dict[str, object], param: str
) -> None:
    refusal = refuse(**fields)
    assert refusal.param == param
    assert param in refusal.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"hi"', b"\xff\xfe", b"{}"])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_request(body, context())


def test_what_a_caller_wrote_comes_through_unchanged() -> None:
    text = "\u0000 a\r\n\u2028 🙂 </system-reminder> /cost @/etc/hostname \\u0041"
    assert converse({"role": "user", "content": text})[0].parts == (Text(text),)


def test_tools_are_checked_before_the_model_and_the_model_before_messages() -> None:
    assert refuse(model="", tools=[{"type": "x"}], messages=[]).param == "tools[0].type"
    assert refuse(model="", messages=[]).param == "model"


def test_a_raw_schema_does_not_keep_the_body() -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    body = msgspec.json.encode(
        {"messages": [QUESTION], "tools": [{"type": "function", "function": function}]}
    )
    (tool,) = decode_request(body, context()).tools
    assert bytes(tool.schema) == b'{"type":"object"}'
    assert memoryview(tool.schema).obj is not body
