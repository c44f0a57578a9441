"""How the limits of a key are spelled.

What may live here: names and amounts of limits, as ``ocpctl quota`` takes and shows them.
"""

from __future__ import annotations

from ocpctl.fields import spell_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocpctl.fields import Fields

PERIODS = ("daily", "weekly", "monthly")
"""The periods of requests that old daemons know."""


def name_limit(limit: Fields) -> str:
    """Return the name of one limit: daily, tokens.weekly, streams."""
    what, period = limit.text("what", "requests"), limit.text("period", "?")
    if period == "at_once":
        return what
    return period if what == "requests" else f"{what}.{period}"


def spell_amount(number: float, name: str) -> str:
    """Spell an amount of the limit ``name``: dollars, or a number."""
    return f"${number:.2f}" if name.startswith("cost") else spell_value(number)
