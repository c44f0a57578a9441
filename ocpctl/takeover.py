"""One service takes the place of another, or everything is as it was.

What may live here: the services an OCP installation may have left running, how each is stopped
and put back, and the order in which that happens.
"""

from __future__ import annotations

import time

from ocpctl import services
from ocpctl.failures import Failure
from ocpctl.former import LABELS, UNITS, plist_path
from ocpctl.runner import Account, Done, has_program, run_quietly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocpctl.client import Client
    from ocpctl.services import Manager


class OldUnit:
    """A unit of the user's systemd."""

    def __init__(self, name: str, account: Account) -> None:
        self.name = name
        self._account = account
        self._is_active = self._run("is-active").is_ok
        self._is_enabled = self._run("is-enabled").is_ok

    @property
    def is_there(self) -> bool:
        """Does it run, or would it?"""
        return self._is_active or self._is_enabled

    def stop(self) -> Done:
        """Stop it for good."""
        return self._run("disable", "--now")

    def put_back(self) -> Done:
        """Undo ``stop``."""
        done = self._run("enable") if self._is_enabled else Done(0, "")
        return self._run("start") if done.is_ok and self._is_active else done

    def _run(self, *words: str) -> Done:
        return run_quietly(["systemctl", "--user", *words, f"{self.name}.service"], self._account)


class OldAgent:
    """An agent of launchd."""

    def __init__(self, label: str, account: Account) -> None:
        self.name = label
        self._account = account
        self._domain = f"gui/{account.uid}"
        self.is_there = self._run("print", self._target).is_ok

    @property
    def _target(self) -> str:
        return f"{self._domain}/{self.name}"

    def stop(self) -> Done:
        """Stop it for good: without ``disable`` it would be back after the next login."""
        done = self._run("bootout", self._target)
        return self._run("disable", self._target) if done.is_ok else done

    def put_back(self) -> Done:
        """Undo ``stop``."""
        done = self._run("enable", self._target)
        path = plist_path(self._account.home, self.name)
        return self._run("bootstrap", self._domain, path) if done.is_ok else done

    def _run(self, *words: str) -> Done:
        return run_quietly(["launchctl", *words], self._account)


Old = OldUnit | OldAgent


def find_old(account: Account) -> list[Old]:
    """The services of an OCP installation that run or would run for ``account``."""
    found: list[Old] = []
    if has_program("systemctl"):
        found += [OldUnit(name, account) for name in UNITS]
    if has_program("launchctl"):
        found += [OldAgent(label, account) for label in LABELS]
    return [old for old in found if old.is_there]


class Takeover:
    """Stops ``olds`` and has ``manager`` run ocpd. After a failure of any step: ``put_back``."""

    def __init__(self, olds: Sequence[Old], manager: Manager, client: Client) -> None:
        self._olds = olds
        self._manager = manager
        self._client = client
        self._stopped: list[Old] = []
        self._was_running = manager.is_running

    def stop_old(self) -> None:
        """Stop and disable the old services. Raises Failure."""
        for old in self._olds:
            # Before it is tried: half a stop has to be undone, too.
            self._stopped.append(old)
            _demand(old.stop(), f"{old.name} could not be stopped")

    def start_new(self) -> None:
        """Have ocpd run and be well. Raises Failure if it is not so in time."""
        since = 0.0 if self._was_running else time.monotonic()
        if not self._was_running:
            self._act("start")
        self._await(since)

    def restart_new(self) -> None:
        """Have ocpd start with what was imported. Raises Failure."""
        since = time.monotonic()
        self._act("restart")
        self._await(since)

    def put_back(self) -> list[str]:
        """Undo what was done; returns what could not be undone."""
        if not self._was_running:
            # It may hold the port that the old one needs.
            self._manager.act("stop")
        left = []
        for old in reversed(self._stopped):
            done = old.put_back()
            if not done.is_ok:
                left.append(f"{old.name}: {done.output or done.code}")
        return left

    def _act(self, verb: str) -> None:
        line = " ".join(self._manager.command(verb))
        _demand(self._manager.act(verb), f"{line} failed")

    def _await(self, since: float) -> None:
        health = services.wait_answering(self._client, since=since, is_well=True)
        if health is None:
            raise Failure(f"ocpd did not answer within {services.ANSWER_WITHIN_S:.0f} s")
        if not services.is_ok(health):
            trouble = health.part("claude").text("problem") or health.part("auth").text("message")
            raise Failure(
                f"ocpd runs, but could not serve: {trouble or 'see ocpctl health'}",
                ("nobody signed in? ocpctl auth login, then try again",),
            )


def _demand(done: Done, what: str) -> None:
    if not done.is_ok:
        raise Failure(f"{what}: {done.output or f'exit code {done.code}'}")
