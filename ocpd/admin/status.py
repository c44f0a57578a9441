"""``GET /status`` and ``GET /usage``: what runs now, and what the plan has left.

What may live here: gathering what others count into the shapes that existing clients read.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ocpd.admin.access import Actor
from ocpd.admin.answers import maybe_iso, read_query, send, spell_uptime
from ocpd.admin.figures import (
    ModelCounts,
    Plan,
    PlanGuard,
    RecentFault,
    StatusAnswer,
    StatusProxy,
    StatusRequests,
    StoppedClass,
    StoreHealth,
    UsageAnswer,
    UsageProxy,
)
from ocpd.admin.plan import last_told, spell_plan, spell_status
from ocpd.aio import wall_clock
from ocpd.dispatch.guard import GuardState
from ocpd.errors import OcpdError
from ocpd.http.exchange import Exchange
from ocpd.store.store import Store
from ocpd.store.sums import ModelUsage

RECENT_SHOWN = 3


class Verdict(Protocol):
    """What is known of the login."""

    @property
    def ok(self) -> bool | None:
        """True, False, or nobody knows."""
        ...

    @property
    def message(self) -> str:
        """In words."""
        ...


class Counts(Protocol):
    """Turns since the start, and those of this moment."""

    @property
    def total_requests(self) -> int:
        """All."""
        ...

    @property
    def active_requests(self) -> int:
        """Those that run or wait now."""
        ...

    @property
    def errors(self) -> int:
        """Those that failed or were refused."""
        ...

    @property
    def timeouts(self) -> int:
        """Those that took too long; among the errors."""
        ...


class Fault(Protocol):
    """One failure."""

    @property
    def time(self) -> str:
        """ISO 8601, in UTC."""
        ...

    @property
    def message(self) -> str:
        """What the caller was told."""
        ...


class Report(Protocol):
    """What /health says, as far as it is said here too. The front door's report is one."""

    @property
    def status(self) -> str:
        """ "ok" or "degraded"."""
        ...

    @property
    def version(self) -> str:
        """Ours."""
        ...

    @property
    def urls(self) -> Sequence[str]:
        """Where it listens on TCP."""
        ...

    @property
    def uptime(self) -> int:
        """Milliseconds."""
        ...

    @property
    def auth(self) -> Verdict:
        """The login."""
        ...

    @property
    def stats(self) -> Counts:
        """The counts."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What should not stay as it is, for people."""
        ...

    @property
    def plan_guard(self) -> GuardState:
        """Whom the plan guard stops."""
        ...

    @property
    def recent_errors(self) -> Sequence[Fault]:
        """The newest failures, oldest first."""
        ...


class StatusSources(msgspec.Struct, frozen=True):
    """Where the numbers come from. ``note_look`` is told when somebody looked at a plan that is
    stale, and may see to a newer one; it must not wait."""

    report: Callable[[], Report]
    store: Store
    active_sessions: Callable[[], int]
    started_at: float
    note_look: Callable[[], None]


class Status:
    """Answers /status and /usage; always 200, since who asks wants to know."""

    def __init__(self, sources: StatusSources) -> None:
        self._sources = sources

    async def show(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer /status."""
        read_query(exchange)
        report, statistics = self._sources.report(), self._sources.store.statistics()
        uptime = spell_uptime(report.uptime)
        auth = report.auth.message if report.auth.ok is not True else "ok"
        answer = StatusAnswer(
            proxy=StatusProxy(
                status=report.status,
                version=report.version,
                urls=list(report.urls),
                uptime=uptime,
                uptime_human=uptime,
                uptime_ms=report.uptime,
                auth=auth,
                active_sessions=self._sources.active_sessions(),
            ),
            requests=StatusRequests(
                total=report.stats.total_requests,
                active=report.stats.active_requests,
                errors=report.stats.errors,
                timeouts=report.stats.timeouts,
            ),
            plan=self._plan(),
            plan_guard=_guard(report.plan_guard),
            recent_errors=[
                RecentFault(fault.time, fault.message[:200])
                for fault in report.recent_errors[-RECENT_SHOWN:]
            ],
            store=StoreHealth(
                queued=statistics.queued,
                lost_rows=statistics.lost,
                last_error=statistics.last_error,
                moved_aside=statistics.moved_aside,
            ),
            warnings=list(report.warnings),
        )
        await send(exchange, answer)

    async def show_usage(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer /usage: the plan as it was last told, the counts of this moment."""
        read_query(exchange)
        report, known = self._sources.report(), self._sources.store.plan.latest()
        plan = self._plan()
        answer = UsageAnswer(
            status=spell_status(known),
            fetched_at=maybe_iso(last_told(known)),
            stale=plan.stale,
            plan=plan,
            proxy=UsageProxy(
                total_requests=report.stats.total_requests,
                active_requests=report.stats.active_requests,
                errors=report.stats.errors,
                timeouts=report.stats.timeouts,
                uptime=spell_uptime(report.uptime),
            ),
            models=await self._models(),
        )
        await send(exchange, answer)

    def _plan(self) -> Plan:
        plan = spell_plan(self._sources.store.plan.latest(), wall_clock())
        if plan.stale:
            self._sources.note_look()
        return plan

    async def _models(self) -> dict[str, ModelCounts]:
        try:
            stats = await self._sources.store.usage.model_stats(self._sources.started_at)
        except OcpdError:
            # The plan and the counts are still worth having.
            return {}
        return {stat.model: _counts(stat) for stat in stats}


def _guard(state: GuardState) -> PlanGuard:
    return PlanGuard(
        mode=state.mode,
        plan_only=state.plan_only,
        overage_until=state.overage_until,
        stopped=[
            StoppedClass(each.role, each.window, each.percent, each.until) for each in state.stopped
        ],
    )


def _counts(stat: ModelUsage) -> ModelCounts:
    return ModelCounts(
        requests=stat.requests,
        successes=stat.successes,
        errors=stat.errors,
        timeouts=stat.timeouts,
        avg_elapsed=round(stat.avg_elapsed_ms or 0),
        max_elapsed=stat.max_elapsed_ms or 0,
        avg_prompt_chars=round(stat.avg_prompt_chars),
        max_prompt_chars=stat.max_prompt_chars,
    )
