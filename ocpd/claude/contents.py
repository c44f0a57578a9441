"""What a process holds: the messages it got, the limits in force, and what it has cost.

What may live here: that record, and what to write to change it. When to is ``session``'s.
"""

from ocpd.claude.claim import write_rewinds
from ocpd.claude.limits import Applied, write_limits
from ocpd.claude.messages import Said, Step


class Contents:
    """The record of one process. ``is_signed``: the thinking before the calls of the user's last
    request is there, as it came."""

    def __init__(self) -> None:
        self.is_signed = True
        self._said: list[Said] = []
        self._applied = Applied()
        self._cost_usd = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether it holds no message."""
        return not self._said

    def add(self, said: Said) -> None:
        """It gets a message."""
        self._said.append(said)

    def forget(self, uuid: str) -> None:
        """A message did not reach it after all."""
        self._said = [said for said in self._said if said.uuid != uuid]

    def take_back(self, keep: int) -> list[Step]:
        """Return the steps after which it has the first ``keep`` messages only. Nothing of an empty
        conversation may stay: not even a message that we invented."""
        surplus = [said for said in self._said if keep == 0 or said.position >= keep]
        self._said = self._said[: len(self._said) - len(surplus)]
        return [write_rewinds(surplus)] if surplus else []

    def limit(self, wanted: Applied) -> bytes:
        """Return the frames that put ``wanted`` in force."""
        frames = write_limits(wanted, self._applied)
        self._applied = wanted
        return frames

    def can_limit_at_once(self, wanted: Applied) -> bool:
        """Whether that holds also for a turn of the CLI's that has begun."""
        return self._applied.holds_at_once(wanted)

    def charge(self, total_usd: float) -> float:
        """Return what came on top since it was asked last; the CLI tells what the process has
        cost in all."""
        spent = max(0.0, total_usd - self._cost_usd)
        self._cost_usd = max(self._cost_usd, total_usd)
        return spent
