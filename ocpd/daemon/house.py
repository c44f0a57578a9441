"""The house, put up from the ground: every room is made here.

What may live here: the order. Rooms stand in start order; they are left in the reverse one.
"""

import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from ocpd.admin.tokens import KnownTokens
from ocpd.aio import Nursery, wall_clock
from ocpd.api.doorkeeper import Doorkeeper
from ocpd.api.health import Health, Place, Sources
from ocpd.api.intake import Conditions, Intake
from ocpd.api.listing import Listing
from ocpd.api.presence import Presence
from ocpd.api.routes import face_world, front_door
from ocpd.api.sessions import Sessions
from ocpd.api.turns import Turns
from ocpd.daemon.chores import PlanWatch, expire_answers, expire_sessions, fold_usage, watch_login
from ocpd.daemon.live import Live, Parts, Surroundings
from ocpd.daemon.office import Office, Supplies, furnish, known_tokens
from ocpd.daemon.start import (
    SOCKET_VARIABLE,
    CannotStart,
    Door,
    Start,
    find_door,
    inherited_door,
    load_with,
    read_files,
)
from ocpd.daemon.state import Daemon, Handles, State
from ocpd.daemon.tuning import (
    anonymous_quota,
    client_limits,
    plan_rules,
    pool_limits,
    queue_wait_s,
    turn_times,
)
from ocpd.daemon.version import VERSION
from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.dispatch.admission import Admission
from ocpd.dispatch.bookkeeping import does_count, usage_row
from ocpd.dispatch.encore import Encore
from ocpd.dispatch.gate import Gate
from ocpd.dispatch.hall import Hall
from ocpd.dispatch.ledger import Ledger
from ocpd.errors import OcpdError
from ocpd.http.inherited import Inherited
from ocpd.http.listener import Server
from ocpd.http.router import Router
from ocpd.http.sentry import Sentry
from ocpd.pool.home import scratch_directory, state_directory
from ocpd.pool.login import Login
from ocpd.pool.pool import Pool
from ocpd.pool.probe import Probe
from ocpd.pool.token import VARIABLE, TokenSafe
from ocpd.settings.knob import SettingsError
from ocpd.settings.load import Loaded
from ocpd.store.store import Store
from ocpd.turn.outcome import Outcome, TurnState

_log = logging.getLogger("ocpd.daemon")

VERSION_HEADER = ("x-ocpd-version", VERSION)
DEMO_HEADER = ("x-ocpd-demo", "1")


class Rooms(msgspec.Struct, frozen=True):
    """What stands when the doors are opened."""

    loaded: Loaded
    store: Store
    token: TokenSafe
    probe: Probe
    login: Login
    pool: Pool
    admission: Admission
    gate: Gate
    ledger: Ledger
    hall: Hall
    live: Live
    chores: Nursery


@contextlib.asynccontextmanager
async def open_daemon(start: Start) -> AsyncIterator[Daemon]:
    """Start everything, yield the daemon when it serves, and take everything down.

    Raises SettingsError for settings it cannot be started with, CannotStart when the state
    directory or an address is taken.
    """
    # Before anything on disk is touched; what was changed at run time comes with the store.
    load_with(start, {})
    async with AsyncExitStack() as stack:
        rooms = await _open_rooms(start, stack)
        daemon = await _open_doors(start, rooms, stack)
        live, chores = rooms.live, rooms.chores
        await rooms.login.check()
        default = live.models.resolve(None, default=live.settings.default_model, unknown="refuse")
        if rooms.probe.latest is not None and default.listed:
            rooms.pool.warm(default.id)
        chores.spawn(watch_login(rooms.login, lambda: live.settings), "login watch")
        chores.spawn(fold_usage(rooms.store.usage, lambda: live.settings), "usage folding")
        chores.spawn(expire_sessions(rooms.store.conversations, lambda: live.settings), "sessions")
        chores.spawn(expire_answers(rooms.store.cache, lambda: live.settings), "answers")
        daemon.move(State.READY)
        try:
            yield daemon
        finally:
            daemon.move(State.STOPPED)


async def _open_rooms(start: Start, stack: AsyncExitStack) -> Rooms:
    state = state_directory(start.environ)
    scratch = _make_scratch(state, stack)
    store = await _open_store(state, stack)
    loaded = load_with(start, store.knobs.all())
    settings = loaded.settings
    for note in (*loaded.notes, *start.notes):
        _log.warning("setting_has_no_effect", extra={"note": note})
    token = TokenSafe(state)
    surroundings = Surroundings(start, token, scratch)
    environment = surroundings.make(settings)
    probe = Probe(settings.claude_bin, start.environ, environment)
    login = Login(
        probe,
        has_token=VARIABLE in environment,
        timeout_s=settings.auth_check_timeout_ms / 1000,
    )
    pool = await stack.enter_async_context(Pool(probe, environment, state, pool_limits(settings)))
    admission = Admission(
        settings.max_concurrent,
        settings.max_queue,
        settings.queue_retry_after_s,
        queue_wait_s(settings),
    )
    gate = Gate(store.quotas, store.usage, store.plan, anonymous_quota(settings))
    gate.guard.rules = plan_rules(settings)
    ledger = Ledger(lambda outcome: _keep(store, login, gate, outcome))
    return Rooms(
        loaded=loaded,
        store=store,
        token=token,
        probe=probe,
        login=login,
        pool=pool,
        admission=admission,
        gate=gate,
        ledger=ledger,
        hall=await stack.enter_async_context(
            Hall(pool, admission, ledger, turn_times(settings), gate=gate)
        ),
        live=Live(start, settings, read_files(start, settings), surroundings),
        chores=await stack.enter_async_context(Nursery("chores")),
    )


