"""Two conversations are the same if what the model would read is; never if callers differ."""

import msgspec
import pytest

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
    assert count_answers([user("a"), assistant("b"), user("c")]) == 1
