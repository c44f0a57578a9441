"""What is still to be written for the running turn, and what must be heard before.

What may live here: the list of steps and where we are in it; which frames answer our message and
which another. What is in the steps is ``claim``'s and ``messages``'.
"""

from collections.abc import Iterable

from ocpd.claude.messages import Step


class Script:
    """The steps of one turn. ``awaits`` is the uuid of the message whose result must come,
    ``rewinds_left`` how many answers to rewinds, ``awaits_end`` that the turn before must end,
    ``awaits_answer`` the request that must be answered."""

    def __init__(self) -> None:
        self.awaits = ""
        self.rewinds_left = 0
        self.awaits_end = False
        self.awaits_answer = ""
        self._steps: list[Step] = []
        self._hears_ours = True

    def begin(self, steps: Iterable[Step]) -> None:
        """Have these to write."""
        self._steps = list(steps)

    @property
    def is_last(self) -> bool:
        """Whether nothing is left to write."""
        return not self._steps

    def clear(self) -> None:
        """Write nothing more."""
        self._steps.clear()

    def take(self) -> Step:
        """Return the next step; what it awaits is awaited from now on."""
        step = self._steps.pop(0)
        self._hears_ours = True
        self.rewinds_left, self.awaits_end = step.rewinds, step.ends
        self.awaits_answer = step.asks
        if not step.ends:
            self.awaits = "" if step.said is None else step.said.uuid
        return step

    def is_ours(self, uuids: list[str]) -> bool:
        """Whether a frame that names these messages, or none, belongs to our turn. Only the first
        event of a message names its turn; the others follow it."""
        if uuids:
            self._hears_ours = self.awaits in uuids
        return self._hears_ours

    def end_turn(self) -> None:
        """A turn has ended, ours or not: what follows must not be taken for a part of it."""
        self._hears_ours = True
