"""An outcome moves by the table, ends once, and numbers its attempts."""

import itertools

import pytest

from ocpd.turn.events import Usage
from ocpd.turn.outcome import MOVES, Attempt, Outcome, TurnState
from ocpd.turn.request import TurnId

ENDS = (TurnState.FINISHED, TurnState.FAILED, TurnState.CANCELLED, TurnState.REFUSED)


def open_outcome(state: TurnState = TurnState.QUEUED) -> Outcome:
    return Outcome(TurnId("0" * 32), "openai_chat", "opus", opened_at=1.0, state=state)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(TurnState, TurnState)))
def test_every_pair_is_a_move_or_a_refusal(old: TurnState, new: TurnState) -> None:
    outcome = open_outcome(old)
    if new in MOVES[old]:
        outcome.move(new)
        assert outcome.state is new
    else:
        with pytest.raises(ValueError, match=f"from {old.name} to {new.name}"):
            outcome.move(new)
        assert outcome.state is old


def test_the_table_knows_every_state() -> None:
    assert set(MOVES) == set(TurnState)
    assert {TurnState.QUEUED}.union(*MOVES.values()) == set(TurnState)


@pytest.mark.parametrize("state", TurnState)
def test_only_an_end_is_closed(state: TurnState) -> None:
    assert open_outcome(state).is_open is (state not in ENDS)


def test_a_turn_that_never_got_a_place_never_ran() -> None:
    assert TurnState.RUNNING not in MOVES[TurnState.QUEUED]
    assert TurnState.REFUSED not in MOVES[TurnState.ADMITTED] | MOVES[TurnState.RUNNING]


def test_a_new_outcome_has_used_nothing_and_tried_nothing() -> None:
    outcome = open_outcome()
    assert (outcome.usage, outcome.cost_usd, outcome.attempts) == (Usage(), 0.0, [])
    assert (outcome.error, outcome.admitted_at, outcome.closed_at) == (None, None, None)


def test_attempts_are_numbered_from_one_and_stay_open() -> None:
    outcome = open_outcome()
    assert outcome.open_attempt(7, 2.0) == Attempt(number=1, child=7, opened_at=2.0)
    assert outcome.open_attempt(9, 3.0).number == 2
    assert [attempt.closed_at for attempt in outcome.attempts] == [None, None]


def test_outcomes_share_no_attempts() -> None:
    one, other = open_outcome(), open_outcome()
    one.open_attempt(1, 1.0)
    assert other.attempts == []
