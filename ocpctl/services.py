"""Who keeps ocpd running: systemd for the user or the system, or Homebrew's services.

What may live here: asking those managers, and telling them to start, stop or restart ocpd.
"""

from __future__ import annotations

import time

from ocpctl.failures import Broken, NotRunning, Refused
from ocpctl.fields import Fields
from ocpctl.places import SYSTEM, USER
from ocpctl.runner import Account, Done, calling_account, has_program, run_quietly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocpctl.client import Client

ANSWER_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.1


class Systemd:
    """One unit of one systemd. ``account`` is whose it is; None for the system's."""

    def __init__(self, unit: str, account: Account | None) -> None:
        self.kind = SYSTEM if account is None else USER
        self._account = account
        self._unit = unit
        self._state: dict[str, str] | None = None

    @property
    def is_known(self) -> bool:
        """Is there such a unit?"""
        return self._look().get("LoadState") == "loaded"

    @property
    def is_running(self) -> bool:
        """Does it run?"""
        return self.main_pid != 0

    @property
    def main_pid(self) -> int:
        """The unit's process, 0 if it does not run."""
        told = self._look().get("MainPID", "")
        return int(told) if told.isdecimal() else 0

    def command(self, verb: str) -> list[str]:
        """The command line that does ``verb`` to it."""
        user = [] if self._account is None else ["--user"]
        return ["systemctl", *user, verb, self._unit]

    def act(self, verb: str) -> Done:
        """Start, stop or restart it."""
        self._state = None
        return run_quietly(self.command(verb), self._account)

    def _look(self) -> dict[str, str]:
        if self._state is None:
            words = ["--property=MainPID", "--property=LoadState"]
            done = run_quietly([*self.command("show"), *words], self._account)
            pairs = (line.partition("=") for line in done.output.splitlines())
            self._state = {name: value for name, _, value in pairs} if done.is_ok else {}
        return self._state


class Brew:
    """The service of Homebrew's formula."""

    kind = USER
    main_pid = 0

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

    def command(self, verb: str) -> list[str]:
        """The command line that does ``verb`` to it."""
        return ["brew", "services", verb, "ocpd"]

    def act(self, verb: str) -> Done:
        """Start, stop or restart it."""
        self._state = None
        return run_quietly(self.command(verb))

    def _look(self) -> str:
        if self._state is None:
            done = run_quietly(["brew", "services", "list"])
            rows = [line.split() for line in done.output.splitlines()] if done.is_ok else []
            states = [row[1] for row in rows if len(row) > 1 and row[0] == "ocpd"]
            self._state = states[0] if states else ""
        return self._state


Manager = Systemd | Brew


def find_managers(instance: str | None) -> list[Manager]:
    """The managers of this machine that know ocpd, the user's before the system's."""
    found: list[Manager] = []
    if has_program("systemctl"):
        unit = f"ocpd@{instance}.service" if instance else "ocpd.service"
        found += [Systemd(unit, calling_account()), Systemd(unit, None)]
    if has_program("brew") and not instance:
        found.append(Brew())
    return [manager for manager in found if manager.is_known]


def choose_manager(managers: Sequence[Manager], client: Client) -> Manager | None:
    """Choose the one that runs the daemon ``client`` has talked to, or could start one.

    None if the daemon runs, but by none of them.
    """
    running = [manager for manager in managers if manager.is_running]
    pid = client.peer_pid
    owners = [manager for manager in running if manager.main_pid == pid]
    if client.place is None:
        return next(iter(running or managers), None)
    if owners:
        return owners[0]
    # With socket activation the socket is systemd's own; Homebrew does not tell the process.
    unsure = [m for m in running if pid in (None, 1) or m.main_pid == 0]
    kind = client.place.kind
    return next((m for m in unsure if m.kind == kind), unsure[0] if len(unsure) == 1 else None)


def read_version(client: Client) -> str:
    """Ask the daemon once for its version; "" if nobody answers."""
    return _ask_health(client).text("version")


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
