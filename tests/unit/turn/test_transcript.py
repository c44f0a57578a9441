"""Two conversations are the same if what the model would read is; never if callers differ."""

import json  # noqa: TID251 - as a client would write it

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.turn.answer import Answer
from ocpd.turn.events import TextDelta
from ocpd.turn.request import Message, Part, Reasoning, Role, Text, ToolResult, ToolUse
from ocpd.turn.transcript import (
    ROOT,
    Surroundings,
    chain_of,
    count_answers,
    key_of,
    last_request,
)
from tests.unit.claude.stage import ask, assistant, user


def one(*parts: Part, role: Role = Role.ASSISTANT) -> bytes:
    return chain_of([Message(role, parts)])[-1]


def answer(said: str) -> Message:
    heard = Answer()
    heard.hear(TextDelta(said))
    return heard.message()


def test_a_chain_has_an_entry_for_every_beginning() -> None:
    messages = [user("a"), assistant("b"), user("c")]
    chain = chain_of(messages)
    assert chain[0] == ROOT
    assert chain[:3] == chain_of(messages[:2])
    assert len(set(chain)) == 4
    assert chain == (*chain[:2], *chain_of(messages[2:], chain[2])[0:0], *chain_of(messages)[2:])
    assert chain_of(messages[2:], chain[2])[1] == chain[3]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([user("a")], [assistant("a")]),
        ([user("a")], [user("a ")]),
        ([user("a")], [user("A")]),
        ([user("a", "b")], [user("ab")]),
        ([user("a"), user("b")], [user("a", "b")]),
        ([user("ab"), user("c")], [user("a"), user("bc")]),
    ],
)
def test_what_reads_differently_is_different(left: list[Message], right: list[Message]) -> None:
    assert chain_of(left)[-1] != chain_of(right)[-1]


def test_reasoning_does_not_count() -> None:
    assert one(Reasoning("hm"), Text("a")) == one(Text("a"))


def test_tool_call_ids_count_without_the_prefix_a_client_gave_them() -> None:
    assert one(ToolUse("toolu_a-1", "f", "{}")) == one(ToolUse("call_a1", "f", "{}"))
    assert one(ToolUse("toolu_a", "f", "{}")) != one(ToolUse("toolu_b", "f", "{}"))
    assert one(ToolResult("toolu_a", ()), role=Role.USER) == one(
        ToolResult("call_a", ()), role=Role.USER
    )


def used(arguments: str) -> bytes:
    return one(ToolUse("toolu_1", "lookup", arguments))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("", "{}"),
        ("null", " { } "),
        ('{"a":1}', '{ "a" : 1 }\n'),
        ('{"a":1,"b":2}', '{"b":2,"a":1}'),
        ('{"a":{"x":1,"y":[{"p":1,"q":2}]}}', '{"a":{"y":[{"q":2,"p":1}],"x":1}}'),
        ('{"a":"é"}', '{"a":"\\u00e9"}'),
        ('{"a":"😀"}', '{"a":"\\ud83d\\ude00"}'),
        ('{"a":"/"}', '{"a":"\\/"}'),
        ('{"a":"\u2028"}', '{"a":"\\u2028"}'),
        ('{"é":1}', '{"\\u00e9":1}'),
        ('{"a":1.0}', '{"a":1}'),
        ('{"a":[2.50,-0.0]}', '{"a":[2.5,0]}'),
        ('{"a":1e3}', '{"a":1000}'),
        ('{"a":1E-1}', '{"a":0.1}'),
        ('{"a":1e21}', '{"a":1000000000000000000000}'),
        # What is no object is the same only letter for letter.
        ('{"a":', '{"a":'),
        ("[1]", "[1]"),
    ],
)
def test_arguments_that_a_client_wrote_in_another_way_are_equal(left: str, right: str) -> None:
    assert used(left) == used(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ('{"a":1}', '{"a":2}'),
        ('{"a":1}', '{"b":1}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":0}', '{"a":false}'),
        ('{"a":0}', '{"a":null}'),
        ('{"a":null}', "{}"),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":1.5}', '{"a":1}'),
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
        ('{"a":"x "}', '{"a":"x"}'),
        ('{"a":"é"}', '{"a":"e\u0301"}'),
        ('{"a":{}}', '{"a":[]}'),
        ('{"a":""}', "{}"),
        ('{"a":', '{"a": '),
        ("[1]", "[1.0]"),
        ("[]", "{}"),
    ],
)
def test_arguments_that_mean_something_else_are_different(left: str, right: str) -> None:
    assert used(left) != used(right)


