"""Which Claude CLIs are safe to serve with.

What may live here: the floor, the newest tested version, and the judgement over a version text.
"""

import enum
import re

import msgspec

FLOOR = (2, 1, 248)
"""Older CLIs ignore ``client_composed``: text of a caller such as ``@/etc/passwd`` would make them
read files of the server (measured on 2.1.247 and below)."""

NEWEST_TESTED = (2, 1, 330)

_VERSION = re.compile(r"^(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


class Standing(enum.Enum):
    """What a version is good for."""

    TESTED = "tested"
    UNTESTED = "untested"
    TOO_OLD = "too_old"
    UNREADABLE = "unreadable"


class Verdict(msgspec.Struct, frozen=True):
    """``text`` is the version as found ("" if unreadable)."""

    standing: Standing
    text: str
    advice: str = ""

    @property
    def may_serve(self) -> bool:
        """Whether completions may run on this CLI."""
        return self.standing in (Standing.TESTED, Standing.UNTESTED)


def dotted(version: tuple[int, int, int]) -> str:
    """Spell a version."""
    return ".".join(map(str, version))


def judge_version(output: str) -> Verdict:
    """Judge what ``claude --version`` printed, e.g. ``2.1.330 (Claude Code)``."""
    found = _VERSION.match(output.strip())
    if found is None:
        return Verdict(
            Standing.UNREADABLE,
            "",
            f"claude --version printed no version; install Claude Code {dotted(FLOOR)} or newer",
        )
    major, minor, patch = (int(part) for part in found.groups())
    version = (major, minor, patch)
    text = dotted(version)
    if version < FLOOR:
        return Verdict(
            Standing.TOO_OLD,
            text,
            f"Claude Code {text} is too old to be safe behind an API: "
            f"install {dotted(FLOOR)} or newer (claude update)",
        )
    if version > NEWEST_TESTED:
        return Verdict(
            Standing.UNTESTED,
            text,
            f"Claude Code {text} is newer than the newest one tested ({dotted(NEWEST_TESTED)})",
        )
    return Verdict(Standing.TESTED, text)
