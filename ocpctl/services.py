"""Who keeps ocpd running: systemd for the user or the system, or Homebrew's services.

What may live here: asking those managers, telling them to start, stop or restart ocpd, and seeing
that what answers then is what they have started.
"""

from __future__ import annotations

import time

from ocpctl.failures import Broken, Failure, NotRunning, Refused
from ocpctl.fields import Fields
from ocpctl.places import SYSTEM, USER
from ocpctl.runner import (
    Account,
    Done,
    calling_account,
    find_account,
    has_program,
    run_quietly,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocpctl.client import Client

ANSWER_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.1

# A stop lets running answers finish, for as long as the setting drainTimeout says: 600 s, or more.
_DRAINED_WITHIN_S = 3900.0

_PROPERTIES = (
    *("MainPID", "LoadState", "UnitFileState", "ExecMainStatus"),
    *("User", "ProtectHome"),
)
_PROC = "/proc"


class Systemd:
    """One unit of one systemd. ``account`` is whose it is; None for the system's."""

    def __init__(self, unit: str, account: Account | None) -> None:
        self.kind = SYSTEM if account is None else USER
        self.unit = unit
        self._account = account
        self._state: dict[str, str] | None = None

    @property
    def is_known(self) -> bool:
        """Is there such a unit? One of the system's that is masked was there, and counts."""
        return self._look().get("LoadState") == "loaded" or self.is_masked

    @property
    def is_masked(self) -> bool:
        """Has an admin forbidden that it starts?"""
        return self._look().get("LoadState") == "masked" and self._account is None

    @property
    def is_running(self) -> bool:
        """Does it run?"""
        return self.main_pid != 0

    @property
    def is_enabled(self) -> bool:
        """Does it start by itself?"""
        return self._look().get("UnitFileState") == "enabled"

    @property
    def main_pid(self) -> int:
        """The unit's process, 0 if it does not run."""
        return self._number("MainPID")

    @property
    def last_exit(self) -> int:
        """The exit code of the process before, 0 if there was none."""
        return self._number("ExecMainStatus")

    @property
    def user(self) -> str:
        """Whom its process runs as, as far as that is told."""
        return self._look().get("User", "") if self._account is None else self._account.name

    @property
    def hides_homes(self) -> bool:
        """Does its process see nothing of people's homes?"""
        return self._look().get("ProtectHome", "no") in ("yes", "tmpfs")

    @property
    def name(self) -> str:
        """What people call it."""
        return self.unit

    @property
    def log_command(self) -> str:
        """What shows its log."""
        user = "" if self._account is None else "--user "
        return f"journalctl {user}-u {self.unit.removesuffix('.service')} -n 50"

    @property
    def start_command(self) -> str:
        """What starts it, now and from now on; of one that is masked, what allows that."""
        if self.is_masked:
            return " ".join(self.command("unmask"))
        return " ".join((*self.command("enable")[:-1], "--now", self.unit))

    @property
    def disable_command(self) -> str:
        """What stops it for good."""
        return " ".join((*self.command("disable")[:-1], "--now", self.unit))

    def command(self, verb: str) -> list[str]:
        """The command line that does ``verb`` to it."""
        user = [] if self._account is None else ["--user"]
        return ["systemctl", *user, verb, self.unit]

    def act(self, verb: str) -> Done:
        """Start, stop or restart it; waits for answers that are being given."""
        self.forget()
        return run_quietly(self.command(verb), self._account, within_s=_DRAINED_WITHIN_S)

    def forget(self) -> None:
        """Ask again when its state is wanted next."""
        self._state = None

    def _number(self, name: str) -> int:
        told = self._look().get(name, "")
        return int(told) if told.isdecimal() else 0

    def _look(self) -> dict[str, str]:
        if self._state is None:
            words = [f"--property={name}" for name in _PROPERTIES]
            done = run_quietly([*self.command("show"), *words], self._account)
            pairs = (line.partition("=") for line in done.output.splitlines())
            self._state = {name: value for name, _, value in pairs} if done.is_ok else {}
        return self._state


class Brew:
    """The service of Homebrew's formula."""

    kind = USER
    name = "brew services"
    user = ""
    hides_homes = False
    main_pid = 0
    last_exit = 0
    log_command = "brew services info ocpd"
    start_command = "brew services start ocpd"
    disable_command = "brew services stop ocpd"

    def __init__(self) -> None:
        self._state: str | None = None

    @property
    def is_known(self) -> bool:
        """Is the formula there?"""
        return bool(self._look())

    @property
    def is_running(self) -> bool:
        """Does it run?"""
        return self._look() == "started"

    @property
    def is_enabled(self) -> bool:
        """Does it start by itself? What Homebrew starts does."""
        return self.is_running

    def command(self, verb: str) -> list[str]:
        """The command line that does ``verb`` to it."""
        return ["brew", "services", verb, "ocpd"]

    def act(self, verb: str) -> Done:
        """Start, stop or restart it; waits for answers that are being given."""
        self.forget()
        return run_quietly(self.command(verb), within_s=_DRAINED_WITHIN_S)

    def forget(self) -> None:
        """Ask again when its state is wanted next."""
        self._state = None

    def _look(self) -> str:
        if self._state is None:
            done = run_quietly(["brew", "services", "list"])
            rows = [line.split() for line in done.output.splitlines()] if done.is_ok else []
            states = [row[1] for row in rows if len(row) > 1 and row[0] == "ocpd"]
            self._state = states[0] if states else ""
        return self._state


Manager = Systemd | Brew


def find_managers(instance: str | None) -> list[Manager]:
    """The managers of this machine that know ocpd: those that run it or are to run it first, and
    then the user's before the system's. Debian's package has units for both."""
    found: list[Manager] = []
    if has_program("systemctl"):
        unit = f"ocpd@{instance}.service" if instance else "ocpd.service"
        found += [Systemd(unit, calling_account()), Systemd(unit, None)]
    if has_program("brew") and not instance:
        found.append(Brew())
    known = [manager for manager in found if manager.is_known]
    return sorted(known, key=lambda manager: not (manager.is_running or manager.is_enabled))


def choose_manager(
    managers: Sequence[Manager], client: Client, pid: int | None = None
) -> Manager | None:
    """Choose the one that runs the daemon ``client`` has talked to, or could start one. ``pid`` is
    that daemon's process, as it says itself.

    None if the daemon runs, but by none of them.
    """
    running = [manager for manager in managers if manager.is_running]
    if client.place is None:
        return next(iter(running or managers), None)
    told = pid or client.peer_pid
    owners = [manager for manager in running if told and manager.main_pid == told]
    if owners:
        return owners[0]
    if pid and (found := _find_unit(pid)) is not None:
        return found
    # With socket activation the socket is systemd's own; Homebrew does not tell the process.
    unsure = [m for m in running if told in (None, 1) or m.main_pid == 0]
    kind = client.place.kind
    return next((m for m in unsure if m.kind == kind), unsure[0] if len(unsure) == 1 else None)


def _find_unit(pid: int) -> Systemd | None:
    """The unit whose process ``pid`` is, whatever its name: the kernel knows."""
    try:
        with open(f"{_PROC}/{pid}/cgroup", encoding="utf-8") as file:
            lines = [line.strip().split(":", 2) for line in file]
    except (OSError, ValueError):
        return None
    paths = [line[2] for line in lines if len(line) == 3 and line[1] in ("", "name=systemd")]
    for path in paths:
        units = [part for part in path.split("/") if part.endswith(".service") and part[0] != "-"]
        account = None
        if units and units[0].startswith("user@"):
            uid = units.pop(0).removeprefix("user@").removesuffix(".service")
            account = find_account(int(uid)) if uid.isdecimal() else None
        if units:
            found = Systemd(units[0], account)
            return found if found.main_pid == pid else None
    return None


def daemon_pid(client: Client, health: Fields) -> int | None:
    """The process that gave the answer ``health``, if it is one of this machine."""
    place = client.place
    if place is None or (place.is_tcp and not is_here(place.host)):
        return None
    return health.count("pid") or None


def is_here(host: str) -> bool:
    """Is ``host`` a name or an address of this machine's loopback?"""
    return host in ("localhost", "::1") or host.startswith("127.")


def read_health(client: Client) -> Fields:
    """Ask the daemon once how it is; no fields if nobody answers."""
    return _ask_health(client)


def restart(manager: Manager, client: Client, *, version: str = "") -> Fields:
    """Have ``manager`` restart ocpd; returns what the new process says of its health.

    Raises Failure if the manager refuses, and if what answers then is not new, not the process that
    the manager has started, or not of ``version``, if that is given.
    """
    line = " ".join(manager.command("restart"))
    since = time.monotonic()
    done = manager.act("restart")
    if not done.is_ok:
        is_own = manager.kind == USER
        advice = () if is_own else (f"try: sudo {line}",)
        raise Failure(f"{line} failed: {done.output or done.code}", advice)
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while True:
        health = _ask_health(client)
        fault = find_fault(health, manager, client, time.monotonic() - since, version)
        if not fault:
            return health
        if time.monotonic() >= deadline:
            raise Failure(fault, (f"see what it says: {manager.log_command}",))
        time.sleep(_LOOK_EVERY_S)


def find_fault(
    health: Fields, manager: Manager, client: Client, asked_s: float, version: str
) -> str:
    """Say what is wrong with ``health`` as an answer of the daemon that ``manager`` has started
    less than ``asked_s`` seconds ago; "" if nothing is."""
    if "status" not in health:
        return f"ocpd did not answer within {ANSWER_WITHIN_S:.0f} s"
    if (health.number("uptime") or 0) / 1000 > asked_s:
        return "the ocpd that answers was not restarted: it is older than that"
    pid = daemon_pid(client, health)
    if pid and manager.main_pid not in (0, pid):
        # It may have been replaced meanwhile.
        manager.forget()
        if manager.main_pid not in (0, pid):
            line = " ".join(manager.command("restart"))
            return f"process {pid} answers, but {line!r} has started {manager.main_pid}"
    theirs = health.text("version")
    if version and theirs != version:
        return f"ocpd {theirs or 'of an unknown version'} answers, and not {version}"
    return ""


def wait_answering(client: Client, *, since: float, is_well: bool = False) -> Fields | None:
    """Wait until a daemon that was started after ``since`` (monotonic seconds) answers /health,
    and with ``is_well`` until it says that it is ok; ANSWER_WITHIN_S at most.

    Returns the last answer of such a daemon, None if there was none.
    """
    deadline = time.monotonic() + ANSWER_WITHIN_S
    last = None
    while time.monotonic() < deadline:
        health = _ask_health(client)
        asked_s = time.monotonic() - since
        if "status" in health and (health.number("uptime") or 0) / 1000 <= asked_s:
            last = health
            if not is_well or is_ok(health):
                break
        time.sleep(_LOOK_EVERY_S)
    return last


def is_ok(health: Fields) -> bool:
    """Does the daemon say that it can serve?"""
    return health.text("status") == "ok"


def _ask_health(client: Client) -> Fields:
    try:
        return Fields(client.get("health"))
    except (NotRunning, Broken, Refused):
        return Fields(None)
