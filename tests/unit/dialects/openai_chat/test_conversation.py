"""Who said what."""

import pytest

from ocpd.turn.request import Message, Reasoning, Role, Text, ToolResult, ToolUse
from tests.unit.dialects.openai_chat.asking import QUESTION, converse, decode, refuse

ASKED = Message(Role.USER, (Text("hi"),))


def say(role: str, content: object, **fields: object) -> dict[str, object]:
    return {"role": role, "content": content, **fields}


def test_leading_system_messages_are_the_system_prompt() -> None:
    turn = decode(
        messages=[
            say("system", " one\n"),
            say("developer", [{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}]),
            say("system", " \n"),
            say("system", None),
            say("developer", "three"),
            QUESTION,
        ]
    )
    assert turn.system == " one\n\n\ntwo\n\nthree"
    assert turn.messages == (ASKED,)


def test_a_later_system_message_stays_in_its_place_as_a_reminder() -> None:
    messages = converse(
        QUESTION, say("system", "be brief"), say("assistant", "ok"), QUESTION, say("developer", " ")
    )
    assert messages == (
        ASKED,
        Message(Role.USER, (Text("<system-reminder>\nbe brief\n</system-reminder>"),)),
        Message(Role.ASSISTANT, (Text("ok"),)),
        ASKED,
    )


def test_a_reminder_may_be_the_last_message() -> None:
    assert len(converse(QUESTION, say("system", "be brief"))) == 2


def test_messages_of_one_role_stay_apart() -> None:
    assert converse(QUESTION, QUESTION) == (ASKED, ASKED)


def test_a_greeting_before_any_question_is_kept() -> None:
    assert converse(say("assistant", "hello"), QUESTION) == (
        Message(Role.ASSISTANT, (Text("hello"),)),
        ASKED,
    )


@pytest.mark.parametrize("content", [None, "", " \n", [], [{"type": "text", "text": " "}]])
def test_messages_that_say_nothing_are_left_out(content: object) -> None:
    assert converse(say("user", content), say("assistant", content), QUESTION) == (ASKED,)


@pytest.mark.parametrize("content", [None, "", " \n", [], [{"type": "text", "text": " "}]])
def test_the_last_word_of_the_user_must_not_be_empty(content: object) -> None:
    refusal = refuse(messages=[QUESTION, say("user", content), say("system", "x")])
    assert refusal.param == "messages[1].content"
    assert "must not be empty" in refusal.message


def test_the_last_word_must_not_be_the_assistants() -> None:
    refusal = refuse(messages=[QUESTION, say("assistant", "Sure, "), say("system", "x")])
    assert refusal.param == "messages[1].role"
    assert "last message must be the user's" in refusal.message


def test_somebody_must_ask() -> None:
    for messages in ([say("system", "x")], [say("assistant", "x")], [say("system", "x")] * 2):
        assert refuse(messages=messages).param == "messages"


@pytest.mark.parametrize("role", ["model", "", "System", "u" * 1000])
def test_a_role_nobody_knows_is_refused(role: str) -> None:
    refusal = refuse(messages=[QUESTION, say(role, "x")])
    assert refusal.param == "messages[1].role"
    assert len(refusal.message) < 200


def test_an_assistant_thinks_speaks_and_calls_in_this_order() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    bare = {"id": "c2", "function": {"name": "g"}, "cache_control": {"type": "ephemeral"}}
    said = say("assistant", "let me see", reasoning_content="hm", tool_calls=[call, bare])
    assert converse(said, say("tool", "1", tool_call_id="c1"))[0].parts == (
        Reasoning("hm"),
        Text("let me see"),
        ToolUse("c1", "f", '{"a": 1}'),
        ToolUse("c2", "g", "{}"),
    )


def test_blank_thoughts_are_left_out() -> None:
    assert converse(say("assistant", "a", reasoning_content=" "), QUESTION)[0].parts == (Text("a"),)


def test_a_refusal_in_the_history_is_what_the_assistant_said() -> None:
    part = {"type": "refusal", "refusal": "I will not."}
    for said in (say("assistant", [part]), say("assistant", None, refusal="I will not.")):
        assert converse(said, QUESTION)[0].parts == (Text("I will not."),)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ({"id": "c", "type": "custom", "custom": {}}, "type"),
        ({"id": "c", "type": "function"}, "function"),
        ({"function": {"name": "f"}}, "id"),
        ({"id": "c", "function": {"arguments": "{}"}}, "function.name"),
        ({"id": "c", "function": {"name": "f", "arguments": {}}}, "function.arguments"),
    ],
)
def test_a_call_that_does_not_fit_is_refused(call: object, field: str) -> None:
    refusal = refuse(messages=[say("assistant", None, tool_calls=[call]), QUESTION])
    assert refusal.param == f"messages[0].tool_calls[0].{field}"


def test_tool_results_that_follow_each_other_are_one_message() -> None:
    messages = converse(
        say("tool", "one", tool_call_id="a"),
        say("tool", [{"type": "text", "text": "two"}], tool_call_id="b"),
        say("user", " "),
        say("tool", None, tool_call_id="c"),
        QUESTION,
    )
    assert messages == (
        Message(Role.USER, (ToolResult("a", (Text("one"),)), ToolResult("b", (Text("two"),)))),
        Message(Role.USER, (ToolResult("c", ()),)),
        ASKED,
    )


def test_a_tool_may_have_the_last_word_even_an_empty_one() -> None:
    assert converse(QUESTION, say("tool", "", tool_call_id="a"))[1].parts == (ToolResult("a", ()),)


def test_a_tool_result_names_its_call() -> None:
    assert refuse(messages=[say("tool", "x")]).param == "messages[0].tool_call_id"
    assert refuse(messages=[say("function", "x")]).param == "messages[0].name"


def test_calls_of_the_old_kind_are_matched_by_name_and_order() -> None:
    call = {"name": "f", "arguments": "{}"}
    messages = converse(
        say("assistant", None, function_call=call),
        say("function", "one", name="f"),
        say("assistant", None, function_call=call),
        say("function", "two", name="f"),
        say("function", "three", name="never_called"),
    )
    assert messages == (
        Message(Role.ASSISTANT, (ToolUse("f-1", "f", "{}"),)),
        Message(Role.USER, (ToolResult("f-1", (Text("one"),)),)),
        Message(Role.ASSISTANT, (ToolUse("f-2", "f", "{}"),)),
        Message(
            Role.USER,
            (ToolResult("f-2", (Text("two"),)), ToolResult("never_called-1", (Text("three"),))),
        ),
    )
