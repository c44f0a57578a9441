"""One finding of ``ocpctl doctor``, and what a list of them comes to.

What may live here: the record and its levels.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocpctl.fields import Json

OK = "ok"
WARNING = "warning"
MUST = "must"


class Finding:
    """``check`` is what was looked at, in one word; ``commands`` what to type next, the first one
    first: a command, or a sentence with one in it."""

    __slots__ = ("check", "commands", "level", "text")

    def __init__(self, level: str, check: str, text: str, commands: tuple[str, ...] = ()) -> None:
        self.level = level
        self.check = check
        self.text = text
        self.commands = commands

    def __repr__(self) -> str:
        return f"Finding({self.level}, {self.check}, {self.text!r}, {self.commands})"

    def spell(self) -> dict[str, Json]:
        """Return it as JSON."""
        told: list[Json] = list(self.commands)
        return {"check": self.check, "level": self.level, "message": self.text, "next": told}


def count(findings: Iterable[Finding], level: str) -> int:
    """How many are of this level."""
    return sum(finding.level == level for finding in findings)
