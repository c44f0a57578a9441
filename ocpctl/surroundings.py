"""What the machine around the daemon means: services, port, sockets, files, room.

What may live here: judgement over ``Facts``, as in ``diagnosis``, which calls it. Pure.
"""

from __future__ import annotations

from ocpctl.findings import MUST, OK, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocpctl.facts import Entry, Facts

# A process of the CLI takes 100 to 150 MB.
_LITTLE_MEMORY_MB = 400
_LITTLE_DISK_MB = 500
_NO_DISK_MB = 50

_OTHERS = 0o007
_ALL_BUT_OWNER = 0o077
_GROUP = 0o060


def judge_services(facts: Facts) -> Iterable[Finding]:
    """Would two daemons get into each other's way?"""
    active = [s for s in facts.services if s.is_running or s.is_enabled]
    kinds = {service.kind for service in active}
    if len(kinds) < 2:
        return
    running = [service for service in active if service.is_running]
    what = "run" if len(running) > 1 else "are to run"
    names = " and ".join(f"the {service.kind}'s {service.name}" for service in active)
    yield Finding(
        WARNING,
        "services",
        f"{names} {what} at once, and only one can have the port",
        ("keep one of them: " + ", or: ".join(service.disable for service in active),),
    )


def judge_linger(facts: Facts) -> Iterable[Finding]:
    """Does the user's service outlive the login?"""
    is_user = any(s.kind == "user" and (s.is_running or s.is_enabled) for s in facts.services)
    if not is_user or facts.lingers is None:
        return
    if facts.lingers:
        yield Finding(OK, "linger", f"the service of {facts.caller} goes on after a logout")
        return
    yield Finding(
        WARNING,
        "linger",
        "the user's service stops when you log out, and starts when you log in",
        (f"loginctl enable-linger {facts.caller}",),
    )


def judge_port(facts: Facts) -> Iterable[Finding]:
    """Who owns the port?"""
    if not facts.port:
        return
    port, holder = facts.port, facts.port_holder
    if not holder:
        if facts.is_running:
            text = f"nobody is seen to listen on port {port}"
            yield Finding(WARNING, "port", text, ("ocpctl settings port",))
        else:
            yield Finding(OK, "port", f"port {port} is free")
        return
    daemon = facts.health.count("pid") or facts.peer_pid
    if facts.port_pid == 1:
        yield Finding(OK, "port", f"port {port} is kept by systemd, for ocpd's socket unit")
    elif facts.is_up and (facts.port_pid in (0, daemon) or not daemon):
        yield Finding(OK, "port", f"port {port} is ocpd's")
    elif facts.is_up:
        text = f"port {port} is held by {holder} too, on another address"
        yield Finding(WARNING, "port", text, _show_port(port))
    elif facts.is_running:
        yield Finding(OK, "port", f"port {port} is in use, by ocpd as far as can be seen")
    else:
        text = f"port {port} is held by {_spell_holder(holder)}"
        yield Finding(
            MUST,
            "port",
            f"{text}, so ocpd cannot have it",
            (*_show_port(port), "stop that program, or give ocpd another port (port in ocpd.toml)"),
        )


def _spell_holder(holder: str) -> str:
    return "a program of another user" if holder == "?" else holder


def _show_port(port: int) -> tuple[str, ...]:
    return (f"sudo ss -ltnp 'sport = :{port}'",)


def judge_sockets(facts: Facts) -> Iterable[Finding]:
    """May those use the socket who should, and nobody else?"""
    for socket in facts.sockets:
        if not socket.is_there:
            continue
        is_system = socket.path.startswith("/run/ocpd")
        if socket.mode & _OTHERS:
            text = f"everybody may use {_spell(socket)}"
            yield Finding(MUST, "socket", text, (f"sudo chmod o= {socket.path}",))
        elif is_system and socket.group not in ("ocpd", facts.user):
            text = f"{_spell(socket)} belongs to group {socket.group}, not to ocpd"
            yield Finding(WARNING, "socket", text, (f"sudo chgrp ocpd {socket.path}",))
        elif is_system and socket.mode & _GROUP != _GROUP:
            text = f"group ocpd may not use {_spell(socket)}"
            yield Finding(WARNING, "socket", text, (f"sudo chmod g+rw {socket.path}",))
        else:
            yield Finding(OK, "socket", _spell(socket))


def _spell(entry: Entry) -> str:
    return f"{entry.path} ({entry.owner}:{entry.group}, mode {entry.mode:04o})"


def judge_config(facts: Facts) -> Iterable[Finding]:
    """Can the config file be read, and does it fit?"""
    config = facts.config
    if facts.config_fault:
        then = "ocpctl reload" if facts.is_up else "start ocpd again"
        yield Finding(MUST, "config", facts.config_fault, (f"edit {config.path}, then: {then}",))
    elif facts.is_config_hidden:
        text = f"{facts.user} cannot read {_spell(config)}"
        yield Finding(
            MUST,
            "config",
            text,
            (f"sudo chgrp {facts.user} {config.path}", f"sudo chmod g+r {config.path}"),
        )
    elif config.is_there:
        yield Finding(OK, "config", _spell(config))
    elif not config.path:
        yield Finding(OK, "config", "no config file: defaults, and what ocpctl settings changed")


def judge_state(facts: Facts) -> Iterable[Finding]:
    """Is the state directory the daemon's, and only the daemon's?"""
    state = facts.state
    if not state.is_there:
        return
    if facts.uid >= 0 and state.uid != facts.uid:
        text = f"{_spell(state)} is not {facts.user}'s, so ocpd cannot keep anything"
        command = f"sudo chown -R {facts.user}: {state.path}"
        yield Finding(MUST, "state", text, (command,))
    elif state.mode & _ALL_BUT_OWNER:
        sudo = "sudo " if facts.is_other_user else ""
        text = f"others can look into {_spell(state)}"
        yield Finding(WARNING, "state", text, (f"{sudo}chmod 700 {state.path}",))
    else:
        yield Finding(OK, "state", _spell(state))


def judge_room(facts: Facts) -> Iterable[Finding]:
    """Is there disk and memory to work with?"""
    free, memory = facts.free_mb, facts.memory_mb
    if free is not None:
        text = f"{free} MB free for {facts.state.path}"
        if free >= _LITTLE_DISK_MB:
            yield Finding(OK, "disk", text)
        else:
            level = MUST if free < _NO_DISK_MB else WARNING
            yield Finding(level, "disk", f"only {text}", (f"df -h {facts.state.path}",))
    if memory is not None:
        if memory >= _LITTLE_MEMORY_MB:
            yield Finding(OK, "memory", f"{memory} MB available")
        else:
            text = f"only {memory} MB available, and each process of the CLI takes 100 to 150"
            yield Finding(WARNING, "memory", text, ("ocpctl settings maxProcesses 2",))
