"""The back door, furnished: every handler with what it needs.

What may live here: putting ``admin`` together.
"""

import logging
from collections.abc import Awaitable, Callable

import msgspec

from ocpd.admin.access import Doorman, make_policy
from ocpd.admin.audit import Audit, Journal
from ocpd.admin.backup import Backup
from ocpd.admin.cache import Cache
from ocpd.admin.desk import Desk, Inputs, Rejected
from ocpd.admin.keys import Keys
from ocpd.admin.knobs import Knobs, tell_changed
from ocpd.admin.login import Login, LoginSources
from ocpd.admin.logs import Logs
from ocpd.admin.peers import find_user, make_guest_list
from ocpd.admin.quotas import Quotas
from ocpd.admin.routes import Desks, back_door
from ocpd.admin.sessions import KeptSessions, Sessions
from ocpd.admin.status import Report, Status, StatusSources
from ocpd.admin.takeover import Takeover
from ocpd.admin.tokens import KnownTokens
from ocpd.admin.usage import Usage
from ocpd.aio import wall_clock
from ocpd.daemon.live import Live
from ocpd.daemon.start import Start
from ocpd.http.router import Route
from ocpd.http.sentry import Sentry
from ocpd.pool.login import Login as LoginVerdict
from ocpd.pool.probe import Probe
from ocpd.pool.token import TokenSafe
from ocpd.settings.load import Loaded
from ocpd.store.store import Store

_log = logging.getLogger("ocpd.daemon")

ADMIN_VARIABLES = ("OCPD_ADMIN_KEY", "OCP_ADMIN_KEY")


def known_tokens(start: Start, store: Store) -> KnownTokens:
    """Return who knows the store's keys and the admin keys of the service's environment."""
    given = tuple(start.environ[name] for name in ADMIN_VARIABLES if start.environ.get(name))
    return KnownTokens(store.keys, given)


class Supplies(msgspec.Struct, frozen=True):
    """What the back door needs of the house. ``group`` may use the Unix socket beside its owner;
    ``note_look`` is told that somebody looked at a stale plan; ``count_running`` tells how many
    requests of a key wait or run, ``crowd`` how many answers are being made that may be given
    again, and how many callers wait for one that another makes."""

    start: Start
    loaded: Loaded
    store: Store
    live: Live
    login: LoginVerdict
    probe: Probe
    token: TokenSafe
    report: Callable[[], Report]
    note_look: Callable[[], None]
    forget_resting: Callable[[], int]
    count_running: Callable[[int], int]
    crowd: Callable[[], tuple[int, int]]
    group: str | None
    tokens: KnownTokens
    sentry: Sentry


class Office(msgspec.Struct, frozen=True):
    """The back door as the house holds it."""

    routes: tuple[Route, ...]
    reload: Callable[[], Awaitable[None]]
    end_followers: Callable[[], None]


def furnish(s: Supplies) -> Office:
    """Make every handler."""
    store, live = s.store, s.live
    journal, sessions = Journal(store.audit), KeptSessions(store.conversations, s.forget_resting)
    start = s.start
    inputs = Inputs(
        start.argv,
        start.environ,
        start.read_file,
        live.check,
        live.check_afresh,
        start.inherited.unit,
    )
    desk = Desk(inputs, store.knobs, live.apply, file=start.file, loaded=s.loaded)
    logs = Logs(start.ring)
    desks = Desks(
        status=Status(
            StatusSources(
                report=s.report,
                store=store,
                active_sessions=lambda: len(sessions.list()),
                started_at=wall_clock(),
                note_look=s.note_look,
            )
        ),
        usage=Usage(store.usage),
        keys=Keys(store.keys, store.quotas, live.resolve, journal),
        quotas=Quotas(store.keys, store.quotas, store.usage, journal, s.count_running),
        knobs=Knobs(desk, journal),
        logs=logs,
        sessions=Sessions(sessions, journal),
        cache=Cache(store.cache, journal, s.crowd),
        backup=Backup(
            store, Takeover(store, desk, live.resolve), lambda: _follow_restored(desk, s), journal
        ),
        login=Login(_login_sources(s), journal),
        audit=Audit(store.audit),
    )
    return Office(back_door(desks, _doorman(s)), lambda: _reload(desk), logs.close)


async def _follow_restored(desk: Desk, s: Supplies) -> None:
    # Whose conversations these were, the restored store may not know any more.
    s.forget_resting()
    await desk.refresh()


def _login_sources(s: Supplies) -> LoginSources:
    return LoginSources(
        login=s.login,
        probe=s.probe,
        safe=s.token,
        keys=s.store.keys,
        environ=s.start.environ,
        renew=s.live.renew,
    )


def _doorman(s: Supplies) -> Doorman:
    live = s.live
    return Doorman(
        s.tokens,
        lambda: make_policy(live.settings.loopback_admin, live.doors),
        make_guest_list(s.group),
        find_user,
        s.sentry,
    )


async def _reload(desk: Desk) -> None:
    """Reload because the service manager said so."""
    try:
        changed = await desk.reload()
    except Rejected as error:
        _log.error("reload_refused", extra={"reason": error.message})
    else:
        _log.info("reloaded", extra={"changed": tell_changed(changed)})
