"""How often an address guessed a key wrong, and until when it is not heard.

What may live here: the table and its decisions, as pure functions of a clock that others read.
Nobody is made to wait in here: who guesses too often is told when to come again.
"""

import ipaddress
from collections import OrderedDict

import msgspec

FREE = 10
"""Wrong keys within WINDOW_S that cost nothing."""

WINDOW_S = 60.0
LONGEST_S = 60
FORGET_S = 600.0
"""How long after its last wrong key an address is as good as new."""

MOST_ADDRESSES = 4096
MOST_TRUSTED = 1024


class _Record(msgspec.Struct):
    times: list[float] = []
    strikes: int = 0
    blocked_until: float = 0.0
    last: float = 0.0


class GuessStatistics(msgspec.Struct, frozen=True):
    """What is remembered now."""

    addresses: int
    trusted: int


class Guesses:
    """Wrong keys by address. ``now`` is any clock that never jumps, in seconds.

    A key that was right from an address before goes on to be right there while the address is
    blocked: a program that was left with an old key must not lock out its neighbours.
    """

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._trusted: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def __repr__(self) -> str:
        return f"Guesses({self.statistics()})"

    def statistics(self) -> GuessStatistics:
        """Count what is here."""
        return GuessStatistics(len(self._records), len(self._trusted))

    def wait_s(self, address: str, digest: bytes, now: float) -> int:
        """Return for how many whole seconds no key from ``address`` is looked at; 0: look."""
        record = self._records.get(_group(address))
        if record is None or record.blocked_until <= now:
            return 0
        if (_group(address), digest) in self._trusted:
            return 0
        return max(1, int(-(-(record.blocked_until - now) // 1)))

    def note_right(self, address: str, digest: bytes) -> None:
        """Note that a key was right."""
        held = (_group(address), digest)
        self._trusted[held] = None
        self._trusted.move_to_end(held)
        if len(self._trusted) > MOST_TRUSTED:
            self._trusted.popitem(last=False)

    def note_wrong(self, address: str, digest: bytes, now: float) -> None:
        """Note that a key was wrong; after too many of them the address is blocked, each time
        for twice as long."""
        group = _group(address)
        self._trusted.pop((group, digest), None)
        record = self._records.pop(group, None)
        if record is None or now - record.last > FORGET_S:
            record = _Record()
        # The newest last: whoever guesses must not push out the others.
        self._records[group] = record
        record.last = now
        lately = [at for at in record.times if now - at < WINDOW_S]
        record.times = [*lately[1 - FREE :], now]
        # Whoever was blocked once has no more free ones until he is forgotten.
        if len(record.times) >= FREE or record.strikes:
            record.blocked_until = now + min(LONGEST_S, 2**record.strikes)
            record.strikes = min(record.strikes + 1, 8)
        if len(self._records) > MOST_ADDRESSES:
            self._records.popitem(last=False)


def _group(address: str) -> str:
    """The part of an address that its holder cannot change at will: of IPv6 the network."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
    except ValueError:
        return address
