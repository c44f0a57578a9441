"""A child moves by the table and in no other way."""

import itertools

import pytest

from ocpd.claude.lifecycle import TABLE, IllegalMove, State, Trigger, next_state


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(State, Trigger)))
def test_every_pair_is_a_move_or_a_refusal(state: State, trigger: Trigger) -> None:
    if (state, trigger) in TABLE:
        assert next_state(state, trigger) is TABLE[state, trigger]
    else:
        with pytest.raises(IllegalMove, match=f"{trigger.name} while {state.name}"):
            next_state(state, trigger)


def test_a_turn_goes_from_parked_to_resting() -> None:
    state = State.PARKED
    for trigger in (Trigger.CLAIM, Trigger.ASK, Trigger.SETTLE):
        state = next_state(state, trigger)
    assert state is State.RESTING


def test_any_living_child_can_exit_and_none_comes_back() -> None:
    for state in State:
        assert ((state, Trigger.EXIT) in TABLE) == (state is not State.GONE)
    assert not [move for move in TABLE if move[0] is State.GONE]


def test_a_child_that_stops_can_only_exit() -> None:
    assert [trigger for state, trigger in TABLE if state is State.STOPPING] == [Trigger.EXIT]


def test_only_a_parked_child_can_be_claimed() -> None:
    assert [state for state, trigger in TABLE if trigger is Trigger.CLAIM] == [State.PARKED]


def test_every_state_can_be_reached_and_every_trigger_is_used() -> None:
    assert {State.PARKED, *TABLE.values()} == set(State)
    assert {trigger for _, trigger in TABLE} == set(Trigger)
