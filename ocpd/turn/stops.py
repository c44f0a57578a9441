"""Stop strings: the answer ends before the first of them, exactly.

What may live here: looking for texts in a text that comes in pieces.
"""

from collections.abc import Sequence


class StopFilter:
    """Lets a text through up to the first of ``stops``; what may yet become one is held back.

    ``is_hit`` says that one was found: nothing comes after it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max((len(stop) for stop in self._stops), default=0)
        self._held = ""
        self.is_hit = False

    def feed(self, piece: str) -> str:
        """Return what may be said now. Any chunking of the same text says the same in all."""
        if self.is_hit or not self._stops:
            return "" if self.is_hit else piece
        text = self._held + piece
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.is_hit, self._held = True, ""
            return text[: min(found)]
        keep = self._possible(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """Return what was held back: the text is over and was no stop string after all."""
        held, self._held = self._held, ""
        return held

    def _possible(self, text: str) -> int:
        """How many characters at the end of ``text`` begin a stop string, at most."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[len(text) - length :]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0
