"""What people and programs read: the answer on stdout, everything else on stderr.

What may live here: layout. Colour only on a terminal and without ``NO_COLOR``; tables keep to the
terminal's width and are never cut when they go elsewhere.
"""

from __future__ import annotations

import os

from ocpctl.fields import write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    from ocpctl.fields import Json

RULE = "─" * 37

GREEN, RED, YELLOW, DIM, BOLD = "32", "31", "33", "2", "1"

_SHORTEST_CELL = 8
_GAP = 2


class Output:
    """Writes to ``out`` and ``err``. ``is_json``: the answer is for programs."""

    def __init__(
        self, out: TextIO, err: TextIO, *, environ: Mapping[str, str], is_json: bool = False
    ) -> None:
        self._out = out
        self._err = err
        self.is_json = is_json
        may_colour = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self._colours = may_colour and out.isatty()
        self._err_colours = may_colour and err.isatty()
        self.width = _find_width(out)

    # The answer.

    def line(self, text: str = "") -> None:
        """Write one line."""
        self._out.write(f"{text.rstrip()}\n")

    def title(self, text: str) -> None:
        """Write a heading and the rule below it."""
        self.line(self.paint(text, BOLD))
        self.line(RULE)

    def tick(self, text: str) -> None:
        """Write that something was done."""
        self.line(f"{self.paint('✓', GREEN)} {text}")

    def show_json(self, value: Json, *, indent: int | None = 2) -> None:
        """Write JSON; without ``indent`` on one line."""
        self.line(write_json(value, indent=indent))
        if indent is None:
            self._out.flush()

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Write labels and what belongs to them; those without a text are left out."""
        rows = [row for row in rows if row[1]]
        wide = max((len(label) for label, _ in rows), default=0)
        for label, text in rows:
            self.line(f"{label:<{wide}}  {text}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write rows under ``head``. A head that begins with ``>`` sets its column to the right.

        On a terminal that is too narrow the widest column that is set left is cut.
        """
        is_right = [name.startswith(">") for name in head]
        lines = [[name.removeprefix(">") for name in head], *rows]
        widths = [max(_columns(line[i]) for line in lines) for i in range(len(head))]
        _shrink(widths, is_right, self.width)
        for number, line in enumerate(lines):
            cells = [
                _fit(cell, width, is_right=right)
                for cell, width, right in zip(line, widths, is_right, strict=True)
            ]
            text = (" " * _GAP).join(cells).rstrip()
            self.line(self.paint(text, DIM) if number == 0 else text)

    def paint(self, text: str, colour: str) -> str:
        """Return ``text`` in a colour if this is a terminal that shows it."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text

    def cut(self, text: str, *, reserved: int = 0) -> str:
        """Return ``text`` shortened to what the line has left beside ``reserved`` columns."""
        if self.width is None:
            return text
        return _fit(text, max(self.width - reserved, _SHORTEST_CELL), is_right=False).rstrip()

    # Everything else.

    def cross(self, text: str) -> None:
        """Say on stderr that something was refused."""
        mark = f"\x1b[{RED}m✗\x1b[0m" if self._err_colours else "✗"
        self._say(f"{mark} {text}")

    def remark(self, text: str, advice: Sequence[str] = ()) -> None:
        """Say something on stderr, and below it what to do about it."""
        self._say("\n".join((f"ocpctl: {text}", *(f"  {line}" for line in advice))))

    def ask(self, question: str) -> None:
        """Write a question on stderr and stay on its line."""
        self._out.flush()
        self._err.write(f"{question} ")
        self._err.flush()

    def flush(self) -> None:
        """Send what is written on its way. Raises BrokenPipeError if nobody reads it."""
        self._out.flush()

    def _say(self, text: str) -> None:
        # Without it a remark may overtake the answer it belongs to.
        self._out.flush()
        self._err.write(f"{text}\n")
        self._err.flush()


def _find_width(out: TextIO) -> int | None:
    try:
        return os.get_terminal_size(out.fileno()).columns or None if out.isatty() else None
    except (OSError, ValueError):
        return None


def _columns(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - rarely needed

    return sum(
        0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text
    )


def _fit(text: str, width: int, *, is_right: bool) -> str:
    taken = _columns(text)
    if taken > width:
        while text and _columns(text) > width - 1:
            text = text[:-1]
        text = f"{text.rstrip()}…"
        taken = _columns(text)
    blank = " " * (width - taken)
    return blank + text if is_right else text + blank


def _shrink(widths: list[int], is_right: Sequence[bool], available: int | None) -> None:
    if available is None:
        return
    left = [i for i, right in enumerate(is_right) if not right]
    while left and sum(widths) + _GAP * (len(widths) - 1) > available:
        widest = max(left, key=lambda i: widths[i])
        if widths[widest] <= _SHORTEST_CELL:
            return
        widths[widest] -= 1
