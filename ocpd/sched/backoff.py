"""When to try again after failures in a row.

What may live here: one doubling delay; the clock is an argument.
"""


class Backoff:
    """Doubles from ``first_s`` to ``most_s`` with each failure in a row."""

    def __init__(self, first_s: float = 0.5, most_s: float = 60.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._failures = 0
        self._until = 0.0

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    def fail(self, now: float) -> None:
        """Count a failure; ``ready_at`` moves into the future."""
        self._failures += 1
        # The exponent is bounded too: a crash loop may run for weeks.
        delay_s = min(self._most_s, self._first_s * 2 ** min(self._failures - 1, 20))
        self._until = now + delay_s

    def succeed(self) -> None:
        """Forget all failures."""
        self._failures, self._until = 0, 0.0

    def ready_at(self) -> float:
        """The earliest time of the next try."""
        return self._until
