"""How full the plan may become for whom, and when extra usage ends: pure decisions.

What may live here: the rules and their judgement of the plan's windows. Where what is known of the
windows comes from, and how a caller hears of a decision, is ``dispatch.guard``'s.
"""

import enum
from collections.abc import Iterable

import msgspec

from ocpd.turn.caller import Caller

WARN_FROM = 80
"""Percent from which every caller is warned; one that is stopped earlier is warned from there."""

ROLES = ("owner", "user", "batch")
"""The classes of callers."""

LEVELS = (WARN_FROM, 90, 100)
"""Percents at which the log has a line, besides those at which somebody is stopped."""

UNKNOWN_RESET_S = 300.0
"""For how long extra usage is taken to go on if nobody says when the plan has room again."""

LONGEST_S = 8 * 86_400.0
"""No window of the plan is longer than a week: a reset beyond that is nonsense."""

# The same window's reset may be told a little differently each time.
_SAME_RESET_S = 60.0


class Mode(enum.Enum):
    """What happens when a window is as full as it may become."""

    OFF = "off"
    WARN = "warn"
    STOP = "stop"


class StopAt(msgspec.Struct, frozen=True):
    """Percent of a window at which the callers of each class are stopped."""

    owner: float = 100
    user: float = 90
    batch: float = 60

    def of(self, role: str) -> float:
        """Return that of a role; one that is none of these counts as a user's."""
        match class_of(role):
            case "owner":
                return self.owner
            case "batch":
                return self.batch
            case _:
                return self.user


class Rules(msgspec.Struct, frozen=True):
    """What the operator wants. ``plan_only``: nothing is charged beyond the plan."""

    mode: Mode = Mode.WARN
    plan_only: bool = True
    stop_at: StopAt = StopAt()


class WindowUse(msgspec.Struct, frozen=True):
    """A window of the plan that has not ended. ``resets_at`` is epoch seconds; ``is_near`` and
    ``is_used_up`` are the upstream's own judgement."""

    name: str
    percent: float
    resets_at: float
    is_near: bool = False
    is_used_up: bool = False


def class_of(role: str) -> str:
    """Return the class of a role: owner, user or batch."""
    return role if role in ("owner", "batch") else "user"


def find_stop(rules: Rules, caller: Caller, uses: Iterable[WindowUse]) -> WindowUse | None:
    """Return the window for which ``caller`` is stopped, of several the one that ends last; None:
    none."""
    return find_stop_of(rules, caller.role, uses)


def find_stop_of(rules: Rules, role: str, uses: Iterable[WindowUse]) -> WindowUse | None:
    """Return the window for which callers of ``role`` are stopped, as ``find_stop`` does."""
    if rules.mode is not Mode.STOP:
        return None
    most = rules.stop_at.of(role)
    full = (use for use in uses if use.percent >= most)
    return max(full, key=lambda use: use.resets_at, default=None)


def find_warnings(rules: Rules, caller: Caller, uses: Iterable[WindowUse]) -> list[WindowUse]:
    """Return the windows of which ``caller`` is to be warned, the fullest first."""
    if rules.mode is Mode.OFF:
        return []
    least = min(WARN_FROM, rules.stop_at.of(caller.role))
    near = [use for use in uses if use.is_near or use.percent >= least]
    return sorted(near, key=lambda use: -use.percent)


def find_overage_end(told: float | None, uses: Iterable[WindowUse], now: float) -> float:
    """Return when the plan has room again that turned out to be used up. ``told`` is the reset
    that was told with that, if any; ``uses`` are what is known of the windows."""
    if told is not None and now < told <= now + LONGEST_S:
        return told
    ends = (use.resets_at for use in uses if use.is_used_up or use.percent >= 100)
    return min(ends, default=now + UNKNOWN_RESET_S)


class Lines:
    """Remembers which lines the log has: each level of a window once."""

    def __init__(self) -> None:
        self._reached: dict[str, tuple[float, float]] = {}

    def reach(self, rules: Rules, use: WindowUse) -> float | None:
        """Return the level, in percent, that the window is found at for the first time, or None.

        A window that has begun anew starts over.
        """
        if rules.mode is Mode.OFF:
            return None
        known, resets_at = self._reached.get(use.name, (0.0, use.resets_at))
        if abs(resets_at - use.resets_at) > _SAME_RESET_S:
            known = 0.0
        stops = (rules.stop_at.owner, rules.stop_at.user, rules.stop_at.batch)
        passed = [level for level in (*LEVELS, *stops) if level <= use.percent]
        if use.is_near:
            # Early for us, but the upstream speaks of it.
            passed.append(min((*LEVELS, *stops)))
        level = max(passed, default=0.0)
        self._reached[use.name] = (max(known, level), use.resets_at)
        return level if level > known else None
