"""Slows down whoever guesses keys, by address, at every door alike.

What may live here: the clock beside ``sched.guesses``, and the refusal.
"""

from collections.abc import Callable

from ocpd.aio import steady_clock
from ocpd.errors import Overloaded
from ocpd.sched.guesses import Guesses


class Sentry:
    """Asked before a key is looked at, and told whether it was right."""

    def __init__(self, clock: Callable[[], float] = steady_clock) -> None:
        self._clock = clock
        self._guesses = Guesses()

    def __repr__(self) -> str:
        return f"Sentry({self._guesses})"

    def check(self, address: str, digest: bytes) -> None:
        """Refuse a key of an address with too many wrong ones, unless it was right there before.
        Raises Overloaded (429)."""
        if wait_s := self._guesses.wait_s(address, digest, self._clock()):
            raise Overloaded(
                "too many wrong keys came from this address; keys are looked at again in"
                f" {wait_s} s",
                code="too_many_wrong_keys",
                retry_after_s=wait_s,
            )

    def note(self, address: str, digest: bytes, *, is_right: bool) -> None:
        """Remember what came of a key."""
        if is_right:
            self._guesses.note_right(address, digest)
        else:
            self._guesses.note_wrong(address, digest, self._clock())
