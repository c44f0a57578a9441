"""How hard the model is to think: from what was asked to what the model has.

What may live here: that choice.
"""

from collections.abc import Sequence

import msgspec

from ocpd.errors import BadRequest

QUIET = ("none", "minimal")
"""Asks for no thinking; never refused: a model that cannot do without thinks as little as it can,
and what it thinks is not told."""

LEFT_TO_MODEL = "model"


class Effort(msgspec.Struct, frozen=True):
    """``level`` None leaves it to the model; ``thinks`` False switches thinking off; ``is_told``
    says whether the caller hears of it."""

    level: str | None = None
    thinks: bool = True
    is_told: bool = True


def choose_default(thinking: str, effort: str) -> str:
    """Return what counts for a request that is silent about reasoning, from the settings
    ``thinking`` (off, auto or on) and ``defaultEffort``."""
    if thinking == "off":
        return "none"
    if thinking == "on" and effort in QUIET:
        return LEFT_TO_MODEL
    return effort


def choose_effort(
    asked: str | None,
    default: str,
    levels: Sequence[str],
    *,
    can_stop: bool,
    field: str | None = None,
) -> Effort:
    """Choose for a model that has ``levels``, from the least to the most; ``can_stop``: thinking
    can be switched off. ``default`` counts where nothing was ``asked``, in the request's ``field``.

    Raises BadRequest for a level that was asked for and is not there; a default that is not
    becomes the highest there is.
    """
    wanted = asked if asked is not None else default
    if wanted in QUIET:
        least = levels[0] if levels else None
        return Effort(thinks=False, is_told=False) if can_stop else Effort(least, is_told=False)
    if wanted == LEFT_TO_MODEL or wanted in levels:
        return Effort(None if wanted == LEFT_TO_MODEL else wanted)
    if asked is None:
        return Effort(levels[-1] if levels else None)
    named = field or "reasoning_effort"
    raise BadRequest(
        f"{named}: {asked!r} is not one that this model has: {', '.join((*QUIET, *levels))}",
        param=named,
    )
