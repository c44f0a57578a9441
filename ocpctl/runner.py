"""Other programs: service managers, the Claude CLI, OpenClaw. Everything ocpctl starts is started
here.

What may live here: running a program as this user or, for root, as another one. A program is
always an argument list, never a shell's line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from ocpctl.failures import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MISSING = 127
_QUIET_S = 120.0
_LIBRARIES = "LD_LIBRARY_PATH"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What a program needs of us to talk to a person and to the network. Tokens are not among it.
_PASSED = frozenset(
    (
        *("TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", "NO_COLOR", "BROWSER"),
        *("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
    )
)


class Account:
    """A user of this machine."""

    __slots__ = ("gid", "home", "name", "uid")

    def __init__(self, uid: int, gid: int, name: str, home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.name = name
        self.home = home

    @property
    def is_self(self) -> bool:
        """Is it whom we run as?"""
        return self.uid == os.geteuid()


class Done:
    """How a program ended: its exit code (MISSING if there was none) and what it wrote."""

    __slots__ = ("code", "output")

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output

    @property
    def is_ok(self) -> bool:
        """Did it succeed?"""
        return self.code == 0


def find_account(uid: int) -> Account:
    """Look the user ``uid`` up; one that is in no list has its own number for everything."""
    from pwd import getpwuid  # noqa: PLC0415 - not for the many that need no account

    try:
        entry = getpwuid(uid)
    except KeyError:
        return Account(uid, uid, str(uid), "/")
    return Account(uid, entry.pw_gid, entry.pw_name, entry.pw_dir)


def find_named(name: str) -> Account | None:
    """Look the user ``name`` up; None if there is none."""
    from pwd import getpwnam  # noqa: PLC0415 - not for the many that need no account

    try:
        entry = getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)


def groups_of(account: Account) -> list[int]:
    """Return the groups that ``account`` is in, as the system's books say."""
    if account.name.isdecimal():
        return [account.gid]
    return os.getgrouplist(account.name, account.gid)


def calling_account() -> Account:
    """The person who typed this: under sudo not root, but whoever called sudo."""
    uid = os.geteuid()
    told = os.environ.get("SUDO_UID", "")
    if uid == 0 and told.isascii() and told.isdecimal() and int(told) != 0:
        return find_account(int(told))
    found = find_account(uid)
    return Account(uid, found.gid, found.name, os.environ.get("HOME") or found.home)


def has_program(name: str) -> bool:
    """Is there such a program on PATH?"""
    return shutil.which(name) is not None


def run_quietly(
    argv: Sequence[str],
    account: Account | None = None,
    *,
    within_s: float | None = None,
    is_bare: bool = False,
) -> Done:
    """Run a program and keep what it writes. Never raises for what the program does. ``is_bare``:
    it gets as little of our environment as a program of another user's may know."""
    within_s = within_s or _QUIET_S
    environ = dict(own_environ(), LC_ALL="C")
    if is_bare:
        environ = clean_environ(account or calling_account())
    elif account is not None and not account.is_self:
        environ |= _manager_environ(account)
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the program is one we name
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            timeout=within_s,
            check=False,
            **_identity(account),
        )
    except subprocess.TimeoutExpired:
        return Done(1, f"{argv[0]} did not end within {within_s:.0f} s")
    except OSError as error:
        return Done(MISSING, f"{argv[0]}: {(error.strerror or str(error)).lower()}")
    return Done(done.returncode, done.stdout.decode("utf-8", "replace").strip())


def run_shown(argv: Sequence[str], environ: Mapping[str, str] | None, account: Account) -> int:
    """Run a program on the user's terminal; returns its exit code. Raises Failure if it cannot be
    started. ``environ`` is all it gets; None leaves it ours."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell; the caller has looked at the program
            list(argv),
            env=own_environ() if environ is None else environ,
            check=False,
            cwd="/",
            **_identity(account),
        )
    except OSError as error:
        raise Failure(f"{argv[0]}: {(error.strerror or str(error)).lower()}") from error
    return done.returncode


def own_environ() -> dict[str, str]:
    """Our environment as it was before PyInstaller's loader led it to the frozen program's
    libraries: apt, for one, hands it on to systemctl, which may need newer ones."""
    environ = dict(os.environ)
    before = environ.pop(f"{_LIBRARIES}_ORIG", None)
    if before is not None:
        environ[_LIBRARIES] = before
    elif getattr(sys, "frozen", False):
        environ.pop(_LIBRARIES, None)
    return environ


def clean_environ(account: Account) -> dict[str, str]:
    """The little that a program of another user may know of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED or name.startswith("LC_")
    }
    path = os.environ.get("PATH", SYSTEM_PATH) if account.is_self else SYSTEM_PATH
    return kept | {"PATH": path, "HOME": account.home, "USER": account.name}


def _manager_environ(account: Account) -> dict[str, str]:
    """Where the service manager of another user is to be found."""
    runtime = f"/run/user/{account.uid}"
    return {
        "HOME": account.home,
        "USER": account.name,
        "XDG_RUNTIME_DIR": runtime,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
    }


def _identity(account: Account | None) -> _Identity:
    if account is None or account.is_self:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": groups_of(account)}


if TYPE_CHECKING:
    from typing import TypedDict

    class _Identity(TypedDict, total=False):
        user: int
        group: int
        extra_groups: list[int]
