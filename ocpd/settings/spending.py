"""The knobs about how much of the plan may be spent: a part of the table.

What may live here: rows. What they mean is ``sched.planguard``'s.
"""

from ocpd.settings.knob import Knob, Type
from ocpd.settings.rows import integer


def _stop_at(role: str, default: int, whose: str) -> Knob:
    return integer(
        f"planStopAt{role.title()}",
        default,
        (1, 100),
        "%",
        help=f"Use of the plan's 5 hours or 7 days at which planGuard stops {whose}.",
    )


SPENDING: tuple[Knob, ...] = (
    Knob(
        key="planGuard",
        type=Type.CHOICE,
        default="warn",
        choices=("off", "warn", "stop"),
        help="A plan that is nearly used up: warn in log and header; stop: 429 from planStopAt on.",
    ),
    Knob(
        key="planOnly",
        type=Type.BOOLEAN,
        default=True,
        help="Never spend beyond the plan: stop an answer that is charged extra, refuse new ones.",
    ),
    _stop_at(
        "owner",
        100,
        "keys with the role owner, the admin key, the socket, and in authMode none this machine",
    ),
    _stop_at("user", 90, "keys with the role user, and all other callers without a key"),
    _stop_at("batch", 60, "keys with the role batch"),
)