@pytest.mark.parametrize("depth", [150, 300, 600, 900, 1_500, 100_000])
def test_arguments_of_any_depth_have_a_place_in_the_chain(depth: int) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth
    assert used(deep) == used(deep)
    assert used(deep) != used(deep.replace("1", "2"))


def test_a_call_of_another_tool_is_another_call() -> None:
    assert one(ToolUse("toolu_1", "f", "{}")) != one(ToolUse("toolu_1", "g", "{}"))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (ToolResult("toolu_1", (Text("a"),)), ToolResult("toolu_1", (Text("b"),))),
        (ToolResult("toolu_1", (Text("a"),)), ToolResult("toolu_2", (Text("a"),))),
        (ToolResult("toolu_1", (Text("a"),)), ToolResult("toolu_1", (Text("a"),), is_error=True)),
        (ToolResult("toolu_1", (Text("a"),)), ToolResult("toolu_1", (Text("a "),))),
        (ToolResult("toolu_1", ()), Text("a")),
        # A result is no JSON: nothing about its spelling is free.
        (ToolResult("toolu_1", (Text('{"a":1}'),)), ToolResult("toolu_1", (Text('{"a": 1}'),))),
    ],
)
def test_results_are_equal_letter_for_letter(left: Part, right: Part) -> None:
    assert one(left, role=Role.USER) != one(right, role=Role.USER)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_any_arguments_are_equal_however_a_client_writes_them(told: dict[str, object]) -> None:
    backwards = dict(reversed(told.items()))
    spellings = {
        used(msgspec.json.encode(told).decode()),
        used(msgspec.json.format(msgspec.json.encode(backwards), indent=4).decode()),
        used(json.dumps(backwards)),
        used(json.dumps(told, ensure_ascii=False, sort_keys=True)),
    }
    assert len(spellings) == 1


def test_an_answer_is_the_message_that_comes_back() -> None:
    assert chain_of([answer("Hi\n")])[-1] == chain_of([assistant("Hi\n")])[-1]
    assert answer(" \n").parts == ()
    # As JavaScript has it: the CLI asks again after such an answer.
    assert answer("\ufeff").parts == ()
    assert answer("\x1c").parts != ()


def test_a_key_is_the_same_for_the_same_surroundings_only() -> None:
    turn, around = ask(user("a")), Surroundings("key 1")
    same = msgspec.structs.replace(turn, messages=(user("b"),), stream=True, id="f" * 32)
    assert key_of(turn, around) == key_of(same, around)
    others = [
        key_of(turn, Surroundings("key 2")),
        key_of(turn, Surroundings("key 1", lane="other")),
        key_of(turn, Surroundings("key 1", version="2")),
        key_of(msgspec.structs.replace(turn, system="other"), around),
        key_of(msgspec.structs.replace(turn, model="other"), around),
    ]
    assert len({key_of(turn, around), *others}) == 6


def test_the_last_request_is_where_the_users_last_messages_begin() -> None:
    assert last_request((user("a"),)) == 0
    assert last_request((user("a"), assistant("b"), user("c"), user("d"))) == 2
    assert last_request(()) == 0
    called = Message(Role.ASSISTANT, (ToolUse("toolu_1", "f", "{}"),))
    told = Message(Role.USER, (ToolResult("toolu_1", ()),))
    assert last_request((user("a"), assistant("b"), user("c"), called, told)) == 2
    assert last_request((user("a"), called, told, user("and?"))) == 0
    assert count_answers([user("a"), assistant("b"), user("c")]) == 1
