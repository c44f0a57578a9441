"""TCP addresses as sockets: bound for us, one by one.

What may live here: binding, and going from some addresses to others. Who is accepted on them is
``listener``'s business.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

_log = logging.getLogger("ocpd.http")

_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What the system says of an address that this machine does not have, or of a family."""

BACKLOG: Final = 512
"""Connections that may wait in the kernel to be accepted (Linux caps it at somaxconn)."""

Address = tuple[str, int]
"""Host and port."""


class CannotBind(OSError):
    """An address cannot be had; ``address`` is it, ``strerror`` why."""

    def __init__(self, address: Address, error: Exception) -> None:
        told = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
        super().__init__(told.errno, told.strerror or str(told))
        self.address = address


class Target(msgspec.Struct, frozen=True):
    """An address to bind, as the system spells it. IPv6 ones carry more than host and port."""

    family: int
    name: tuple[str | int, ...]

    @property
    def address(self) -> Address:
        """Host and port."""
        return str(self.name[0]), int(self.name[1])

    @property
    def is_wild(self) -> bool:
        """Whether it stands for all addresses of its family."""
        return self.name[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

    def excludes(self, other: "Target") -> bool:
        """Whether the two cannot be bound at once, although they differ."""
        is_same_port = (self.family, self.name[1]) == (other.family, other.name[1])
        return is_same_port and (self.is_wild or other.is_wild)

    def at(self, port: int) -> "Target":
        """Return the same on another port."""
        return Target(self.family, (self.name[0], port, *self.name[2:]))


async def resolve(hosts: Sequence[str], port: int) -> list[Target]:
    """Return the addresses that ``hosts`` stand for, each once. Raises CannotBind for a name that
    nobody knows.

    Of a name with several addresses, those count that this machine has: localhost is often said to
    be ::1, too, where there is no IPv6.
    """
    found: dict[Target, None] = {}
    for host in hosts:
        try:
            told = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError) as error:
            # What is too long or too odd for a name is not even looked up.
            raise CannotBind((host, port), error) from error
        all_of_it = [Target(int(family), _plain(name)) for family, _, _, _, name in told]
        found |= dict.fromkeys(_those_here(all_of_it))
    return list(found)


def _those_here(targets: Sequence[Target]) -> Sequence[Target]:
    # A single one is tried as it is: then there is an error to show.
    if len(targets) == 1:
        return targets
    return [target for target in targets if _is_here(target)] or targets


def _is_here(target: Target) -> bool:
    try:
        bind(target.at(0)).close()
    except CannotBind as error:
        return error.errno not in _NOT_HERE
    return True


def _plain(name: tuple[object, ...]) -> tuple[str | int, ...]:
    return tuple(part for part in name if isinstance(part, str | int))


def _refuse_both(target: Target, wanted: Sequence[Target]) -> None:
    for each in wanted:
        if each.excludes(target):
            reason = f"it and {each.address[0]} exclude each other, list one of them"
            raise CannotBind(target.address, OSError(errno.EINVAL, reason))


def bind(target: Target) -> socket.socket:
    """Return a socket that listens on ``target``. Raises CannotBind."""
    try:
        bound = socket.socket(target.family, socket.SOCK_STREAM)
    except OSError as error:
        # A system that was started without IPv6.
        raise CannotBind(target.address, error) from error
    try:
        # Never SO_REUSEPORT: two daemons on one port would share the callers out between them.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if target.family == socket.AF_INET6:
            # So that 0.0.0.0 and :: can be listed side by side, and each means what it says.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(target.name)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise CannotBind(target.address, error) from error
    bound.setblocking(False)
    return bound


class Ports:
    """The addresses we listen on. ``greet`` makes the protocol of who is accepted."""

    def __init__(self, greet: Callable[[], asyncio.Protocol]) -> None:
        self._greet = greet
        self._open: dict[Target, asyncio.Server] = {}
        self._is_closed = False

    async def change(self, hosts: Sequence[str], port: int) -> tuple[Address, ...]:
        """Listen on ``hosts`` and nothing else; port 0 is one of the system's choice, the same for
        all. Returns what is bound. Raises CannotBind, and then all is as it was."""
        targets = await resolve(hosts, port)
        if self._is_closed:
            # A reload while the last turns run: nobody new is to come in.
            raise CannotBind((hosts[0], port), OSError(errno.ESHUTDOWN, "ocpd is stopping"))
        fresh: dict[Target, socket.socket] = {}
        released: list[Target] = []
        wanted: list[Target] = []
        try:
            for target in targets:
                chosen = target.at(port or (wanted[0].address[1] if wanted else 0))
                _refuse_both(chosen, wanted)
                if chosen not in self._open:
                    bound = self._bind(chosen, released)
                    chosen = target.at(bound.getsockname()[1])
                    fresh[chosen] = bound
                wanted.append(chosen)
        except CannotBind:
            for bound in fresh.values():
                bound.close()
            await self._take_back(released)
            raise
        for target in self._open.keys() - set(wanted):
            self._open.pop(target).close()
        await self._serve(fresh)
        return tuple(target.address for target in wanted)

    def close(self) -> None:
        """Accept nobody any more, here or elsewhere. Safe to call twice."""
        self._is_closed = True
        for server in self._open.values():
            server.close()
        self._open.clear()

    def _bind(self, target: Target, released: list[Target]) -> socket.socket:
        try:
            return bind(target)
        except CannotBind as error:
            # One address and all of them exclude each other on one port. If it is we who are in
            # the way, we go first, for the moment that it takes.
            ours = [each for each in self._open if each.excludes(target)]
            if error.errno != errno.EADDRINUSE or not ours:
                raise
        for each in ours:
            self._open.pop(each).close()
            released.append(each)
        return bind(target)

    async def _take_back(self, released: Sequence[Target]) -> None:
        for target in released:
            try:
                await self._serve({target: bind(target)})
            except CannotBind as error:
                host, port = target.address
                told = {"host": host, "port": port, "reason": error.strerror}
                _log.error("address_lost", extra=told)

    async def _serve(self, fresh: Mapping[Target, socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for target, bound in fresh.items():
            self._open[target] = await loop.create_server(self._greet, sock=bound, backlog=BACKLOG)
