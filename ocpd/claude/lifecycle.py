"""The states of a child and the one table of moves between them.

Rule: everything that affects the state of a child lives in this table; ``Session`` asks it, the
pool reads it. docs/state-machines.md is drawn from it.
"""

import enum


class State(enum.Enum):
    """Where a child is."""

    PARKED = "parked"  # started, nothing said to it: it can become anybody's
    CLAIMED = "claimed"  # belongs to one turn: what comes before its prompt is under way
    BUSY = "busy"  # the prompt is out
    HOLDING = "holding"  # its calls wait for their results; it holds a conversation
    RESTING = "resting"  # the turn's result came: it holds a conversation, perhaps an empty one
    REWINDING = "rewinding"  # it is taking back a part of that
    STOPPING = "stopping"  # on its way out; whatever it says no longer counts
    GONE = "gone"  # the process has ended


class Trigger(enum.Enum):
    """What moves it."""

    CLAIM = "claim"
    ASK = "ask"
    HOLD = "hold"
    RESOLVE = "resolve"
    DROP = "drop"
    SETTLE = "settle"
    RESUME = "resume"
    REWIND = "rewind"
    STOP = "stop"
    EXIT = "exit"


class IllegalMove(RuntimeError):
    """A move the table does not have: a bug of ours, never the child's fault."""


TABLE: dict[tuple[State, Trigger], State] = {
    (State.PARKED, Trigger.CLAIM): State.CLAIMED,
    (State.CLAIMED, Trigger.ASK): State.BUSY,
    (State.BUSY, Trigger.SETTLE): State.RESTING,
    (State.BUSY, Trigger.HOLD): State.HOLDING,
    (State.HOLDING, Trigger.RESOLVE): State.BUSY,
    (State.HOLDING, Trigger.DROP): State.BUSY,
    (State.HOLDING, Trigger.RESUME): State.CLAIMED,
    (State.RESTING, Trigger.RESUME): State.CLAIMED,
    (State.RESTING, Trigger.REWIND): State.REWINDING,
    (State.REWINDING, Trigger.SETTLE): State.RESTING,
    (State.PARKED, Trigger.STOP): State.STOPPING,
    (State.CLAIMED, Trigger.STOP): State.STOPPING,
    (State.BUSY, Trigger.STOP): State.STOPPING,
    (State.HOLDING, Trigger.STOP): State.STOPPING,
    (State.RESTING, Trigger.STOP): State.STOPPING,
    (State.REWINDING, Trigger.STOP): State.STOPPING,
    (State.PARKED, Trigger.EXIT): State.GONE,
    (State.CLAIMED, Trigger.EXIT): State.GONE,
    (State.BUSY, Trigger.EXIT): State.GONE,
    (State.HOLDING, Trigger.EXIT): State.GONE,
    (State.RESTING, Trigger.EXIT): State.GONE,
    (State.REWINDING, Trigger.EXIT): State.GONE,
    (State.STOPPING, Trigger.EXIT): State.GONE,
}


def next_state(state: State, trigger: Trigger) -> State:
    """Look the move up. Raises IllegalMove."""
    try:
        return TABLE[state, trigger]
    except KeyError:
        raise IllegalMove(f"{trigger.name} while {state.name}") from None
