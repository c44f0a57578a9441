"""State machines are tables, whole ones: every pair is a move or a refusal, no third outcome."""

import enum
import itertools

import pytest

from ocpd.claude import lifecycle
from ocpd.daemon import state as daemon
from ocpd.http import exchange, phase
from ocpd.turn import outcome
from ocpd.turn.request import TurnId

CHILD = {
    state: frozenset(end for (start, _), end in lifecycle.TABLE.items() if start is state)
    for state in lifecycle.State
}

TABLES = {
    "child": CHILD,
    "turn": outcome.MOVES,
    "daemon": daemon.MOVES,
    "connection": phase.MOVES,
    "exchange": exchange.MOVES,
}

ENDS = {
    "child": {lifecycle.State.GONE},
    "turn": {
        outcome.TurnState.FINISHED,
        outcome.TurnState.FAILED,
        outcome.TurnState.CANCELLED,
        outcome.TurnState.REFUSED,
    },
    "daemon": {daemon.State.STOPPED},
    "connection": {phase.Phase.CLOSED},
    "exchange": {exchange.State.DONE, exchange.State.BROKEN},
}

# A connection is idle only between two requests, so it begins one move further.
STARTS = {"connection": phase.Phase.FRESH}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_has_its_row(name):
    table = TABLES[name]
    states = set(type(next(iter(table))))
    assert set(table) == states
    assert all(ends <= states for ends in table.values())


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached_and_every_way_ends(name):
    table = TABLES[name]
    start = STARTS.get(name, next(iter(table)))
    assert _reach(table, start) == set(table)
    for state in table:
        assert _reach(table, state) & ENDS[name]
    assert {state for state in table if not table[state]} == ENDS[name]


def _reach(table: dict[enum.Enum, frozenset[enum.Enum]], start: enum.Enum) -> set[enum.Enum]:
    seen, coming = set(), [start]
    while coming:
        state = coming.pop()
        if state not in seen:
            seen.add(state)
            coming += table[state]
    return seen


def test_a_child_moves_by_its_table_or_not_at_all():
    used = set()
    for state, trigger in itertools.product(lifecycle.State, lifecycle.Trigger):
        if (state, trigger) in lifecycle.TABLE:
            assert lifecycle.next_state(state, trigger) is lifecycle.TABLE[state, trigger]
            used.add(trigger)
        else:
            with pytest.raises(lifecycle.IllegalMove, match=f"{trigger.name} while {state.name}"):
                lifecycle.next_state(state, trigger)
    assert used == set(lifecycle.Trigger)


def test_a_turn_moves_by_its_table_or_not_at_all():
    for start, end in itertools.product(outcome.TurnState, repeat=2):
        turn = outcome.Outcome(
            turn_id=TurnId("0"), dialect="any", model="any", opened_at=0.0, state=start
        )
        assert turn.is_open == (start not in ENDS["turn"])
        _walk(turn, end, allowed=end in outcome.MOVES[start])


def test_the_daemon_moves_by_its_table_or_not_at_all():
    for start, end in itertools.product(daemon.State, repeat=2):
        house = daemon.Daemon(None)
        house.state = start
        _walk(house, end, allowed=end in daemon.MOVES[start])


def _walk(machine: outcome.Outcome | daemon.Daemon, end: enum.Enum, *, allowed: bool) -> None:
    start = machine.state
    if allowed:
        machine.move(end)
        assert machine.state is end
    else:
        with pytest.raises(ValueError, match=f"cannot go from {start.name} to {end.name}"):
            machine.move(end)
        assert machine.state is start
