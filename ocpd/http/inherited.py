"""Sockets that the service manager listens on for us: sd_listen_fds(3).

What may live here: taking them over. They stay the manager's: it made their files, and goes on
listening when we are gone, so that who comes while we restart waits and is not refused.
"""

import os
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

import msgspec

from ocpd.settings.knob import SettingsError
from ocpd.settings.unit import SocketUnit

FIRST: Final = 3
"""The number of the first descriptor that is passed."""

_MOST: Final = 64
_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_USUAL_NAME: Final = "ocpd.socket"
_CGROUP: Final = Path("/proc/self/cgroup")


class Inherited(msgspec.Struct, frozen=True):
    """Listening sockets by family. ``name`` is the unit's that the TCP ones come from, ``beside``
    are the Unix ones of the same unit, and ``service`` is the unit that runs us, "" if unknown."""

    tcp: tuple[socket.socket, ...] = ()
    unix: tuple[socket.socket, ...] = ()
    name: str = _USUAL_NAME
    beside: tuple[socket.socket, ...] = ()
    service: str = ""
    is_users: bool = False

    @property
    def path(self) -> str | None:
        """The path of the first Unix socket; @ stands for the zero byte of one without a file."""
        return _path_of(self.unix[0]) if self.unix else None

    @property
    def unit(self) -> SocketUnit | None:
        """What the unit decided about TCP; None if it leaves that to us."""
        if not self.tcp:
            return None
        names = (each.getsockname() for each in self.tcp)
        return SocketUnit(
            self.name,
            tuple((name[0], name[1]) for name in names),
            tuple(_path_of(each) for each in self.beside),
            self.service or f"{self.name.removesuffix('.socket')}.service",
            is_users=self.is_users,
        )


def take_sockets(
    environ: MutableMapping[str, str], first: int = FIRST, cgroup: Path = _CGROUP
) -> Inherited:
    """Take over the sockets that ``environ`` tells of, if they are meant for this process, and
    take its words out: children are not to think they were meant. ``cgroup`` tells who runs us.

    Raises SettingsError for what is no listening stream socket.
    """
    told = {name: environ.pop(name, "") for name in _VARIABLES}
    if told["LISTEN_PID"] != str(os.getpid()) or not told["LISTEN_FDS"].isdecimal():
        return Inherited()
    count = min(int(told["LISTEN_FDS"]), _MOST)
    taken = [_take(descriptor) for descriptor in range(first, first + count)]
    tcp = tuple(each for each in taken if each.family != socket.AF_UNIX)
    unix = tuple(each for each in taken if each.family == socket.AF_UNIX)
    # One name for each, the unit's unless it has FileDescriptorName=.
    names = dict(zip(taken, told["LISTEN_FDNAMES"].split(":"), strict=False))
    name = names.get(tcp[0], "") if tcp else ""
    beside = tuple(each for each in unix if names.get(each, "") == name)
    service, is_users = _find_service(cgroup)
    if not name.endswith(".socket"):
        name = f"{service.removesuffix('.service')}.socket" if service else _USUAL_NAME
    return Inherited(tcp, unix, name, beside, service, is_users)


def _find_service(cgroup: Path) -> tuple[str, bool]:
    """Name the service that runs us, "" if none does, and say whether a user's systemd has it."""
    try:
        lines = cgroup.read_text("utf-8", "replace").splitlines()
    except OSError:
        return "", False
    # Version 2 has one line, "0::/..."; before that systemd's own is called by its name.
    paths = [line.split(":", 2)[2] for line in lines if line.startswith("0::")]
    paths += [line.partition(":name=systemd:")[2] for line in lines]
    for path in paths:
        units = [part for part in path.split("/") if part.endswith(".service")]
        if units:
            is_users = units[0].startswith("user@")
            return (units[-1], is_users) if len(units) > is_users else ("", False)
    return "", False


def _path_of(unix: socket.socket) -> str:
    text = os.fsdecode(unix.getsockname())
    return "@" + text[1:] if text.startswith("\0") else text


def _take(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        taken = socket.socket(fileno=descriptor)
    except OSError as error:
        raise _refuse(descriptor, error.strerror or str(error)) from error
    is_known = taken.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    if not is_known or taken.type != socket.SOCK_STREAM:
        taken.detach()
        raise _refuse(descriptor, "it is no stream socket of TCP or Unix; use ListenStream=")
    if not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        taken.detach()
        raise _refuse(descriptor, "it does not listen; Accept=no is wanted")
    taken.setblocking(False)
    return taken


def _refuse(descriptor: int, why: str) -> SettingsError:
    return SettingsError(f"LISTEN_FDS: descriptor {descriptor} cannot be used: {why}")
