"""Two tokens for counting: one Outcome per accepted request, one Attempt per run of a child.

What may live here: the turn's state machine as a table, and the two records every counter hangs
on. A refusal is an Outcome without an Attempt; a retry is one Outcome with two Attempts. Clocks
are arguments: seconds of a monotonic clock.
"""

import enum

import msgspec

from ocpd.errors import OcpdError
from ocpd.turn.caller import Caller
from ocpd.turn.events import Usage
from ocpd.turn.request import TurnId


class TurnState(enum.Enum):
    """Where a turn is."""

    QUEUED = "queued"
    ADMITTED = "admitted"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"


MOVES: dict[TurnState, frozenset[TurnState]] = {
    TurnState.QUEUED: frozenset({TurnState.ADMITTED, TurnState.REFUSED, TurnState.CANCELLED}),
    TurnState.ADMITTED: frozenset({TurnState.RUNNING, TurnState.FAILED, TurnState.CANCELLED}),
    TurnState.RUNNING: frozenset({TurnState.FINISHED, TurnState.FAILED, TurnState.CANCELLED}),
    TurnState.FINISHED: frozenset(),
    TurnState.FAILED: frozenset(),
    TurnState.CANCELLED: frozenset(),
    TurnState.REFUSED: frozenset(),
}


class Attempt(msgspec.Struct):
    """One lease of a child for one request; ``source`` is where it came from. Open until
    ``closed_at`` is set."""

    number: int
    child: int
    opened_at: float
    source: str = ""
    first_event_at: float | None = None
    closed_at: float | None = None


class Outcome(msgspec.Struct):
    """What became of one request; closed exactly once. ``asked_model`` is the model's name as the
    caller wrote it; lengths are in characters. ``has_spoken``: the model thought, or called a
    tool."""

    turn_id: TurnId
    dialect: str
    model: str
    opened_at: float
    caller: Caller = Caller()
    asked_model: str = ""
    stream: bool = False
    prompt_chars: int = 0
    response_chars: int = 0
    has_spoken: bool = False
    state: TurnState = TurnState.QUEUED
    admitted_at: float | None = None
    closed_at: float | None = None
    error: OcpdError | None = None
    usage: Usage = Usage()
    cost_usd: float = 0.0
    attempts: list[Attempt] = msgspec.field(default_factory=list)

    def move(self, state: TurnState) -> None:
        """Go to ``state``; raises ``ValueError`` for a move the table does not have."""
        if state not in MOVES[self.state]:
            raise ValueError(f"a turn cannot go from {self.state.name} to {state.name}")
        self.state = state

    @property
    def is_open(self) -> bool:
        """Whether the request still waits for its end."""
        return bool(MOVES[self.state])

    def open_attempt(self, child: int, now: float, source: str = "") -> Attempt:
        """Record that ``child`` now works on this request."""
        attempt = Attempt(len(self.attempts) + 1, child, now, source)
        self.attempts.append(attempt)
        return attempt
