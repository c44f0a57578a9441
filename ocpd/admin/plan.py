"""How much of the plan is used, in the shape that clients of OCP read.

What may live here: spelling what ``store.plan`` knows. Nothing is asked of anybody. A value that
nobody knows is null and "?"; one that is old says so.
"""

import math
from collections.abc import Mapping
from datetime import datetime, tzinfo

from ocpd.admin.answers import maybe_iso
from ocpd.admin.figures import ExtraUsage, Plan, WeeklyLimits, Window
from ocpd.store.plan import PlanWindow

SESSION, WEEK, EXTRA = "five_hour", "seven_day", "overage"
"""The windows of the plan, as the CLI names them."""

FRESH_S = 300.0
"""How long a value counts as fresh: other programs use the plan, too."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
# From the best to the worst; what is not here is new to us and taken for worse than "allowed".
_RANKS = {"allowed": 0, "allowed_warning": 2, "rejected": 3}


def spell_plan(known: Mapping[str, PlanWindow], now: float, zone: tzinfo | None = None) -> Plan:
    """Make the plan's body of what is ``known``; ``now`` is epoch seconds.

    ``zone`` is where people read it: None is the server's.
    """
    session = spell_window(known.get(SESSION), now, zone)
    week = spell_window(known.get(WEEK), now, zone)
    others = {
        name.removeprefix(f"{WEEK}_"): spell_window(window, now, zone)
        for name, window in sorted(known.items())
        if name.startswith(f"{WEEK}_")
    }
    extra = known.get(EXTRA)
    return Plan(
        current_session=session,
        weekly_limits=WeeklyLimits(week, others),
        extra_usage=ExtraUsage("unknown" if extra is None else extra.status),
        representative_claim=_find_claim(known),
        stale=session.stale or week.stale,
    )


def spell_window(window: PlanWindow | None, now: float, zone: tzinfo | None = None) -> Window:
    """Make one window's body; None is a window nobody spoke of."""
    if window is None:
        return Window(None, "?", "unknown", None, "", stale=True, fetched_at=None)
    is_over = window.resets_at is not None and window.resets_at <= now
    # What was used of a window that is over says nothing about the one after it.
    used = None if is_over else window.utilization
    told_at = window.at if window.utilization_at is None else window.utilization_at
    return Window(
        utilization=used,
        percent="?" if used is None else f"{_round(used * 100)}%",
        resets_in=spell_span(window.resets_at, now),
        resets_at=maybe_iso(window.resets_at),
        resets_at_human="" if window.resets_at is None else spell_local(window.resets_at, zone),
        stale=is_over or used is None or now - told_at > FRESH_S,
        fetched_at=maybe_iso(told_at),
    )


def spell_span(until: float | None, now: float) -> str:
    """Spell how long it is: "unknown", "now", "12m", "3h 12m", "4d 2h"."""
    if until is None:
        return "unknown"
    minutes = int((until - now) // 60)
    if until <= now:
        return "now"
    hours, rest = divmod(minutes, 60)
    if hours > 24:
        return f"{hours // 24}d {hours % 24}h"
    return f"{hours}h {rest}m" if hours else f"{rest}m"


def spell_local(at: float, zone: tzinfo | None = None) -> str:
    """Spell a moment as Americans do, whatever the locale: "Sat, Nov 21, 12:07 PM"."""
    try:
        moment = datetime.fromtimestamp(at, zone).astimezone(zone)
    except (OverflowError, OSError, ValueError):
        return ""
    half = "AM" if moment.hour < 12 else "PM"
    day = f"{_DAYS[moment.weekday()]}, {_MONTHS[moment.month - 1]} {moment.day}"
    return f"{day}, {moment.hour % 12 or 12}:{moment.minute:02} {half}"


def spell_status(known: Mapping[str, PlanWindow]) -> str:
    """The worst of the plan's windows: "allowed", "allowed_warning", "rejected", or "unknown"."""
    own = [window.status for name, window in known.items() if name != EXTRA]
    return max(own, key=lambda status: _RANKS.get(status, 1), default="unknown")


def last_told(known: Mapping[str, PlanWindow]) -> float | None:
    """When anything was told last, in epoch seconds."""
    return max((window.at for window in known.values()), default=None)


def _find_claim(known: Mapping[str, PlanWindow]) -> str | None:
    """The window that limits: the worst, of several the one spoken of last."""
    own = [window for name, window in known.items() if name != EXTRA]
    worst = max(own, key=lambda w: (_RANKS.get(w.status, 1), w.at), default=None)
    return None if worst is None else worst.window


def _round(percent: float) -> int:
    # Half goes up: clients of old were told so by JavaScript.
    return math.floor(percent + 0.5)
