"""How much was used lately: sums over stretches of time, in memory that does not grow.

What may live here: what is counted, over which periods, and the buckets it is counted in. Which sum
is too much is decided in ``quota``. Clocks are arguments: epoch seconds.

A day is UTC's. A minute, a week and a month roll; they end at the end of a bucket (a second, an
hour), so that a bucket is never forgotten before all of it is old enough.
"""

from array import array

import msgspec

WHATS = ("requests", "input_tokens", "output_tokens", "tokens", "cost")
PERIODS = ("minute", "daily", "weekly", "monthly", "lifetime")

DAY_S = 86_400

_HOUR_S = 3_600
# Longer than any clock will tell.
_FOREVER_S = 10**15

_SHAPES: dict[str, tuple[int, int]] = {
    "minute": (1, 61),
    "daily": (DAY_S, 1),
    "weekly": (_HOUR_S, 7 * 24 + 1),
    "monthly": (_HOUR_S, 30 * 24 + 1),
    "lifetime": (_FOREVER_S, 1),
}
"""Width of a bucket in seconds, and how many there are."""

_SPANS_S = {"minute": 60, "weekly": 7 * DAY_S, "monthly": 30 * DAY_S}


class Spent(msgspec.Struct, frozen=True):
    """What one turn, or several, used. ``cost`` is US dollars."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def amounts(self) -> tuple[float, ...]:
        """The same in the order of WHATS."""
        tokens = self.input_tokens + self.output_tokens
        return self.requests, self.input_tokens, self.output_tokens, tokens, self.cost


NOTHING = (0.0,) * len(WHATS)


class Entry(msgspec.Struct, frozen=True):
    """What was used at one moment of the past."""

    at: float
    spent: Spent


def begin_of(period: str, now: float) -> float:
    """Return when ``period`` began: a day is UTC's, the others roll, a lifetime began at 0."""
    if period == "daily":
        return now - now % DAY_S
    if period in _SPANS_S:
        return now - _SPANS_S[period]
    return 0.0


def reach_of(period: str, now: float) -> float:
    """Return from when on a ``Window`` of ``period`` needs what was used: its oldest bucket."""
    width, count = _SHAPES[period]
    return float(max(0, (int(now // width) - count + 1) * width))


class Window:
    """What was used in one period: a ring of buckets and their sums."""

    def __init__(self, period: str) -> None:
        self._width, self._count = _SHAPES[period]
        self._newest = 0
        self._cells = tuple(array("d", bytes(8 * self._count)) for _ in WHATS)
        self._sums = list(NOTHING)

    def __repr__(self) -> str:
        told = ", ".join(
            f"{what} {used:g}" for what, used in zip(WHATS, self._sums, strict=True) if used
        )
        return f"Window({told})"

    def add(self, at: float, amounts: tuple[float, ...], sign: int = 1) -> None:
        """Count ``amounts``, in the order of WHATS, at ``at``; -1 takes them back. What is older
        than the window is left out."""
        index = int(at // self._width)
        if index > self._newest:
            self._move(index)
        if index <= self._newest - self._count:
            return
        slot = index % self._count
        for place, amount in enumerate(amounts):
            self._cells[place][slot] += sign * amount
            self._sums[place] += sign * amount

    def advance(self, now: float) -> None:
        """Forget what is too old at ``now``."""
        self._move(int(now // self._width))

    def used(self, place: int) -> float:
        """Return the sum of WHATS[place], as of ``advance``."""
        return self._sums[place]

    def frees_at(self, place: int, excess: float) -> float | None:
        """Return when more than ``excess`` of what is used will have left; None is never."""
        left = 0.0
        for index in range(self._newest - self._count + 1, self._newest + 1):
            left += self._cells[place][index % self._count]
            if left > excess:
                return self._end_of(index)
        return None

    def clears_at(self, place: int) -> float | None:
        """Return when nothing of what is used will be left; None is never, or now."""
        for index in range(self._newest, self._newest - self._count, -1):
            if self._cells[place][index % self._count]:
                return self._end_of(index)
        return None

    def _end_of(self, index: int) -> float | None:
        if self._width == _FOREVER_S:
            return None
        return float((index + self._count) * self._width)

    def _move(self, index: int) -> None:
        """Make ``index`` the newest bucket."""
        if index == self._newest:
            return
        if index < self._newest:
            # The clock was set back. What lies in the future now counts as of this moment: it must
            # neither be forgotten nor stay for ever.
            self._collapse(index)
            return
        for old in range(self._newest + 1, min(index, self._newest + self._count) + 1):
            for cells in self._cells:
                cells[old % self._count] = 0.0
        self._newest = index
        # Anew, so that rounding does not add up.
        self._sums = [sum(cells) for cells in self._cells]

    def _collapse(self, index: int) -> None:
        for place, cells in enumerate(self._cells):
            cells[:] = array("d", bytes(8 * self._count))
            cells[index % self._count] = self._sums[place]
        self._newest = index
