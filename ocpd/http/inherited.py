"""Sockets that the service manager listens on for us: sd_listen_fds(3).

What may live here: taking them over. They stay the manager's: it made their files, and goes on
listening when we are gone, so that who comes while we restart waits and is not refused.
"""

import os
import socket
from collections.abc import MutableMapping
from typing import Final

import msgspec

from ocpd.settings.knob import SettingsError
from ocpd.settings.unit import SocketUnit

FIRST: Final = 3
"""The number of the first descriptor that is passed."""

_MOST: Final = 64
_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_USUAL_NAME: Final = "ocpd.socket"


class Inherited(msgspec.Struct, frozen=True):
    """Listening sockets by family; ``name`` is the unit's that they come from."""

    tcp: tuple[socket.socket, ...] = ()
    unix: tuple[socket.socket, ...] = ()
    name: str = _USUAL_NAME

    @property
    def path(self) -> str | None:
        """The path of the first Unix socket; @ stands for the zero byte of one without a file."""
        if not self.unix:
            return None
        told = self.unix[0].getsockname()
        text = os.fsdecode(told)
        return "@" + text[1:] if text.startswith("\0") else text

    @property
    def unit(self) -> SocketUnit | None:
        """What the unit decided about TCP; None if it leaves that to us."""
        if not self.tcp:
            return None
        names = (each.getsockname() for each in self.tcp)
        return SocketUnit(self.name, tuple((name[0], name[1]) for name in names), self.path)


def take_sockets(environ: MutableMapping[str, str], first: int = FIRST) -> Inherited:
    """Take over the sockets that ``environ`` tells of, if they are meant for this process, and
    take its words out: children are not to think they were meant.

    Raises SettingsError for what is no listening stream socket.
    """
    told = {name: environ.pop(name, "") for name in _VARIABLES}
    if told["LISTEN_PID"] != str(os.getpid()) or not told["LISTEN_FDS"].isdecimal():
        return Inherited()
    count = min(int(told["LISTEN_FDS"]), _MOST)
    tcp: list[socket.socket] = []
    unix: list[socket.socket] = []
    for descriptor in range(first, first + count):
        taken = _take(descriptor)
        (unix if taken.family == socket.AF_UNIX else tcp).append(taken)
    units = [name for name in told["LISTEN_FDNAMES"].split(":") if name.endswith(".socket")]
    return Inherited(tuple(tcp), tuple(unix), units[0] if units else _USUAL_NAME)


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
