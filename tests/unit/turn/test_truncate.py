"""Too long a conversation loses its oldest messages, in steps, and never its newest request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.errors import BadRequest
from ocpd.turn.request import Message, Role, Turn
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
