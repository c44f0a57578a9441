"""What a process is started as: its model, and those of the CLI's own tools that it has.

What may live here: the two spellings of that. All that is on a command line is in it, so processes
of the same make can stand in for each other as long as nothing was said to them.
"""

from typing import NewType

import msgspec

Make = NewType("Make", str)
"""A model id; behind it, if there are any, the tools."""

_UNASKED = "unasked"


class Parts(msgspec.Struct, frozen=True):
    """What a make stands for. ``is_unasked``: its tools run without any permission."""

    model: str
    tools: tuple[str, ...] = ()
    is_unasked: bool = False


def make_of(parts: Parts) -> Make:
    """Spell it."""
    words = [parts.model]
    if parts.tools:
        words.append(",".join(parts.tools))
    if parts.is_unasked:
        words.append(_UNASKED)
    return Make(" ".join(words))


def read_make(make: str) -> Parts:
    """Read what ``make_of`` spelled; a plain model id is one without tools."""
    model, *words = make.split(" ")
    is_unasked = words[-1:] == [_UNASKED]
    tools = words[0] if words and words[0] != _UNASKED else ""
    return Parts(model, tuple(tools.split(",")) if tools else (), is_unasked)
