"""Who is on the other end of a Unix socket, as the kernel says.

What may live here: reading a connected socket's credentials. They are those of the moment of
``connect``, cannot be forged, and travel as a number in ``Request.uid``, never inside a text.
"""

import asyncio
import socket
import struct

import msgspec

_UCRED = struct.Struct("3i")
"""Linux, socket(7): pid, uid, gid."""

_XUCRED = struct.Struct("IIh16I")
"""macOS, sys/ucred.h: version, uid, number of groups, groups."""
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1


NOBODY = -1
"""The uid of a peer the kernel would not name: equal to no user's."""


class Peer(msgspec.Struct, frozen=True):
    """The other end: its address ("" on a Unix socket), its uid (None on TCP), and whether it
    speaks TLS."""

    address: str
    uid: int | None = None
    is_secured: bool = False


def read_peer(transport: asyncio.BaseTransport) -> Peer:
    """Return who is on the other end of ``transport``."""
    connected = transport.get_extra_info("socket")
    if connected is not None and connected.family == socket.AF_UNIX:
        try:
            return Peer("", peer_uid(connected))
        except OSError:
            return Peer("", NOBODY)
    name = transport.get_extra_info("peername")
    is_secured = transport.get_extra_info("ssl_object") is not None
    return Peer(str(name[0]) if name else "", is_secured=is_secured)


def peer_uid(connected: socket.socket) -> int | None:
    """Return the uid of the process that connected; None for what is no Unix socket.

    Raises OSError when the kernel does not say: then nobody is to be let in.
    """
    if connected.family != socket.AF_UNIX:
        return None
    if hasattr(socket, "SO_PEERCRED"):
        raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(raw)
        return int(uid)
    raw = connected.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
    return int(_XUCRED.unpack(raw)[1])
