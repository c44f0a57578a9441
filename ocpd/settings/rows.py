"""How rows of the table are spelled that many have in common.

What may live here: shapes of rows, and no row.
"""

from ocpd.settings.knob import Knob, Type


def integer(
    key: str,
    default: int,
    bounds: tuple[int, int],
    unit: str,
    *aliases: str,
    help: str,  # noqa: A002 - the table reads like a form
) -> Knob:
    """Return the row of a whole number of ``unit``, within ``bounds``; ``aliases`` are names that
    other programs have for it."""
    return Knob(
        key=key,
        type=Type.INTEGER,
        default=default,
        low=bounds[0],
        high=bounds[1],
        unit=unit,
        aliases=aliases,
        help=help,
    )
