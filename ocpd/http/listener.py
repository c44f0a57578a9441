"""The listening side: addresses, accepted connections, and how they all end.

What may live here: one server and its sockets. What is said on a connection is for
``connection``.
"""

import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from ocpd.aio import Nursery
from ocpd.http.answer import Letterhead
from ocpd.http.connection import KNOCK_S, Connection
from ocpd.http.exchange import Handler
from ocpd.http.identity import Identity
from ocpd.http.ports import BACKLOG, Address, Ports
from ocpd.http.service import Limits, Service
from ocpd.http.tls import Handshakes, TlsLayer
from ocpd.http.unix import Bound, bind_unix

# From Python 3.13 on, closing a server deletes its socket's file unless told not to.
_KEEP_FILE: Final[Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}

FLUSH_S: Final = 2.0
"""Seconds that answers already given may still take when the server is left."""


class ServerStatistics(msgspec.Struct, frozen=True):
    """What a server does right now, and how many answers it sent to their end since it began.
    ``handshakes`` are callers that are no connections yet."""

    connections: int
    exchanges: int
    served: int
    handshakes: int = 0


class Server:
    """Answers HTTP on any number of addresses with one handler.

    Use as ``async with``, then ``listen``. To stop without breaking answers: ``stop_accepting``,
    ``wait_idle``, and leave the block. ``extra_headers`` go on every answer, also on those made
    in this room. On TCP it speaks TLS while ``identity`` is set; connections that are there stay
    as they are when that changes.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        extra_headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._nursery = Nursery("http")
        self._service = Service(handler, limits, Letterhead(extra_headers), self._nursery)
        self._handshakes = Handshakes()
        self.identity: Identity | None = None
        self._listeners: list[asyncio.Server] = []
        self._ports = Ports(self._greet)
        self._files: list[Bound] = []

    def __repr__(self) -> str:
        return f"<Server {self.statistics()}>"

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, cancel what runs, close every connection."""
        self.stop_accepting()
        try:
            self._handshakes.abort()
            await self._nursery.cancel_all()
            for connection in list(self._service.connections):
                connection.shut()
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._service.is_empty.wait()
        finally:
            for connection in list(self._service.connections):
                connection.abort()
        await self._service.is_empty.wait()
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()
        for bound in self._files:
            bound.remove_file()
        self._files.clear()

    async def listen(self, hosts: Sequence[str], port: int) -> tuple[Address, ...]:
        """Listen on ``hosts`` and on nothing else over TCP; connections that are there live on.

        Port 0 is one of the system's choice, the same for all. Returns what is bound, in the order
        of ``hosts``. Raises CannotBind for an address that cannot be had; then all is as it was.
        """
        return await self._ports.change(hosts, port)

    async def adopt(self, inherited: Sequence[socket.socket]) -> tuple[Address, ...]:
        """Serve on sockets that already listen; returns the addresses of those for TCP.

        They are closed here in the end, never shut down, and files of theirs are left alone:
        somebody else listens on, for whoever comes after us.
        """
        loop = asyncio.get_running_loop()
        addresses: list[Address] = []
        for each in inherited:
            name = each.getsockname()
            if each.family == socket.AF_UNIX:
                listener = await loop.create_unix_server(
                    lambda: Connection(self._service), sock=each, backlog=BACKLOG, **_KEEP_FILE
                )
            else:
                listener = await loop.create_server(self._greet, sock=each, backlog=BACKLOG)
                addresses.append((name[0], name[1]))
            self._listeners.append(listener)
        return tuple(addresses)

    def _greet(self) -> asyncio.Protocol:
        if self.identity is None:
            return Connection(self._service)
        return TlsLayer(self.identity, self._handshakes, lambda: Connection(self._service))

    async def listen_unix(self, path: Path, *, mode: int, group: str | None = None) -> None:
        """Listen on a Unix socket at ``path``; its file goes when the server is left.

        Requests that come in here have ``uid``. Raises OSError as ``unix.bind_unix`` does.
        """
        bound = bind_unix(path, mode=mode, group=group)
        listener = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(self._service), sock=bound.socket, backlog=BACKLOG
        )
        self._listeners.append(listener)
        self._files.append(bound)

    def change_limits(self, limits: Limits) -> None:
        """What clients may take from the next wait on."""
        self._service.limits = limits

    def stop_accepting(self) -> None:
        """Close the listening sockets and idle connections; the next answers become the last of
        theirs. ``wait_idle`` comes next. Safe to call twice."""
        self._service.is_draining = True
        self._ports.close()
        for listener in self._listeners:
            listener.close()
        for connection in list(self._service.connections):
            connection.retire()

    async def wait_idle(self) -> None:
        """Wait until no exchange runs, and who came last has asked or had ``KNOCK_S`` for it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(KNOCK_S):
                await self._let_in()
        await self._nursery.wait_idle()

    async def _let_in(self) -> None:
        # Who was accepted before the end becomes a connection only in the loop's next turn.
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn
        await self._handshakes.is_over.wait()
        if any(connection.is_knocking for connection in self._service.connections):
            await self._service.is_empty.wait()

    def statistics(self) -> ServerStatistics:
        """Count what is here."""
        return ServerStatistics(
            connections=len(self._service.connections),
            exchanges=len(self._nursery),
            served=self._service.served,
            handshakes=len(self._handshakes),
        )
