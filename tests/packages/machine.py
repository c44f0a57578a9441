"""A Debian on which a person installs ocpd, as that person would.

What may live here: what is typed there, and what is asked of systemd. No expectation.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.packages.container import Container, Done
from tests.packages.repository import Repository
from tests.wire.stage import Caller, Page, body_of, fetch

PORT = 3456
CLI_FOLDER = "/opt/claude"
_LOOK_EVERY_S = 0.05


class Machine:
    """``container`` with ``repository`` served in it. ``codename`` is the Debian's."""

    def __init__(self, container: Container, repository: Repository, codename: str) -> None:
        self.container = container
        self.repository = repository
        self.codename = codename

    # Packages...

    def trust(self) -> None:
        """Install the keyring package, as a first-time user does."""
        keyring = self.repository.site / f"keyring/{self.codename}.deb"
        self.container.put(keyring, "/tmp/keyring.deb")
        self.container.check("apt-get", "install", "-y", "/tmp/keyring.deb")

    def apt(self, *arguments: str) -> str:
        """Run apt-get, which must succeed; returns what it said."""
        return self.container.check("apt-get", *arguments)

    def try_apt(self, *arguments: str) -> Done:
        """Run apt-get, whatever becomes of it."""
        return self.container.run("apt-get", *arguments)

    def update(self) -> str:
        """Update the lists; returns what apt said. It must not have warned."""
        told = self.apt("update")
        assert "\nW:" not in f"\n{told}", told
        assert "\nE:" not in f"\n{told}", told
        return told

    def install(self) -> float:
        """Install ocpd from the repository; returns how many seconds that took."""
        start = time.monotonic()
        self.apt("install", "-y", "ocpd")
        return time.monotonic() - start

    def version(self, package: str = "ocpd") -> str:
        """The version of ``package`` that is installed, or nothing."""
        done = self.container.run(
            "dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", package
        )
        state, _, version = done.stdout.partition(" ")
        # The first letter is what is wanted: to install, or to hold.
        return version if done.returncode == 0 and state[1:] == "i" else ""

    # ... its service ...

    def systemctl(self, *arguments: str) -> str:
        """Run systemctl, which must succeed; returns what it said."""
        return self.container.check("systemctl", "--no-pager", *arguments).strip()

    def show(self, name: str, unit: str = "ocpd.service") -> str:
        """One property of ``unit``."""
        return self.systemctl("show", "--value", "--property", name, unit)

    def is_active(self, unit: str = "ocpd.service") -> bool:
        """Whether ``unit`` runs."""
        return self.container.run("systemctl", "is-active", unit).stdout.strip() == "active"

    def drop_in(self, unit: str, text: str) -> None:
        """Do what `systemctl edit` does."""
        self.container.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def main_pid(self) -> str:
        """The service's process, as the container numbers it."""
        return self.show("MainPID")

    # ... and what it serves.

    def fetch(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Page:
        """Make one request to it from inside."""
        with self.container.network():
            return fetch(PORT, method, path, body, headers)

    def health(self) -> dict[str, Any]:
        """What /health says, or nothing while nobody does."""
        with contextlib.suppress(OSError):
            return self.fetch("GET", "/health").json()
        return {}

    def ask(self, text: str) -> Page:
        """One answer to ``text``, not streamed."""
        return self.fetch("POST", "/v1/chat/completions", body_of(text))

    def call(self, text: str) -> Caller:
        """Ask for a streamed answer to ``text`` on a bare socket; nothing of it is read."""
        with self.container.network():
            return Caller(PORT, body_of(text, stream=True))

    def ocpctl_json(self, *arguments: str) -> Any:
        """What ocpctl tells programs."""
        told = self.container.check("ocpctl", *arguments, "--json")
        return msgspec.json.decode(told)

    def ocpctl(self, *arguments: str, user: str = "root", stdin: str = "") -> Done:
        """Run ocpctl as ``user``, whatever becomes of it."""
        return self.container.run("ocpctl", *arguments, user=user, stdin=stdin)

    def add_user(self, name: str, *groups: str) -> int:
        """Make a user; returns the uid."""
        extra = ("-G", ",".join(groups)) if groups else ()
        self.container.check("useradd", "--create-home", *extra, name)
        return int(self.container.check("id", "-u", name))

    def home_of(self, user: str) -> str:
        """The home of ``user``."""
        return self.container.check("getent", "passwd", user).split(":")[5]

    def point_cli_at(self, url: str) -> None:
        """Install the real CLI where a person would, and have it talk to ``url``.

        A wrapper sets the variable, because the product passes on nothing of that kind.
        """
        text = f'#!/bin/sh\nexport ANTHROPIC_BASE_URL={url}\nexec {CLI_FOLDER}/claude "$@"\n'
        self.container.write("/usr/local/bin/claude", text, mode="755")


def wait_until(is_so: Callable[[], object], within_s: float, what: str) -> None:
    """Wait until ``is_so``; fails saying that ``what`` did not come."""
    deadline = time.monotonic() + within_s
    waiting = threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        waiting.wait(_LOOK_EVERY_S)


def binds_of(cli: Path) -> dict[Path, str]:
    """What a container needs to see of this machine for ``point_cli_at``."""
    return {cli.parent: CLI_FOLDER}
