"""Promise: two requests have one key exactly if one answer is right for both, and what is for one
caller, or for once, is never given to another."""

from typing import Any

import msgspec
import pytest

from ocpd.claude.limits import Sheet
from ocpd.turn.cachekey import BARRING, IDLE, SHAPING, find_key, has_cache_control
from ocpd.turn.request import (
    AnswerFormat,
    Image,
    Limits,
    Message,
    Role,
    Sampling,
    Shape,
    Text,
    Tool,
    ToolMode,
    ToolPolicy,
    ToolResult,
    ToolUse,
    Turn,
    TurnId,
)
from ocpd.turn.servers import Server

EMPTY = msgspec.Raw(b"{}")


def said(role: Role, *texts: str) -> Message:
    return Message(role, tuple(Text(text) for text in texts))


PLAIN = Turn(id=TurnId("0" * 32), model="opus", messages=(said(Role.USER, "hello"),))


def key(scope: str = "place here", sheet: Sheet | None = None, **changes: Any) -> str | None:
    turn = msgspec.structs.replace(PLAIN, **changes)
    return find_key(turn, scope, sheet or Sheet())


def test_every_field_of_a_turn_has_its_place() -> None:
    named = [*SHAPING, *BARRING, *IDLE]
    assert sorted(named) == sorted(Turn.__struct_fields__)


def test_the_key_is_the_same_for_the_same_and_has_one_form() -> None:
    found = key()
    assert found == key()
    assert found is not None
    assert len(found) == 64
    assert set(found) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "changes",
    [
        {"id": TurnId("1" * 32)},
        {"stream": True},
        {"include_usage": True},
        {"user": "somebody"},
        {"ignored": ("seed",)},
        {"dropped": 3},
        {"tool_policy": ToolPolicy(ToolMode.NONE)},
        {"calls_as_functions": True},
        {"is_unasked": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_does_not_shape_the_answer_is_not_in_the_key(changes: dict[str, Any]) -> None:
    assert set(changes) <= IDLE
    assert key(**changes) == key()


VARIANTS: list[dict[str, Any]] = [
    {},
    {"scope": "place there"},
    {"scope": "key 1 then"},
    {"sheet": Sheet(effort="low")},
    {"sheet": Sheet(thinks=False)},
    {"model": "sonnet"},
    {"system": "hello"},
    {"messages": (said(Role.USER, "hello "),)},
    {"messages": (said(Role.USER, "hel", "lo"),)},
    {"messages": (said(Role.ASSISTANT, "hello"),)},
    {"messages": (said(Role.USER, "hel"), said(Role.USER, "lo"))},
    {"messages": (Message(Role.USER, (Image(url="hello"),)),)},
    {"format": AnswerFormat(Shape.JSON)},
    {"format": AnswerFormat(Shape.SCHEMA, EMPTY)},
    {"format": AnswerFormat(Shape.SCHEMA, EMPTY, name="x")},
    {"format": AnswerFormat(Shape.SCHEMA, EMPTY, strict=True)},
    {"format": AnswerFormat(Shape.SCHEMA, msgspec.Raw(b"{ }"))},
    {"limits": Limits(max_tokens=1)},
    {"limits": Limits(stop=("a",))},
    {"limits": Limits(stop=("a", "b"))},
    {"limits": Limits(stop=("ab",))},
    {"sampling": Sampling(temperature=0.5)},
    {"sampling": Sampling(top_p=0.5)},
    {"sampling": Sampling(top_k=5)},
    {"effort": "low"},
    {"reasoning_field": "effort"},
    {"tells_reasoning": False},
]


def test_all_that_shapes_the_answer_is_in_the_key() -> None:
    keys = [key(**changes) for changes in VARIANTS]
    assert None not in keys
    assert len(set(keys)) == len(VARIANTS)
    assert {field for changes in VARIANTS for field in changes} >= SHAPING


def test_no_field_runs_into_the_next() -> None:
    one = key(scope="ab", model="c", system="d")
    assert one != key(scope="a", model="bc", system="d")
    assert one != key(scope="ab", model="cd", system="")


@pytest.mark.parametrize(
    "changes",
    [
        {"session": "mine"},
        {"session": ""},
        {"has_cache_control": True},
        {"tools": (Tool("lookup", "", EMPTY),)},
        {"servers": (Server("files", EMPTY),)},
        {"own_tools": ("Read",)},
        {"messages": (Message(Role.ASSISTANT, (ToolUse("1", "lookup", "{}"),)),)},
        {"messages": (Message(Role.USER, (ToolResult("1", (Text("found"),)),)),)},
    ],
)
def test_an_answer_that_is_for_once_has_no_key(changes: dict[str, Any]) -> None:
    assert key(**changes) is None


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"messages":[{"cache_control":{"type":"ephemeral"}}]}', True),
        (b'{"cache_control" : null}', True),
        (b'{"cache\\u005fcontrol":{}}', True),
        (b'{"\\u0063ache_contro\\u006C":{}}', True),
        (b'{"content":"what does \\"cache_control\\" mean?"}', False),
        (b'{"content":"cache_control"}', True),
        (b'{"content":"about cache_control"}', False),
        (b'{"Cache_Control":1}', False),
        (b'{"content":"\\u00e9"}', False),
        (b"{}", False),
    ],
)
def test_cache_control_is_seen_wherever_it_is_a_field(body: bytes, found: bool) -> None:
    assert has_cache_control(body) is found
