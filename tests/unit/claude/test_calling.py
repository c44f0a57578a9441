"""Calls are told as they come, those of the caller's tools and no others."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.claude.calling import Calling
from ocpd.claude.wire import Block
from ocpd.turn.events import CallBegun, CallDelta, Event
from ocpd.turn.request import Tool
from tests.unit.claude.stage import LOOKUP, ask

SKILL = Tool("Skill", "", msgspec.Raw(b"{}"))


def calling(*tools: Tool, **more: object) -> Calling:
    return Calling(msgspec.structs.replace(ask(tools=tools or (LOOKUP, SKILL)), **more))


def use(name: str = "lookup", call_id: str = "toolu_1", given: str = "{}") -> Block:
    return Block("tool_use", id=call_id, name=name, input=msgspec.Raw(given.encode()))


def hear(reader: Calling, index: int, *pieces: str, block: Block | None = None) -> list[Event]:
    """Let one block come, whole."""
    told = reader.on_start(block or use(call_id=f"toolu_{index}"), index)
    for piece in pieces:
        told += reader.on_delta(index, piece)
    return told + reader.on_stop(index)


def test_a_call_is_told_piece_by_piece() -> None:
    reader = calling()
    assert reader.on_start(use(), 2) == [CallBegun(0, "toolu_1", "lookup")]
    assert reader.on_delta(2, '{"a"') == [CallDelta(0, '{"a"')]
    assert reader.on_delta(2, ":1}") == [CallDelta(0, ":1}")]
    assert reader.on_stop(2) == []
    assert (reader.ids, reader.is_broken, reader.has_stray) == (["toolu_1"], False, False)


def test_calls_are_counted_from_0_whatever_stands_between_them() -> None:
    reader = calling()
    told = [*hear(reader, 1, "{}"), *hear(reader, 4, '{"a":1}'), *hear(reader, 7)]
    assert told == [
        CallBegun(0, "toolu_1", "lookup"),
        CallDelta(0, "{}"),
        CallBegun(1, "toolu_4", "lookup"),
        CallDelta(1, '{"a":1}'),
        CallBegun(2, "toolu_7", "lookup"),
        CallDelta(2, "{}"),
    ]
    assert reader.ids == ["toolu_1", "toolu_4", "toolu_7"]


def test_the_caller_hears_its_own_name_of_the_tool() -> None:
    told = hear(calling(), 0, block=use("mcp__c__Skill"))
    assert told[0] == CallBegun(0, "toolu_1", "Skill")


@pytest.mark.parametrize("pieces", [[], [""], ["", ""]])
def test_arguments_that_never_came_are_an_empty_object(pieces: list[str]) -> None:
    assert hear(calling(), 0, *pieces)[1:] == [CallDelta(0, "{}")]
    bare = Block("tool_use", id="toolu_1", name="lookup")
    assert hear(calling(), 0, *pieces, block=bare)[1:] == [CallDelta(0, "{}")]


def test_arguments_of_a_message_that_was_not_streamed_are_told_at_once() -> None:
    given = '{"a": 1.0, "b": "\u2028é"}'
    assert hear(calling(), 0, block=use(given=given))[1:] == [CallDelta(0, given)]


def test_what_was_streamed_is_not_told_again() -> None:
    assert hear(calling(), 0, '{"a":', "1}", block=use(given='{"a":1}'))[1:] == [
        CallDelta(0, '{"a":'),
        CallDelta(0, "1}"),
    ]


@pytest.mark.parametrize("name", ["rm", "Skill", "mcp__c__lookup", "LOOKUP", "lookup ", ""])
def test_a_call_of_a_tool_that_nobody_offered_is_not_told(name: str) -> None:
    reader = calling()
    assert hear(reader, 0, '{"a"', ":1}", block=use(name)) == []
    assert (reader.ids, reader.is_broken, reader.has_stray) == ([], False, True)


def test_a_call_that_the_cli_sees_to_is_no_stray() -> None:
    reader = calling()
    reader.served = frozenset({"lookup", "mcp__files__read", "Bash"})
    assert hear(reader, 0, "not even JSON", block=use("mcp__files__read")) == []
    assert (reader.has_stray, reader.is_broken) == (False, False)
    hear(reader, 1, block=use("mcp__files__write"))
    assert reader.has_stray


def test_the_pieces_of_others_are_nobody_s() -> None:
    reader = calling()
    reader.on_start(use(), 1)
    assert reader.on_delta(0, "x") == reader.on_delta(2, "x") == []
    assert reader.on_stop(0) == reader.on_stop(2) == []
    assert reader.on_delta(1, "{}") == [CallDelta(0, "{}")]
    assert reader.on_stop(1) == []
    # It is complete: what comes after its end is not a part of it.
    assert reader.on_delta(1, "x") == []
    assert reader.on_stop(1) == []


def test_the_pieces_of_a_stray_are_not_taken_for_those_of_the_call_before() -> None:
    reader = calling()
    told = [*hear(reader, 0, "{}"), *hear(reader, 1, '{"a":1}', block=use("rm"))]
    assert told == [CallBegun(0, "toolu_0", "lookup"), CallDelta(0, "{}")]


@pytest.mark.parametrize(
    ("pieces", "is_broken"),
    [
        (["{}"], False),
        (['{"a"', ":1}"], False),
        ([], False),
        (['{"a":'], True),
        (["[1]"], True),
        (["nonsense"], True),
        (['{"a":1}', "}"], True),
    ],
)
def test_arguments_that_are_no_object_break_the_answer(pieces: list[str], is_broken: bool) -> None:
    reader = calling()
    told = hear(reader, 0, *pieces)
    assert reader.is_broken is is_broken
    # They are told as they are all the same.
    assert [event.fragment for event in told if isinstance(event, CallDelta)] == (pieces or ["{}"])
    # One that is broken is enough.
    hear(reader, 1, "{}")
    assert reader.is_broken is is_broken


PIECES = st.lists(st.text(max_size=4), max_size=5)
BLOCKS = st.lists(st.tuples(st.sampled_from(["lookup", "rm", "Bash"]), PIECES), max_size=5)


@given(BLOCKS)
def test_of_any_blocks_those_that_were_offered_are_told_whole(
    blocks: list[tuple[str, list[str]]],
) -> None:
    reader = calling()
    reader.served = frozenset({"Bash"})
    told: list[Event] = []
    for index, (name, pieces) in enumerate(blocks):
        told += hear(reader, index, *pieces, block=use(name, f"toolu_{index}"))
    offered = [(at, pieces) for at, (name, pieces) in enumerate(blocks) if name == "lookup"]
    assert reader.ids == [f"toolu_{at}" for at, _ in offered]
    assert [event.id for event in told if isinstance(event, CallBegun)] == reader.ids
    for number, (_, pieces) in enumerate(offered):
        said = [e.fragment for e in told if isinstance(e, CallDelta) and e.index == number]
        assert "".join(said) == ("".join(pieces) or "{}")
        assert "" not in said
    assert reader.has_stray == any(name == "rm" for name, _ in blocks)
