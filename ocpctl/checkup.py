"""Gathers the facts of ``ocpctl doctor``: asks the daemon, the service managers and the machine.

What may live here: asking and looking, and nothing is changed by it. What the facts mean is judged
in ``diagnosis``. What cannot be found out stays unknown. Files are looked at in ``inspection``.
"""

from __future__ import annotations

import os
import sys
import time

from ocpctl import inspection, services
from ocpctl.claude import find_cli, find_fetched
from ocpctl.facts import ABSENT, ANSWERED, BROKEN, FORBIDDEN, Facts, Service
from ocpctl.failures import Failure, NoAccess, NotRunning
from ocpctl.fields import Fields
from ocpctl.places import SYSTEM, USER
from ocpctl.ports import find_holders
from ocpctl.runner import (
    SYSTEM_PATH,
    Account,
    calling_account,
    find_account,
    find_named,
    has_program,
    run_quietly,
)
from ocpctl.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocpctl.client import Client
    from ocpctl.desk import Desk
    from ocpctl.services import Manager

SERVICE_USER = "ocpd"
_PORT = 3456
_VERSION_WITHIN_S = 20.0
# What ProtectHome= hides (systemd.exec(5)).
_HOMES = ("/home", "/root", "/run/user")


def gather(desk: Desk) -> Facts:
    """Find out what can be found out. Never raises for what is wrong with the daemon."""
    facts, me = Facts(), calling_account()
    facts.version, facts.platform = VERSION, sys.platform
    facts.now = time.time()  # noqa: TID251 - the age of what the daemon says with its own clock
    facts.caller, facts.is_root = me.name, os.geteuid() == 0
    facts.instance = desk.instance or ""
    _ask_daemon(desk.client, facts)
    if facts.is_remote:
        return facts
    facts.services = _look_at_services(desk, facts)
    account = _daemon_account(facts, me)
    facts.user, facts.uid = account.name, account.uid
    _look_at_sockets(desk.client, facts, me)
    _look_at_files(facts, account)
    _look_at_cli(facts, account, me)
    _look_at_port(facts)
    facts.lingers = _find_lingers(facts)
    facts.free_mb = inspection.free_mb(facts.state.path)
    facts.memory_mb = inspection.memory_mb()
    return facts


# The daemon's words.


def _ask_daemon(client: Client, facts: Facts) -> None:
    try:
        facts.health = Fields(client.get("health"))
        facts.reached = ANSWERED
    except NotRunning as failure:
        facts.reached, facts.trouble = ABSENT, failure.message
    except NoAccess as failure:
        facts.reached, facts.trouble = FORBIDDEN, failure.message
    except Failure as failure:
        facts.reached, facts.trouble = BROKEN, failure.message
    if client.place is not None:
        facts.place = str(client.place)
        facts.peer_pid = client.peer_pid or 0
        facts.is_remote = client.place.is_tcp and not services.is_here(client.place.host)
    if facts.is_up:
        facts.status = _ask(client, "status")
        facts.auth = _ask(client, "admin", "auth")
        facts.settings = _ask(client, "settings")


def _ask(client: Client, *segments: str) -> Fields:
    try:
        return Fields(client.get(*segments))
    except Failure:
        return Fields(None)


# Who runs it.


def _look_at_services(desk: Desk, facts: Facts) -> tuple[Service, ...]:
    managers = services.find_managers(desk.instance)
    owner = None
    if facts.is_up:
        pid = services.daemon_pid(desk.client, facts.health)
        owner = services.choose_manager(managers, desk.client, pid)
        if owner is not None and owner not in managers:
            managers.append(owner)
    return tuple(_describe(manager, is_owner=manager is owner) for manager in managers)


def _describe(manager: Manager, *, is_owner: bool) -> Service:
    told = Service(manager.kind, manager.name)
    told.user, told.pid, told.is_owner = manager.user, manager.main_pid, is_owner
    told.is_running, told.is_enabled = manager.is_running, manager.is_enabled
    told.hides_homes, told.last_exit = manager.hides_homes, manager.last_exit
    sudo = "sudo " if manager.kind == SYSTEM and os.geteuid() != 0 else ""
    told.log = f"{sudo}{manager.log_command}"
    told.is_masked = isinstance(manager, services.Systemd) and manager.is_masked
    told.start = f"{sudo}{manager.start_command}"
    told.disable = f"{sudo}{manager.disable_command}"
    return told


def _find_lingers(facts: Facts) -> bool | None:
    if not any(s.kind == USER for s in facts.services) or not has_program("loginctl"):
        return None
    done = run_quietly(["loginctl", "show-user", facts.caller, "--property=Linger"])
    return {"Linger=yes": True, "Linger=no": False}.get(done.output) if done.is_ok else None


def _daemon_account(facts: Facts, me: Account) -> Account:
    """Whom the daemon runs as, or would run as."""
    uid = facts.auth.number("uid")
    if isinstance(uid, int) and uid >= 0:
        known = find_account(uid)
        return Account(uid, known.gid, known.name, facts.auth.raw("home") or known.home)
    if not facts.is_system:
        return me
    named = next((s.user for s in facts.services if s.kind == SYSTEM and s.user), SERVICE_USER)
    return find_named(named) or me


