"""Times as the file keeps them: whole milliseconds since the epoch.

What may live here: the way there and back. One unit and integers, so that comparing two times in
SQL compares times.
"""

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SECOND_MS = 1_000


def to_ms(at: float) -> int:
    """Seconds to milliseconds. Raises ValueError or OverflowError for what is no time."""
    return round(at * SECOND_MS)


def maybe_ms(at: float | None) -> int | None:
    """``to_ms``, or None for None."""
    return None if at is None else to_ms(at)


def from_ms(at_ms: int) -> float:
    """Milliseconds to seconds."""
    return at_ms / SECOND_MS


def maybe_from_ms(at_ms: int | None) -> float | None:
    """``from_ms``, or None for None."""
    return None if at_ms is None else from_ms(at_ms)


def day_of(at_ms: int) -> int:
    """The start of the UTC day that ``at_ms`` lies in."""
    return at_ms - at_ms % DAY_MS
