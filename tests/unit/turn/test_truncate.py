"""Too long a conversation loses its oldest messages, in steps, and never its newest request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.errors import BadRequest
from ocpd.turn.calls import calls_of, pair_calls
from ocpd.turn.request import (
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)
from ocpd.turn.truncate import count_chars, truncate
from tests.unit.claude.stage import ask, assistant, user


def talk(count: int, size: int = 10, system: str = "") -> Turn:
    """``count`` messages of ``size`` characters, the last one the user's."""
    kinds = (user, assistant)
    start = (count + 1) % 2
    return ask(*(kinds[(start + at) % 2]("x" * size) for at in range(count)), system=system)


def test_what_fits_is_left_alone() -> None:
    turn = talk(5)
    assert truncate(turn, 50, may_drop=True) is turn
    assert truncate(turn, None, may_drop=False) is turn


def test_the_oldest_go_until_the_rest_fits_and_the_rest_begins_with_the_user() -> None:
    left = truncate(talk(9), 60, may_drop=True)
    assert left.dropped == 4
    assert left.messages[0].role is Role.USER
    assert count_chars(left) == 50


def test_a_growing_conversation_keeps_its_beginning_for_several_turns() -> None:
    dropped = [truncate(talk(count), 400, may_drop=True).dropped for count in range(31, 81, 2)]
    assert dropped == sorted(dropped)
    assert len(set(dropped)) <= 6
    assert dropped[-1] > 0


def test_the_system_prompt_and_the_newest_request_always_stay() -> None:
    left = truncate(talk(5, system="s" * 20), 45, may_drop=True)
    assert left.system == "s" * 20
    assert len(left.messages) == 1
    with pytest.raises(BadRequest) as caught:
        truncate(talk(5, size=50), 45, may_drop=True)
    assert caught.value.code == "context_length_exceeded"


def test_nothing_is_left_out_if_that_is_switched_off() -> None:
    with pytest.raises(BadRequest, match="maxPromptChars") as caught:
        truncate(talk(9), 60, may_drop=False)
    assert (caught.value.status, caught.value.param) == (400, "messages")


SIZES = st.lists(st.tuples(st.booleans(), st.integers(1, 50)), min_size=1, max_size=30)


@given(SIZES, st.integers(1, 300))
def test_what_is_left_fits_and_is_the_end_of_what_was_there(
    sizes: list[tuple[bool, int]], budget: int
) -> None:
    said: list[Message] = [(user if mine else assistant)("x" * size) for mine, size in sizes]
    turn = ask(*said, user("last"), system="")
    try:
        left = truncate(turn, budget, may_drop=True)
    except BadRequest:
        return
    assert count_chars(left) <= budget
    assert left.messages == turn.messages[left.dropped :]
    assert left.dropped == 0 or left.messages[0].role is Role.USER


# With calls.


def calls(*sizes: int) -> Message:
    """An answer that calls once for each size, with arguments of that size."""
    told = (ToolUse(f"toolu_{at}", "lookup", "x" * size) for at, size in enumerate(sizes))
    return Message(Role.ASSISTANT, tuple(told))


def results(*sizes: int) -> Message:
    """What the tools answered, of those sizes."""
    told = (ToolResult(f"toolu_{at}", (Text("x" * size),)) for at, size in enumerate(sizes))
    return Message(Role.USER, tuple(told))


@pytest.mark.parametrize(
    ("part", "size"),
    [
        (Text("four"), 4),
        (ToolUse("toolu_1", "lookup", '{"a":1}'), 7),
        (ToolResult("toolu_1", (Text("four"), Image(data="eA=="), Text("two"))), 7),
        (ToolResult("toolu_1", ()), 0),
        (Reasoning("not counted"), 0),
    ],
)
def test_arguments_and_results_count_as_texts_do(part: Part, size: int) -> None:
    assert count_chars(ask(Message(Role.USER, (part,)), system="")) == size


def test_a_call_goes_with_its_results() -> None:
    said = (user("q" * 10), calls(10), results(10), assistant("a" * 10), user("q" * 10))
    for budget in range(10, 50):
        left = truncate(ask(*said, system=""), budget, may_drop=True)
        # After one request with all it led to, or before all of it.
        assert left.messages in (said[1:], said[4:])


def test_one_request_with_many_calls_loses_the_oldest_of_them() -> None:
    rounds = [message for _ in range(20) for message in (calls(5, 5), results(20, 20))]
    turn = ask(user("what are they?"), *rounds, system="")
    left = truncate(turn, 400, may_drop=True)
    assert count_chars(left) <= 400
    assert calls_of(left.messages[0])
    assert left.messages == turn.messages[left.dropped :]
    assert pair_calls(left) == left


def test_a_request_that_grows_by_a_call_each_turn_keeps_its_beginning_for_several() -> None:
    rounds = [message for _ in range(60) for message in (calls(5), results(20))]
    turns = [ask(user("q"), *rounds[: 2 * count], system="") for count in range(15, 60)]
    dropped = [truncate(turn, 400, may_drop=True).dropped for turn in turns]
    assert dropped == sorted(dropped)
    assert dropped[-1] > 0
    assert len(set(dropped)) <= 12


@pytest.mark.parametrize(
    "last",
    [
        [calls(10, 10), results(20, 20)],
        [calls(10), results(20), user("and?" * 5)],
        [calls(10), Message(Role.USER, (*results(20).parts, Text("and?" * 5)))],
        [user("q" * 40)],
    ],
)
def test_the_newest_message_stays_with_the_call_that_it_answers(last: list[Message]) -> None:
    turn = ask(user("q" * 30), assistant("a" * 30), *last, system="")
    size = count_chars(turn) - 60
    assert truncate(turn, size, may_drop=True).messages == tuple(last)
    with pytest.raises(BadRequest):
        truncate(turn, size - 1, may_drop=True)


def test_results_that_alone_are_too_long_are_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        truncate(ask(user("q"), calls(5), results(1_000), system=""), 500, may_drop=True)
    assert caught.value.code == "context_length_exceeded"


KINDS = st.lists(
    st.tuples(
        st.sampled_from(["user", "answer", "round", "round and text"]),
        st.lists(st.integers(0, 30), min_size=1, max_size=3),
    ),
    max_size=20,
)


def spell(kind: str, sizes: list[int]) -> list[Message]:
    if kind == "user":
        return [user("x" * sum(sizes) + "q")]
    if kind == "answer":
        return [assistant("x" * sum(sizes) + "a")]
    also = (Text("and?"),) if kind == "round and text" else ()
    return [calls(*sizes), Message(Role.USER, (*results(*sizes).parts, *also))]


@given(KINDS, st.integers(1, 300), st.booleans())
def test_however_much_goes_every_call_that_stays_has_its_result(
    kinds: list[tuple[str, list[int]]], budget: int, ends_with_results: bool
) -> None:
    said = [message for kind, sizes in kinds for message in spell(kind, sizes)]
    said += spell("round", [3]) if ends_with_results else [user("last")]
    turn = ask(*said, system="")
    try:
        left = truncate(turn, budget, may_drop=True)
    except BadRequest:
        return
    assert count_chars(left) <= budget
    assert left.messages == turn.messages[left.dropped :]
    assert left.messages[-1] == turn.messages[-1]
    # It would be refused if a result had lost its call, and completed if a call its result.
    assert pair_calls(left) == left