# Its files.


def _look_at_sockets(client: Client, facts: Facts, me: Account) -> None:
    paths = [place.path for place in client.places if not place.is_tcp]
    facts.sockets = tuple(inspection.look_at(path) for path in paths)
    facts.socket_group = inspection.find_membership(SERVICE_USER, me)
    if not facts.place:
        there = [socket.path for socket in facts.sockets if socket.is_there]
        facts.place = there[0] if there else ""


def _look_at_files(facts: Facts, account: Account) -> None:
    told = facts.health.part("place")
    folder = f"ocpd-{facts.instance}" if facts.instance else "ocpd"
    state = told.raw("stateDirectory")
    if not state:
        state = f"/var/lib/{folder}" if facts.is_system else _users_state(account, folder)
    facts.state = inspection.look_at(state)
    config = told.raw("configFile") if "configFile" in told else _find_config(facts, account)
    facts.config = inspection.look_at(config)
    if not facts.config.is_there:
        return
    if facts.is_other_user:
        facts.is_config_hidden = bool(inspection.find_hindrance(config, account, os.R_OK))
    facts.config_fault = _find_config_fault(config)


def _users_state(account: Account, folder: str) -> str:
    if account.is_self and folder == "ocpd" and (own := os.environ.get("OCPD_STATE_DIR")):
        return own
    if account.is_self and (state := os.environ.get("XDG_STATE_HOME")):
        return f"{state}/{folder}"
    return f"{account.home}/.local/state/{folder}"


def _find_config(facts: Facts, account: Account) -> str:
    """Where a daemon that does not run would look for its config file; "" if none is there."""
    paths = ["/etc/ocpd/ocpd.toml"]
    if not facts.is_system:
        own = account.is_self and os.environ.get("XDG_CONFIG_HOME")
        paths.insert(0, f"{own or f'{account.home}/.config'}/ocpd/ocpd.toml")
        if account.is_self and (named := os.environ.get("OCPD_CONFIG")):
            paths = [named]
    return next((path for path in paths if os.path.lexists(path)), "")


def _find_config_fault(path: str) -> str:
    """What ocpd itself has against the file. It has to be the file's own fault: the service may
    have variables that we do not."""
    if not has_program("ocpd") or not os.access(path, os.R_OK):
        return ""
    done = run_quietly(["ocpd", "--check", "--config", path], is_bare=True)
    said = done.output.splitlines()[-1].removeprefix("ocpd: ") if done.output else ""
    return said if not done.is_ok and "config file" in said else ""


# The CLI.


def _look_at_cli(facts: Facts, account: Account, me: Account) -> None:
    cli = facts.cli
    cli.path = facts.health.part("claude").raw("path")
    if cli.path:
        cli.real_path = os.path.realpath(cli.path)
        return
    named = inspection.read_entry(facts.config.path, "claudeBin")
    if not account.is_self:
        cli.path = named or find_cli({"PATH": SYSTEM_PATH, "HOME": account.home})
    # sudo's HOME is root's: who typed it may have one in their own.
    cli.path = cli.path or named or find_cli(os.environ) or find_cli({"HOME": me.home})
    if not cli.path and account.is_self:
        cli.path = find_fetched()
    if not cli.path:
        return
    cli.real_path = os.path.realpath(cli.path)
    if facts.is_other_user:
        cli.hindrance = _find_cli_hindrance(facts, account)
    if not facts.is_up and not cli.hindrance:
        runs_as = account if facts.is_root else None
        done = run_quietly([cli.path, "--version"], runs_as, within_s=_VERSION_WITHIN_S)
        cli.version = done.output.partition(" ")[0] if done.is_ok else ""


def _find_cli_hindrance(facts: Facts, account: Account) -> str:
    path = facts.cli.real_path
    is_home = any(os.path.commonpath((path, top)) == top for top in _HOMES)
    if is_home and any(s.hides_homes for s in facts.services if s.kind == SYSTEM):
        return "the service sees nothing of people's homes (ProtectHome)"
    blocked = inspection.find_hindrance(path, account, os.R_OK | os.X_OK)
    return f"{account.name} may not use {blocked}" if blocked else ""


# Its port.


def _look_at_port(facts: Facts) -> None:
    port = facts.settings.part("port").count("value")
    if not port and not facts.is_up:
        told = inspection.read_entry(facts.config.path, "port")
        port = int(told) if told.isdecimal() else (0 if facts.instance else _PORT)
    holders = find_holders(port) if port else None
    if holders is None:
        return
    facts.port = port
    daemon = facts.health.count("pid") or facts.peer_pid
    ours = [h for h in holders if h.pid in (1, daemon) and h.pid]
    holder = next(iter(ours or holders), None)
    if holder is not None:
        facts.port_holder, facts.port_pid = str(holder), holder.pid
