"""The two faces every dialect has.

What may live here: protocols and the context a decoder needs; no dialect.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from ocpd.errors import OcpdError
from ocpd.turn.events import Event
from ocpd.turn.request import Turn, TurnId
from ocpd.turn.servers import Registry, Server, choose_servers

ChooseServers = Callable[[Sequence[str], str], tuple[Server, ...]]
"""From the names of MCP servers that a request asks for, and the field they stand in, to all the
servers it gets; raises BadRequest or Refused naming what it cannot have."""


def choose_none(asked: Sequence[str], field: str) -> tuple[Server, ...]:
    """Choose where there are no servers: raises BadRequest if any is asked for."""
    return choose_servers(Registry(), asked, field, None)


class Context(msgspec.Struct, frozen=True):
    """What the edge knows and a decoder may use.

    ``resolve`` turns the model name of the request (None: none was given) into a canonical id or
    raises BadRequest. ``session``, ``effort`` and ``servers`` (a comma list) are those of a
    header; a body field wins.
    """

    turn_id: TurnId
    resolve: Callable[[str | None], str]
    session: str | None = None
    effort: str | None = None
    servers: str | None = None
    choose_servers: ChooseServers = choose_none


class Encoder(Protocol):
    """Events of one turn to response bytes."""

    content_type: str

    def feed(self, event: Event) -> bytes:
        """Return the bytes to send for ``event``; may be empty. After ``Finished`` or ``Failed``
        nothing more will be said."""
        ...


class Dialect(Protocol):
    """One foreign API. ``keepalive`` is what a stream says when there is nothing to say, also
    before its first event."""

    name: str
    keepalive: bytes

    def decode(self, body: bytes, context: Context) -> Turn:
        """Read a request. Raises BadRequest naming the field, or what ``context`` raises."""
        ...

    def encoder(self, turn: Turn, created: int) -> Encoder:
        """Make the encoder for ``turn``: streaming or folding, as ``turn.stream`` says.
        ``created`` is epoch seconds."""
        ...

    def refusal(self, error: OcpdError) -> bytes:
        """Spell ``error`` as the body that goes with ``error.status``."""
        ...
