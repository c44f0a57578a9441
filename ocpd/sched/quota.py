"""Who has used up what he may: limits, reservations, and the judgement over both.

What may live here: the pure decision. Where limits and past usage come from, and what a denial is
called on the wire, is the business of ``dispatch.gate``. Every operation is synchronous, so that no
two turns can take the same last place. Clocks are arguments: epoch seconds.

A turn is admitted while what is used and what the open reservations set aside is under the limit.
Requests are exact by that. Of tokens and cost nobody knows beforehand how much a turn will use: so
they overshoot, by at most one turn for each that runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NewType

import msgspec

from ocpd.sched.windows import NOTHING, PERIODS, WHATS, Entry, Spent, Window

AccountId = NewType("AccountId", str)
"""Whose usage is counted together."""

STREAMS, AT_ONCE = "streams", "at_once"
"""A limit of its own: turns of one key at once, streaming or not, those that wait included."""

CHARS_PER_TOKEN = 4
MOST_RESERVED = 4_096
"""Tokens of an answer that are set aside at most, and if the caller names no number."""

_REQUESTS = WHATS.index("requests")
_ONE_REQUEST = Spent(requests=1).amounts


class Limit(msgspec.Struct, frozen=True):
    """At most ``amount`` of ``what`` in ``period``: US dollars for cost, else a count. 0 blocks."""

    what: str
    period: str
    amount: int | float


class Denial(msgspec.Struct, frozen=True):
    """Why not: ``limit`` is reached by ``used``, of which ``reserved`` is set aside for turns that
    still run. ``resets_at`` is when there is room again if nothing else is used, None: never.
    ``waits_for_turns``: not before one of those turns ends."""

    limit: Limit
    used: float
    reserved: float
    resets_at: float | None
    waits_for_turns: bool


class Standing(msgspec.Struct, frozen=True):
    """How far a limit is from being reached; ``clears_at`` is when all of it is there again, None:
    never, or it is now."""

    limit: Limit
    remaining: float
    clears_at: float | None


class Reservation:
    """One turn's share, from its admission to its end. ``settle`` or ``release`` ends it; what
    comes after that changes nothing."""

    __slots__ = ("account", "amounts", "at", "is_open")

    def __init__(self, account: AccountId, amounts: tuple[float, ...], at: float) -> None:
        self.account = account
        self.amounts = amounts
        self.at = at
        self.is_open = True


class _Account:
    """``open`` are the reservations, ``reserved`` their sum in the order of WHATS; ``expected`` are
    the periods whose windows do not know the past yet."""

    __slots__ = ("expected", "open", "reserved", "windows")

    def __init__(self) -> None:
        self.windows: dict[str, Window] = {}
        self.expected: set[str] = set()
        self.open: set[Reservation] = set()
        self.reserved: list[float] = list(NOTHING)


class Meter:
    """What every account used and has set aside.

    A period must be known before it can be judged: ``missing`` names those that are not, ``expect``
    begins to count them, ``recall`` adds what was before.
    """

    def __init__(self) -> None:
        self._accounts: dict[AccountId, _Account] = {}
        self._tokens = 0.0
        self._cost = 0.0

    def __repr__(self) -> str:
        running = sum(len(account.open) for account in self._accounts.values())
        return f"Meter({len(self._accounts)} accounts, {running} open)"

    # What is known.

    def missing(self, account: AccountId, limits: Iterable[Limit]) -> tuple[str, ...]:
        """Return the periods of ``limits`` that cannot be judged yet."""
        wanted = dict.fromkeys(limit.period for limit in limits if limit.what != STREAMS)
        known = self._accounts.get(account)
        if known is None:
            return tuple(wanted)
        ready = known.windows.keys() - known.expected
        return tuple(period for period in wanted if period not in ready)

    def expect(self, account: AccountId, periods: Iterable[str]) -> None:
        """Count what is used in ``periods`` from now on. ``recall`` or ``forget`` follows."""
        known = self._accounts.setdefault(account, _Account())
        for period in periods:
            window = known.windows[period] = Window(period)
            known.expected.add(period)
            if period == "minute":
                for reservation in known.open:
                    window.add(reservation.at, _ONE_REQUEST)

    def recall(self, account: AccountId, history: Mapping[str, Sequence[Entry]]) -> None:
        """Add what was used in each period before it was expected; now it can be judged."""
        known = self._accounts.get(account)
        if known is None:
            return
        for period, entries in history.items():
            if (window := known.windows.get(period)) is not None:
                known.expected.discard(period)
                for entry in entries:
                    window.add(entry.at, entry.spent.amounts)
                    # Of several periods more than once, which changes no average.
                    self.learn(entry.spent)

    def forget(self, account: AccountId, periods: Iterable[str] = PERIODS) -> None:
        """Know nothing of these periods any more; what is set aside stays."""
        known = self._accounts.get(account)
        if known is not None:
            for period in periods:
                known.windows.pop(period, None)
                known.expected.discard(period)
            self._drop_idle(account)

    def forget_all(self) -> None:
        """Know nothing of anybody's past any more; what is set aside stays."""
        for account in tuple(self._accounts):
            self.forget(account)

    # One turn.

    def reserve(
        self, account: AccountId, limits: Sequence[Limit], estimate: Spent, now: float
    ) -> Reservation | Denial:
        """Admit one turn that may use ``estimate``, or say which limit it would have to wait for
        longest. No period of ``limits`` may be missing."""
        known = self._accounts.setdefault(account, _Account())
        for period in known.windows.keys() - {limit.period for limit in limits}:
            del known.windows[period]
            known.expected.discard(period)
        denials = [d for limit in limits if (d := _judge(known, limit, now)) is not None]
        if denials:
            return max(denials, key=_length_of)
        reservation = Reservation(account, estimate.amounts, now)
        known.open.add(reservation)
        for place, amount in enumerate(reservation.amounts):
            known.reserved[place] += amount
        if (minute := known.windows.get("minute")) is not None:
            # A burst is one of beginnings: how long each turn takes has nothing to do with it.
            minute.add(now, _ONE_REQUEST)
        return reservation

    def settle(self, reservation: Reservation, used: Spent, now: float) -> None:
        """End a turn that counts, with what it really used."""
        known = self._close(reservation)
        if known is None:
            return
        amounts = used.amounts
        for period, window in known.windows.items():
            window.advance(now)
            window.add(now, (0.0, *amounts[1:]) if period == "minute" else amounts)
        self._drop_idle(reservation.account)

    def release(self, reservation: Reservation) -> None:
        """End a turn that does not count."""
        known = self._close(reservation)
        if known is None:
            return
        if (minute := known.windows.get("minute")) is not None:
            minute.add(reservation.at, _ONE_REQUEST, -1)
        self._drop_idle(reservation.account)

    def estimate(self, chars: int, max_tokens: int | None) -> Spent:
        """Guess what a turn with a prompt of ``chars`` will use. A token costs what it has cost on
        average until now."""
        asked = chars // CHARS_PER_TOKEN
        answered = min(max_tokens or MOST_RESERVED, MOST_RESERVED)
        return Spent(1, asked, answered, self.price(asked + answered))

    def learn(self, used: Spent) -> None:
        """Note what a turn used, and what it cost."""
        self._tokens += used.input_tokens + used.output_tokens
        self._cost += used.cost

    def price(self, tokens: int) -> float:
        """Return what ``tokens`` cost by the average of all that was learned, in US dollars."""
        return tokens * self._cost / self._tokens if self._tokens else 0.0

    def stand(
        self, account: AccountId, limits: Iterable[Limit], whats: Iterable[str], now: float
    ) -> Standing | None:
        """Return how the limit of one of ``whats`` stands that is nearest to being reached."""
        known = self._accounts.get(account)
        if known is None:
            return None
        found = [
            _stand(known, known.windows[limit.period], limit, now)
            for limit in limits
            if limit.what in whats and limit.period in known.windows
        ]
        return min(found, key=lambda standing: standing.remaining, default=None)

    def _close(self, reservation: Reservation) -> _Account | None:
        known = self._accounts.get(reservation.account)
        if not reservation.is_open or known is None:
            return None
        reservation.is_open = False
        known.open.discard(reservation)
        for place, amount in enumerate(reservation.amounts):
            # All is given back: then it is nothing, whatever rounding says.
            known.reserved[place] = known.reserved[place] - amount if known.open else 0.0
        return known

    def _drop_idle(self, account: AccountId) -> None:
        known = self._accounts[account]
        if not known.open and not known.windows:
            del self._accounts[account]


