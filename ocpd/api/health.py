"""``GET /health``: what runs, whether it could serve, and what to do if not.

What may live here: gathering statistics into the shape that existing clients read
(``status``, ``version``, ``auth``, ``stats``, ...). No counting happens here.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from ocpd.aio import Nursery, steady_clock
from ocpd.claude.wire import OfferedModel
from ocpd.dispatch.admission import Admission
from ocpd.dispatch.guard import GuardState
from ocpd.dispatch.ledger import ErrorNote, Ledger, LedgerStatistics
from ocpd.http.exchange import Exchange
from ocpd.http.message import Request, json_response
from ocpd.models import Models, Offered, drift
from ocpd.pool.login import Login, LoginState
from ocpd.pool.pool import Pool, PoolStatistics
from ocpd.pool.probe import INSTALL_ADVICE, Probe
from ocpd.sched.queue import QueueStatistics
from ocpd.settings.doors import AuthMode, Doors, list_warnings
from ocpd.settings.values import Settings
from ocpd.turn.own_tools import tools_of
from ocpd.turn.request import ALL_TOOLS
from ocpd.turn.servers import Registry

REJECTIONS_TO_DEGRADE = 2
RECENT_SHOWN = 5

_DEMO = "a demo: nobody is signed in, and the answers are canned"


class Claude(msgspec.Struct):
    """The CLI: where, which, and what is wrong with it (``problem`` and ``warning`` are texts for
    people, "" if nothing)."""

    path: str | None
    version: str | None
    ok: bool
    problem: str
    warning: str


class Auth(msgspec.Struct, rename="camel"):
    """The login. Times are epoch milliseconds, 0 for never."""

    ok: bool | None
    ok_source: str
    ok_at: int
    last_check: int
    last_outcome: str
    message: str
    consecutive_failures: int
    consecutive_inconclusive: int


class Stats(msgspec.Struct, rename="camel"):
    """Turns since the start, and those of this moment."""

    total_requests: int
    active_requests: int
    errors: int
    timeouts: int
    cancelled: int
    queued: int
    queue_rejections: int
    attempts: int


class Concurrency(msgspec.Struct, rename="camel"):
    """The queue."""

    max_concurrent: int
    max_queue: int
    inflight: int
    queued: int
    queue_rejections: int


class ModelDrift(msgspec.Struct, rename="camel"):
    """What the CLI offers (null before the first turn) and how it differs from models.json."""

    cli_models: list[str] | None
    warnings: list[str]


class RecentError(msgspec.Struct):
    """``time`` is ISO 8601, in UTC."""

    time: str
    message: str


class Config(msgspec.Struct, rename="camel"):
    """The settings people look for here; milliseconds. ``allowed_tools`` are the CLI's own tools
    that a model may run on this machine, ["all"] is each; ``mcp_servers`` the names of the servers
    that join every request."""

    timeout: int
    first_byte_timeout: int
    max_concurrent: int
    default_model: str
    allowed_tools: list[str]
    skip_permissions: bool
    mcp_servers: list[str]


class Place(msgspec.Struct, rename="camel", frozen=True):
    """Where the daemon keeps what it has: paths. ``config_file`` is "" if it was started without
    one."""

    state_directory: str
    config_file: str


class Report(msgspec.Struct, rename="camel"):
    """The whole answer. ``status`` is "ok" or "degraded"; ``uptime`` is milliseconds, ``urls``
    where it listens on TCP."""

    status: str
    version: str
    pid: int
    urls: list[str]
    uptime: int
    uptime_human: str
    auth_mode: str
    anonymous_key: str | None
    claude_binary: str | None
    claude_binary_ok: bool
    demo: bool
    claude: Claude
    auth: Auth
    stats: Stats
    concurrency: Concurrency
    processes: PoolStatistics
    plan_guard: GuardState
    models: ModelDrift
    config: Config
    place: Place
    warnings: list[str]
    recent_errors: list[RecentError]


class PublicReport(msgspec.Struct, rename="camel"):
    """What everybody may know: callers from other machines without a key see this."""

    status: str
    version: str
    uptime: int
    auth_mode: str
    anonymous_key: str | None


class Sources(msgspec.Struct, frozen=True):
    """Where the numbers come from. ``sees_all`` tells whether who asks may see all of them, and
    raises Refused for a foreign web page; ``problems`` are lines for people about what on disk is
    not used any more."""

    settings: Callable[[], Settings]
    doors: Callable[[], Doors]
    sees_all: Callable[[Request], bool]
    probe: Probe
    login: Login
    pool: Pool
    admission: Admission
    ledger: Ledger
    models: Callable[[], Models]
    registry: Callable[[], Registry]
    plan_guard: Callable[[], GuardState]
    place: Place
    urls: Callable[[], tuple[str, ...]]
    problems: Callable[[], tuple[str, ...]]


class Health:
    """Answers /health; always 200, since who asks wants to know."""

    def __init__(self, sources: Sources, version: str, demo: bool, nursery: Nursery) -> None:
        self._sources = sources
        self._version = version
        self._demo = demo
        self._nursery = nursery
        self._started_at = steady_clock()

    async def show(self, exchange: Exchange) -> None:
        """Answer the report, or the part of it that is for everybody. If nobody is signed in, a new
        look is taken in the background."""
        sees_all = self._sources.sees_all(exchange.request)
        await self._sources.probe.look()
        if self._sources.login.is_due:
            self._nursery.spawn(self._sources.login.check(), "login check")
        report = self.report()
        shown = report if sees_all else _publish(report)
        await exchange.respond(json_response(200, msgspec.json.encode(shown)))

    def report(self) -> Report:
        """Gather the report of this moment."""
        s = self._sources
        claude = _claude(s.probe)
        login = s.login.state()
        rejected = login.consecutive_failures >= REJECTIONS_TO_DEGRADE
        uptime_s = steady_clock() - self._started_at
        ledger, queue = s.ledger.statistics(), s.admission.statistics()
        settings, doors = s.settings(), s.doors()
        return Report(
            status="ok" if claude.ok and not rejected else "degraded",
            version=self._version,
            pid=os.getpid(),
            urls=list(s.urls()),
            uptime=int(uptime_s * 1000),
            uptime_human=f"{int(uptime_s // 3600)}h {int(uptime_s % 3600 // 60)}m",
            auth_mode=doors.mode.value,
            anonymous_key=_advertised(settings, doors),
            claude_binary=claude.path,
            claude_binary_ok=claude.ok,
            demo=self._demo,
            claude=claude,
            auth=_auth(login, is_demo=self._demo),
            stats=_stats(ledger, queue),
            concurrency=_concurrency(queue),
            processes=s.pool.statistics(),
            plan_guard=s.plan_guard(),
            models=_drift(s.models(), s.pool.offered),
            config=_config(settings, s.registry()),
            place=s.place,
            warnings=[*list_warnings(settings, doors), *s.problems()],
            recent_errors=[_recent(note) for note in s.ledger.recent_errors()[-RECENT_SHOWN:]],
        )


def _publish(report: Report) -> PublicReport:
    return PublicReport(
        status=report.status,
        version=report.version,
        uptime=report.uptime,
        auth_mode=report.auth_mode,
        anonymous_key=report.anonymous_key,
    )


def _advertised(settings: Settings, doors: Doors) -> str | None:
    # Only where it opens something: clients take what they find here, and use it.
    if doors.mode is not AuthMode.MULTI or not settings.advertise_anonymous_key:
        return None
    return settings.anonymous_key.strip() or None


def _claude(probe: Probe) -> Claude:
    cli = probe.latest
    if cli is None:
        return Claude(None, None, ok=False, problem=f"not found: {INSTALL_ADVICE}", warning="")
    verdict = cli.verdict
    return Claude(
        path=cli.path,
        version=verdict.text or None,
        ok=verdict.may_serve,
        problem="" if verdict.may_serve else verdict.advice,
        warning=verdict.advice if verdict.may_serve else "",
    )


def _auth(state: LoginState, *, is_demo: bool) -> Auth:
    to_ms: Callable[[float], int] = lambda seconds: int(seconds * 1000)  # noqa: E731
    return Auth(
        ok=state.ok,
        ok_source=state.ok_source,
        ok_at=to_ms(state.ok_at),
        last_check=to_ms(state.last_check),
        last_outcome=state.last_outcome,
        message=_DEMO if is_demo else state.message,
        consecutive_failures=state.consecutive_failures,
        consecutive_inconclusive=state.consecutive_inconclusive,
    )


def _stats(ledger: LedgerStatistics, queue: QueueStatistics) -> Stats:
    return Stats(
        total_requests=ledger.total,
        active_requests=ledger.active,
        errors=ledger.failed + ledger.refused,
        timeouts=ledger.timeouts,
        cancelled=ledger.cancelled,
        queued=queue.waiting,
        queue_rejections=queue.rejections,
        attempts=ledger.attempts,
    )


def _concurrency(queue: QueueStatistics) -> Concurrency:
    return Concurrency(
        max_concurrent=queue.max_running,
        max_queue=queue.max_waiting,
        inflight=queue.running,
        queued=queue.waiting,
        queue_rejections=queue.rejections,
    )


def _drift(models: Models, offered: tuple[OfferedModel, ...]) -> ModelDrift:
    if not offered:
        return ModelDrift(None, [])
    pairs = [Offered(model.value, model.resolvedModel) for model in offered]
    return ModelDrift(
        list(dict.fromkeys(pair.resolved for pair in pairs)), list(drift(models, pairs))
    )


def _config(settings: Settings, registry: Registry) -> Config:
    tools = tools_of(settings)
    return Config(
        timeout=settings.timeout_ms,
        first_byte_timeout=settings.first_byte_timeout_ms,
        max_concurrent=settings.max_concurrent,
        default_model=settings.default_model,
        allowed_tools=["all"] if tools == ALL_TOOLS else list(tools),
        skip_permissions=settings.skip_permissions,
        mcp_servers=[server.name for server in registry.always],
    )


def _recent(note: ErrorNote) -> RecentError:
    at = datetime.fromtimestamp(note.time, UTC).isoformat(timespec="seconds")
    return RecentError(at.replace("+00:00", "Z"), note.message[:200])
