"""The composition root: build upward, run, drain, take down.

What may live here: knowing everybody. Rooms get what they need through their constructors, and
only this file makes them. The rooms stand in start order; they are left in the reverse one.
"""

import asyncio
import contextlib
import enum
import ipaddress
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from ocpd.aio import Nursery, wall_clock
from ocpd.api.health import Health, Report, Sources
from ocpd.api.listing import Listing
from ocpd.api.routes import front_door
from ocpd.api.turns import Defaults, Turns
from ocpd.claude.argv import Lane, build_environment
from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.dispatch.admission import Admission
from ocpd.dispatch.attempt import TimeLimits
from ocpd.dispatch.hall import Hall
from ocpd.dispatch.ledger import Ledger
from ocpd.errors import BadRequest
from ocpd.http.connection import Limits
from ocpd.http.listener import Server
from ocpd.http.occupant import find_occupant
from ocpd.http.router import make_handler
from ocpd.models import Models
from ocpd.pool.home import scratch_directory, state_directory
from ocpd.pool.login import Login
from ocpd.pool.pool import Pool
from ocpd.pool.probe import Probe, is_executable
from ocpd.sched.staffing import SpareLimits
from ocpd.settings import Settings, SettingsError
from ocpd.turn.outcome import Outcome, TurnState

_log = logging.getLogger("ocpd.daemon")

VERSION = "0.1.0"
"""The same as pyproject's (a test compares). Not read from the package's metadata: that import
alone costs 3 MB and does not work in a checkout."""

DEMO_HEADER = ("x-ocpd-demo", "1")


class State(enum.Enum):
    """Where the daemon is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


MOVES: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.READY, State.STOPPED}),
    State.READY: frozenset({State.DRAINING, State.STOPPED}),
    State.DRAINING: frozenset({State.STOPPED}),
    State.STOPPED: frozenset(),
}


class CannotListen(OSError):
    """The address cannot be had; the text says which, and who holds it."""


class Daemon:
    """A running ocpd. Made by ``open_daemon``; ``drain`` before leaving its block, if turns may
    finish."""

    def __init__(self, settings: Settings, server: Server, hall: Hall) -> None:
        self.address = ("", 0)
        self.state = State.STARTING
        self._settings = settings
        self._server = server
        self._hall = hall
        self.health: Health

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def report(self) -> Report:
        """What /health says."""
        return self.health.report()

    async def drain(self) -> bool:
        """Take no new work and wait for the running turns; False when ``drainTimeout`` cut it.

        If cancelled, the turns that still run are cut by leaving the block.
        """
        self.move(State.DRAINING)
        self._server.stop_accepting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_timeout_ms / 1000):
                await self._server.wait_idle()
                await self._hall.wait_idle()
                return True
        return False

    def move(self, state: State) -> None:
        """Go to ``state``; raises ValueError for a move the table does not have."""
        if state not in MOVES[self.state]:
            raise ValueError(f"the daemon cannot go from {self.state.name} to {state.name}")
        self.state = state
        _log.info("daemon_%s", state.value)


def check_start(settings: Settings, models: Models) -> None:
    """Check what no single value shows. Raises SettingsError with the remedy."""
    if not _is_loopback(settings.bind):
        raise SettingsError(
            f"bind: {settings.bind!r} is not a loopback address; ocpd has no keys yet, so it "
            "serves this machine only (127.0.0.1, ::1 or localhost)"
        )
    if settings.claude_bin and not is_executable(settings.claude_bin):
        raise SettingsError(f"claudeBin: {settings.claude_bin!r} is not an executable file")
    try:
        models.resolve(settings.default_model, default="sonnet", unknown="refuse")
    except BadRequest as error:
        raise SettingsError(f"defaultModel: {error.message}") from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def open_daemon(
    settings: Settings, models: Models, environ: Mapping[str, str], lane: Lane
) -> AsyncIterator[Daemon]:
    """Start everything, yield the daemon when it serves, and take everything down.

    Raises SettingsError before anything is started, CannotListen when the address is taken.
    """
    check_start(settings, models)
    child_environment = build_environment(
        environ, lane=lane, version=VERSION, cli_max_retries=settings.cli_max_retries
    )
    state = state_directory(environ)
    probe = Probe(settings.claude_bin, environ, child_environment)
    login = Login(
        probe,
        has_token="CLAUDE_CODE_OAUTH_TOKEN" in child_environment,
        timeout_s=settings.auth_check_timeout_ms / 1000,
    )
    admission = Admission(settings.max_concurrent, settings.max_queue, settings.queue_retry_after_s)
    ledger = Ledger(lambda outcome: _note_login(login, outcome))
    default = models.resolve(None, default=settings.default_model, unknown="refuse")
    async with contextlib.AsyncExitStack() as house:
        child_environment["TMPDIR"] = _make_scratch(state, house)
        pool = await house.enter_async_context(
            Pool(probe, child_environment, state, _spares(settings))
        )
        hall = await house.enter_async_context(Hall(pool, admission, ledger, _times(settings)))
        chores = await house.enter_async_context(Nursery("chores"))
        sources = Sources(settings, probe, login, pool, admission, ledger, models)
        health = Health(sources, version=VERSION, demo=lane.demo, nursery=chores)
        defaults = Defaults(settings.default_model, settings.unknown_model, settings.max_body_bytes)
        router = front_door(
            Turns(OPENAI_CHAT, hall, models, defaults),
            Listing(models, int(wall_clock())),
            health,
        )
        extra = (DEMO_HEADER,) if lane.demo else ()
        server = await house.enter_async_context(
            Server(make_handler(router), _limits(settings), extra)
        )
        daemon = Daemon(settings, server, hall)
        daemon.health = health
        daemon.address = await _listen(server, settings)
        await login.check()
        if probe.latest is not None and default.listed:
            pool.warm(default.id)
        chores.spawn(_watch_login(login, settings.auth_check_interval_ms / 1000), "login watch")
        daemon.move(State.READY)
        try:
            yield daemon
        finally:
            daemon.move(State.STOPPED)


def _make_scratch(state: Path, house: contextlib.AsyncExitStack) -> str:
    try:
        return str(house.enter_context(scratch_directory(state)))
    except OSError as error:
        raise SettingsError(f"OCPD_STATE_DIR: cannot write to {state}: {error.strerror}") from error


async def _listen(server: Server, settings: Settings) -> tuple[str, int]:
    try:
        return await server.listen(settings.bind, settings.port)
    except OSError as error:
        holder = find_occupant(settings.port)
        held = f"; {holder} holds it" if holder else ""
        raise CannotListen(
            f"cannot listen on {settings.bind}:{settings.port}: {error.strerror or error}{held}"
        ) from error


async def _watch_login(login: Login, interval_s: float) -> None:
    """Look at the login from time to time. The one place that waits for time itself to pass."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                await asyncio.Event().wait()
        await login.check()