def _judge(known: _Account, limit: Limit, now: float) -> Denial | None:
    if limit.what == STREAMS:
        running = len(known.open)
        if running < limit.amount:
            return None
        return Denial(limit, running, running, None, waits_for_turns=limit.amount > 0)
    window, place = known.windows[limit.period], WHATS.index(limit.what)
    window.advance(now)
    reserved = _reserved(known, limit)
    used = window.used(place) + reserved
    if used < limit.amount:
        return None
    waits = reserved >= limit.amount > 0
    resets_at = None if waits else window.frees_at(place, used - limit.amount)
    return Denial(limit, used, reserved, resets_at, waits)


def _reserved(known: _Account, limit: Limit) -> float:
    place = WHATS.index(limit.what)
    # These are in the window from the beginning.
    is_counted = place == _REQUESTS and limit.period == "minute"
    return 0.0 if is_counted else known.reserved[place]


def _stand(known: _Account, window: Window, limit: Limit, now: float) -> Standing:
    place = WHATS.index(limit.what)
    window.advance(now)
    used = window.used(place) + _reserved(known, limit)
    return Standing(limit, max(0.0, limit.amount - used), window.clears_at(place))


def _length_of(denial: Denial) -> float:
    if denial.waits_for_turns:
        return 0.0
    return float("inf") if denial.resets_at is None else denial.resets_at
