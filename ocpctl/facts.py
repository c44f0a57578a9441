"""What ``ocpctl doctor`` knows before it judges: plain records, filled by ``checkup``.

What may live here: fields and what they mean. A fact that nobody could find out keeps its default,
and no default is a reason to complain.
"""

from __future__ import annotations

from ocpctl.fields import Fields

# How asking the daemon went.
ANSWERED = "answered"
ABSENT = "absent"
FORBIDDEN = "forbidden"
BROKEN = "broken"

# The caller and the group of the system's socket.
IN_GROUP = "in"
NOT_YET = "not yet"  # since the last login
OUTSIDE = "outside"
NO_GROUP = "no such group"


class Service:
    """A unit that knows ocpd, or Homebrew's service. ``is_owner``: it runs the daemon that
    answered; ``user`` is whom it runs as, as far as that is told."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.user = ""
        self.pid = 0
        self.is_running = False
        self.is_enabled = False
        self.is_masked = False
        self.is_owner = False
        self.hides_homes = False
        self.last_exit = 0
        self.start = ""
        self.disable = ""
        self.log = ""


class Entry:
    """A file or folder: whose it is, its mode, and whether it is there."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_there = False
        self.uid = -1
        self.owner = ""
        self.group = ""
        self.mode = 0


class Cli:
    """The Claude CLI. ``version`` is what it says; ``hindrance`` why the daemon's user cannot run
    it, "" if nothing is known to be in the way."""

    def __init__(self) -> None:
        self.path = ""
        self.real_path = ""
        self.version = ""
        self.hindrance = ""


class Facts:
    """All of it. ``health``, ``status``, ``auth`` and ``settings`` are the daemon's own answers;
    ``user`` and ``uid`` are whom it runs or would run as; ``port_holder`` reads "node (pid 12)"
    and is "" if the port is free, "?" if somebody holds it who is not ours to see."""

    version = ""
    platform = "linux"
    now = 0.0
    caller = ""
    is_root = False
    instance = ""

    reached = ABSENT
    trouble = ""
    place = ""
    is_remote = False
    peer_pid = 0
    health = Fields(None)
    status = Fields(None)
    auth = Fields(None)
    settings = Fields(None)

    services: tuple[Service, ...] = ()
    sockets: tuple[Entry, ...] = ()
    socket_group = NO_GROUP
    lingers: bool | None = None

    user = ""
    uid = -1
    cli: Cli
    state: Entry
    config: Entry
    config_fault = ""
    is_config_hidden = False

    port = 0
    port_holder = ""
    port_pid = 0
    free_mb: int | None = None
    memory_mb: int | None = None

    def __init__(self) -> None:
        self.cli = Cli()
        self.state = Entry("")
        self.config = Entry("")

    @property
    def is_up(self) -> bool:
        """Has the daemon answered?"""
        return self.reached == ANSWERED

    @property
    def is_running(self) -> bool:
        """Does it run, as far as can be seen, whether it has answered or not?"""
        return self.reached != ABSENT or any(service.is_running for service in self.services)

    @property
    def is_system(self) -> bool:
        """Is it, or would it be, the service of the system?"""
        owner = next((service for service in self.services if service.is_owner), None)
        if owner is not None:
            return owner.kind == "system"
        if self.place:
            return self.place.startswith("/run/ocpd")
        # Debian's package has a unit for users, too, which need not be meant.
        meant = [service for service in self.services if service.is_running or service.is_enabled]
        return {service.kind for service in meant or self.services} == {"system"}

    @property
    def is_other_user(self) -> bool:
        """Does the daemon run as somebody else than who asks?"""
        return bool(self.user) and self.user != self.caller