def _note_login(login: Login, outcome: Outcome) -> None:
    if outcome.state is TurnState.FINISHED:
        login.note_turn(accepted=True)
    elif outcome.error is not None and outcome.error.code == "not_signed_in":
        login.note_turn(accepted=False)


def _spares(settings: Settings) -> SpareLimits:
    return SpareLimits(
        per_model=settings.spares,
        most=settings.max_spares,
        memory_mb=settings.spare_memory_mb,
        idle_s=settings.spare_idle_ms / 1000,
    )


def _times(settings: Settings) -> TimeLimits:
    return TimeLimits(
        first_byte_s=settings.first_byte_timeout_ms / 1000, total_s=settings.timeout_ms / 1000
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        header_timeout_s=settings.header_timeout_ms / 1000,
        body_timeout_s=settings.body_timeout_ms / 1000,
        idle_timeout_s=settings.idle_timeout_ms / 1000,
        max_body_bytes=settings.max_body_bytes,
    )


def describe(daemon: Daemon) -> str:
    """Return the greeting of a daemon that is ready: address, CLI, login, one curl to try."""
    report = daemon.report()
    claude = report.claude
    lines = [f"ocpd {report.version} listens on {daemon.url}"]
    if claude.path is None:
        lines.append(f"  Claude CLI: {claude.problem}")
    else:
        lines.append(f"  Claude CLI: {claude.path} ({claude.version or 'version unknown'})")
        lines += [f"  {text}" for text in (claude.problem, claude.warning) if text]
        lines.append(f"  signed in:  {_signed_in(report)}")
    question = '{"model":"sonnet","messages":[{"role":"user","content":"Hello!"}]}'
    lines += [
        "  try:",
        f"    curl {daemon.url}/v1/chat/completions -H 'content-type: application/json' "
        f"-d '{question}'",
    ]
    return "\n".join(lines)


def _signed_in(report: Report) -> str:
    if report.demo:
        return "no (demo: the answers are canned)"
    match report.auth.ok:
        case True:
            return "yes"
        case False:
            return report.auth.message
        case None:
            return f"unknown ({report.auth.message})"
