"""The books: every Outcome is opened and closed here, and counted once.

What may live here: counting and the log line of a turn's end. Later rooms that keep outcomes
(usage, metrics) hear of them through ``on_close``.
"""

import logging
from collections import deque
from collections.abc import Callable

import msgspec

from ocpd.aio import steady_clock, wall_clock
from ocpd.errors import OcpdError
from ocpd.turn.outcome import Outcome, TurnState
from ocpd.turn.request import Turn

_log = logging.getLogger("ocpd.turn")

RECENT_ERRORS = 20


class ErrorNote(msgspec.Struct, frozen=True):
    """One failure, for /health: epoch seconds and what the caller was told."""

    time: float
    message: str


class LedgerStatistics(msgspec.Struct, frozen=True):
    """Counts since the start, and ``active`` now. ``attempts`` exceeds requests by the retries."""

    total: int
    active: int
    finished: int
    failed: int
    cancelled: int
    refused: int
    timeouts: int
    attempts: int


class Ledger:
    """Opens and closes outcomes."""

    def __init__(self, on_close: Callable[[Outcome], None]) -> None:
        self._on_close = on_close
        self._total = 0
        self._attempts = 0
        self._timeouts = 0
        self._ended = dict.fromkeys(TurnState, 0)
        self._recent: deque[ErrorNote] = deque(maxlen=RECENT_ERRORS)

    def open(self, turn: Turn, dialect: str) -> Outcome:
        """Begin the record of one accepted request. ``close`` must follow."""
        self._total += 1
        return Outcome(turn_id=turn.id, dialect=dialect, model=turn.model, opened_at=steady_clock())

    def close(self, outcome: Outcome, state: TurnState, error: OcpdError | None = None) -> None:
        """End the record in ``state``. Closing twice is a bug and raises ValueError."""
        outcome.move(state)
        outcome.error = error
        outcome.closed_at = steady_clock()
        self._ended[state] += 1
        self._attempts += len(outcome.attempts)
        if error is not None:
            self._timeouts += error.status == 504
            self._recent.append(ErrorNote(wall_clock(), tell_safely(error)))
        self._write(outcome)
        self._on_close(outcome)

    def recent_errors(self) -> list[ErrorNote]:
        """The newest failures, oldest first."""
        return list(self._recent)

    def statistics(self) -> LedgerStatistics:
        """Return the counts of this moment."""
        return LedgerStatistics(
            total=self._total,
            active=self._total - sum(self._ended.values()),
            finished=self._ended[TurnState.FINISHED],
            failed=self._ended[TurnState.FAILED],
            cancelled=self._ended[TurnState.CANCELLED],
            refused=self._ended[TurnState.REFUSED],
            timeouts=self._timeouts,
            attempts=self._attempts,
        )

    def _write(self, outcome: Outcome) -> None:
        first = next((a.first_event_at for a in outcome.attempts if a.first_event_at), None)
        fields: dict[str, object] = {
            "turn": outcome.turn_id,
            "model": outcome.model,
            "dialect": outcome.dialect,
            "attempts": len(outcome.attempts),
            "source": outcome.attempts[-1].source if outcome.attempts else "",
            "queued_ms": _span_ms(outcome.opened_at, outcome.admitted_at),
            "first_event_ms": _span_ms(outcome.opened_at, first),
            "total_ms": _span_ms(outcome.opened_at, outcome.closed_at),
            "prompt_tokens": outcome.usage.prompt_tokens,
            "cached_tokens": outcome.usage.cache_read_tokens,
            "completion_tokens": outcome.usage.output_tokens,
            "cost_usd": round(outcome.cost_usd, 6),
        }
        if outcome.error is not None:
            fields |= {
                "status": outcome.error.status,
                "code": outcome.error.code,
                "error": tell_safely(outcome.error),
                "detail": outcome.error.detail,
            }
        level = logging.WARNING if outcome.error is not None else logging.INFO
        _log.log(level, "turn_%s", outcome.state.value, extra=fields)


def tell_safely(error: OcpdError) -> str:
    """Return what the log and /health may say of ``error``: no word that may be a caller's."""
    if error.quotes:
        return f"the upstream's failure {error.status} ({error.code})"
    return error.message


def _span_ms(start: float, end: float | None) -> float | None:
    return None if end is None else round((end - start) * 1000, 1)
