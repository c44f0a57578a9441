"""The plan guard: who is stopped before the plan is used up, and nothing beyond it.

What may live here: what is known of the plan, brought before ``sched.planguard``, and what callers
and the log are told of its decisions.
"""

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from ocpd.aio import wall_clock
from ocpd.claude.wire import RateLimitInfo
from ocpd.dispatch.bookkeeping import note_plan
from ocpd.dispatch.notice import PATIENCE_S, PLAN_WINDOWS, Headers, spell_span
from ocpd.errors import Overloaded
from ocpd.sched.planguard import (
    ROLES,
    Lines,
    Rules,
    WindowUse,
    class_of,
    find_overage_end,
    find_stop,
    find_stop_of,
    find_warnings,
)
from ocpd.store.plan import PlanBook, PlanWindow
from ocpd.turn.caller import Caller

_log = logging.getLogger("ocpd.plan")

WARNING = "x-ocpd-plan-warning"

EXTRA = "overage"


class Stopped(msgspec.Struct, frozen=True):
    """A class of callers that may begin nothing until ``until`` (ISO 8601), because ``window`` is
    used to ``percent``."""

    role: str
    window: str
    percent: int
    until: str


class GuardState(msgspec.Struct, frozen=True, rename="camel"):
    """What the guard does at this moment. ``overage_until`` (ISO 8601) is set while turns would be
    charged beyond the plan; with ``plan_only`` nobody may begin one until then."""

    mode: str
    plan_only: bool
    overage_until: str | None
    stopped: tuple[Stopped, ...]


class PlanGuard:
    """Judges turns by the plan. ``rules`` may change at any time.

    Whether extra usage is in use is remembered also while ``planOnly`` is off, so that switching
    it on works at once.
    """

    def __init__(
        self,
        plan: PlanBook,
        rules: Rules | None = None,
        *,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        self.rules = rules or Rules()
        self._plan = plan
        self._clock = clock
        self._lines = Lines()
        self._overage_until = 0.0

    def __repr__(self) -> str:
        return f"PlanGuard({self.rules.mode.value}, {self._overage_until:.0f})"

    def check(self, caller: Caller) -> None:
        """Raise Overloaded if no turn of ``caller`` may begin now: ``plan_overage`` or
        ``plan_guard``, with the seconds until the reset."""
        now = self._clock()
        uses = self._uses(now)
        self._write_lines(uses)
        until = max(self._overage_until, self._charged_until(uses))
        if self.rules.plan_only and until > now:
            raise _overage(
                "the plan is used up, and this would be charged as extra usage", until, now
            )
        full = find_stop(self.rules, caller, uses)
        if full is not None:
            raise self._stop(full, caller, now)

    def hear(self, info: RateLimitInfo) -> Overloaded | None:
        """Keep what the CLI says of the plan while a turn runs. Returns the failure with which that
        turn must end at once, or None."""
        now = self._clock()
        note_plan(self._plan, info, now)
        uses = self._uses(now)
        self._write_lines(uses)
        if not info.isUsingOverage:
            return None
        until = find_overage_end(info.resetsAt, uses, now)
        if self._overage_until <= now:
            told = {"plan_only": self.rules.plan_only, "for_s": math.ceil(until - now)}
            _log.warning("plan_overage", extra=told)
        self._overage_until = max(self._overage_until, until)
        if not self.rules.plan_only:
            return None
        words = "this answer was stopped: the plan is used up, and it is charged as extra usage"
        return _overage(words, self._overage_until, now)

    def headers(self, caller: Caller) -> Headers:
        """Return the header that warns ``caller`` of a plan that is nearly used up, if it is."""
        near = find_warnings(self.rules, caller, self._uses(self._clock()))
        told = ", ".join(f"{use.name} {math.floor(use.percent)}%" for use in near)
        return ((WARNING, told),) if told else ()

    def state(self) -> GuardState:
        """Return whom the guard stops now; nothing is logged."""
        now = self._clock()
        uses = self._uses(now)
        until = max(self._overage_until, self._charged_until(uses))
        found = [(role, find_stop_of(self.rules, role, uses)) for role in ROLES]
        return GuardState(
            mode=self.rules.mode.value,
            plan_only=self.rules.plan_only,
            overage_until=_spell(until) if until > now else None,
            stopped=tuple(
                Stopped(role, use.name, math.floor(use.percent), _spell(use.resets_at))
                for role, use in found
                if use is not None
            ),
        )

    def _uses(self, now: float) -> list[WindowUse]:
        known = self._plan.latest()
        found = (_use_of(known[name], now) for name in PLAN_WINDOWS if name in known)
        return [use for use in found if use is not None]

    def _charged_until(self, uses: list[WindowUse]) -> float:
        """What the next turn would turn out to be, by what the book has: it outlives a restart."""
        extra = self._plan.latest().get(EXTRA)
        if extra is None or extra.status != "allowed":
            return 0.0
        return min((use.resets_at for use in uses if use.is_used_up), default=0.0)

    def _write_lines(self, uses: list[WindowUse]) -> None:
        for use in uses:
            level = self._lines.reach(self.rules, use)
            if level is not None:
                told = {"window": use.name, "percent": math.floor(use.percent), "level": level}
                _log.warning("plan_is_filling", extra=told)

    def _stop(self, full: WindowUse, caller: Caller, now: float) -> Overloaded:
        role = class_of(caller.role)
        most = self.rules.stop_at.of(role)
        words = (
            f"the plan's window {full.name} is used to {math.floor(full.percent)} %, and callers"
            f" of class {role} stop at {most:g} % (settings planGuard, planStopAt{role.title()})"
        )
        return _refuse(words, "plan_guard", full.resets_at, now)


def _use_of(window: PlanWindow, now: float) -> WindowUse | None:
    if window.utilization is None or window.resets_at is None or window.resets_at <= now:
        return None
    # Rounded: 0.29 is 28.999... percent.
    percent = round(100 * window.utilization, 6)
    return WindowUse(
        window.window,
        percent,
        window.resets_at,
        is_near=window.status == "allowed_warning",
        is_used_up=window.status == "rejected",
    )


def _spell(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _overage(words: str, until: float, now: float) -> Overloaded:
    return _refuse(f"{words} (setting planOnly)", "plan_overage", until, now)


def _refuse(words: str, code: str, until: float, now: float) -> Overloaded:
    told = f"{words}; there is room again in {spell_span(until - now)}, at {_spell(until)}."
    error = Overloaded(told, code=code, retry_after_s=max(1, math.ceil(until - now)))
    if until - now > PATIENCE_S:
        error.headers = (("x-should-retry", "false"),)
    return error
