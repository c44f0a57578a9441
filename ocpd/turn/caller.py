"""Who asks: what the books and the limits hang on.

What may live here: the record. How a caller is recognised is the front door's business.
"""

import enum
import ipaddress
from typing import assert_never

import msgspec


class Kind(enum.Enum):
    """On what ground somebody is served."""

    LOCAL = "local"
    """A program on this machine, without a key."""
    KEY = "key"
    """The holder of a key of ours."""
    SHARED = "shared"
    """A holder of one of the shared keys."""
    ANONYMOUS = "anonymous"
    """A holder of the anonymous key, which everybody may know."""
    ADMIN = "admin"
    """The holder of the admin key."""
    REMOTE = "remote"
    """Somebody else, without a key, where none is asked for."""


class Caller(msgspec.Struct, frozen=True):
    """``name`` is for people; ``key_id`` is set exactly for callers with a key of ours. ``place``
    is where the request came from: an address, or a user of this machine; ``key_stamp`` tells a key
    from another one that had its id before the store was restored. ``servers`` are the MCP servers
    it may ask for, None is all there are; ``own_tools`` are those of the CLI's own tools that it
    has, None leaves that to the settings. ``role`` is user, owner or batch, as the key says,
    and ``weight`` its share of the places, None is the role's. ``models`` are those it may use,
    None is every one. ``address`` is the network address alone, "" for a user of this machine."""

    name: str = "local"
    key_id: int | None = None
    place: str = ""
    key_stamp: str = ""
    servers: tuple[str, ...] | None = None
    own_tools: tuple[str, ...] | None = None
    role: str = "user"
    weight: int | None = None
    kind: Kind = Kind.LOCAL
    models: tuple[str, ...] | None = None
    address: str = ""

    @property
    def scope(self) -> str:
        """Whose conversations these are: nothing is ever shared between two scopes."""
        match self.kind:
            case Kind.SHARED:
                return f"shared {self.key_stamp}"
            case Kind.ADMIN:
                return "admin"
            case Kind.ANONYMOUS:
                return f"anonymous {self.place}"
            case Kind.KEY | Kind.LOCAL | Kind.REMOTE:
                if self.key_id is not None:
                    return f"key {self.key_id} {self.key_stamp}"
                return f"place {self.place}"
            case _:
                assert_never(self.kind)


def block_of(address: str) -> str:
    """Return what of an address tells one household from another: an IPv6 one's first half, since
    the other is the household's to choose."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network((int(known), 64), strict=False))
    return address