async def _open_doors(start: Start, rooms: Rooms, stack: AsyncExitStack) -> Daemon:
    live = rooms.live
    door = _find_door(start)
    entry = _make_entry(start, rooms)
    sources = _health_sources(start, rooms, entry.doorkeeper)
    health = Health(sources, VERSION, start.lane.demo, rooms.chores)
    sessions = Sessions(rooms.store.conversations, lambda: live.settings.session_ttl_ms / 1000)
    conditions = Conditions(live.settings, live.models, live.registry)
    intake = Intake(OPENAI_CHAT, entry.doorkeeper.admit, conditions)
    encore = await stack.enter_async_context(
        Encore(rooms.hall, rooms.store.cache, lambda: live.settings.cache_ttl_ms / 1000)
    )
    turns = Turns(OPENAI_CHAT, rooms.hall, sessions, intake, entry.presence, encore)
    listing = Listing(live.models, int(wall_clock()), entry.doorkeeper.admit)
    office = _furnish(start, rooms, health, door, entry, encore)
    router = Router([*front_door(turns, listing, health, entry.doorkeeper), *office.routes])
    headers = (VERSION_HEADER, DEMO_HEADER) if start.lane.demo else (VERSION_HEADER,)
    server = await stack.enter_async_context(
        Server(face_world(router, entry.doorkeeper), client_limits(live.settings), headers)
    )
    await live.listen(
        server,
        Parts(
            rooms.admission,
            rooms.gate,
            rooms.probe,
            rooms.login,
            rooms.pool,
            conditions,
            listing,
            entry.doorkeeper,
            entry.presence,
        ),
    )
    await _listen_unix(server, door, start.inherited)
    return Daemon(
        Handles(
            settings=lambda: live.settings,
            addresses=lambda: live.addresses,
            urls=lambda: live.urls,
            socket=str(door.path),
            server=server,
            hall=rooms.hall,
            report=health.report,
            reload=office.reload,
            end_followers=office.end_followers,
        )
    )


class Entry(msgspec.Struct, frozen=True):
    """Who may come in, and who is in."""

    tokens: KnownTokens
    sentry: Sentry
    doorkeeper: Doorkeeper
    presence: Presence


def _make_entry(start: Start, rooms: Rooms) -> Entry:
    live, keys = rooms.live, rooms.store.keys
    tokens, sentry = known_tokens(start, rooms.store), Sentry()
    doorkeeper = Doorkeeper(tokens, live.doors, sentry)
    presence = Presence(doorkeeper.time_left, lambda: live.settings.revoke_running)
    keys.on_change(presence.review)
    return Entry(tokens, sentry, doorkeeper, presence)


def _health_sources(start: Start, rooms: Rooms, doorkeeper: Doorkeeper) -> Sources:
    live = rooms.live
    return Sources(
        settings=lambda: live.settings,
        doors=lambda: live.doors,
        sees_all=doorkeeper.sees_all,
        probe=rooms.probe,
        login=rooms.login,
        pool=rooms.pool,
        admission=rooms.admission,
        ledger=rooms.ledger,
        models=lambda: live.models,
        registry=lambda: live.registry,
        plan_guard=rooms.gate.guard.state,
        place=Place(str(state_directory(start.environ)), start.config_file),
        urls=lambda: live.urls,
        problems=live.problems,
    )


def _furnish(
    start: Start, rooms: Rooms, health: Health, door: Door, entry: Entry, encore: Encore
) -> Office:
    live = rooms.live
    plan = PlanWatch(rooms.pool, rooms.login, rooms.store.plan, rooms.chores)
    return furnish(
        Supplies(
            start=start,
            loaded=rooms.loaded,
            store=rooms.store,
            live=live,
            login=rooms.login,
            probe=rooms.probe,
            token=rooms.token,
            report=health.report,
            note_look=plan.note_look,
            forget_resting=rooms.pool.forget,
            count_running=rooms.gate.count_running,
            crowd=encore.crowd,
            group=door.group,
            tokens=entry.tokens,
            sentry=entry.sentry,
        )
    )


def _make_scratch(state: Path, stack: AsyncExitStack) -> str:
    try:
        return str(stack.enter_context(scratch_directory(state)))
    except OSError as error:
        raise SettingsError(f"OCPD_STATE_DIR: cannot write to {state}: {error.strerror}") from error


async def _open_store(state: Path, stack: AsyncExitStack) -> Store:
    try:
        return await stack.enter_async_context(Store(state))
    except OcpdError as error:
        raise CannotStart(f"the database in {state}: {error.message}") from error


def _find_door(start: Start) -> Door:
    if (path := start.inherited.path) is not None:
        return inherited_door(path)
    return find_door(start.environ, state_directory(start.environ))


async def _listen_unix(server: Server, door: Door, inherited: Inherited) -> None:
    if inherited.unix:
        await server.adopt(inherited.unix)
        return
    try:
        await server.listen_unix(door.path, mode=door.mode, group=door.group)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {door.path}: {error.strerror or error}; {SOCKET_VARIABLE} names "
            "another place"
        ) from error


def _keep(store: Store, login: Login, gate: Gate, outcome: Outcome) -> None:
    """What follows from the end of a turn, whatever it was."""
    store.usage.record(usage_row(outcome, wall_clock()), counted=does_count(outcome))
    gate.settle(outcome)
    if outcome.caller.key_id is not None:
        store.keys.touch(outcome.caller.key_id)
    if outcome.state is TurnState.FINISHED:
        login.note_turn(accepted=True)
    elif outcome.error is not None and outcome.error.code == "not_signed_in":
        login.note_turn(accepted=False)
