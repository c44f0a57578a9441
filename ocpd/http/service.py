"""What all connections of one server share: the handler, the limits, and who is there.

What may live here: that, and nothing that reads or writes a socket.
"""

import asyncio
from typing import Protocol

import msgspec

from ocpd.aio import Nursery
from ocpd.http.answer import Letterhead
from ocpd.http.exchange import Handler


class Limits(msgspec.Struct, frozen=True):
    """What a client may take: seconds and bytes. ``max_body_bytes`` is for handlers to pass to
    ``Exchange.read_body``; the others are kept here."""

    header_timeout_s: float
    body_timeout_s: float
    idle_timeout_s: float
    max_body_bytes: int
    max_header_bytes: int = 65_536


class Guest(Protocol):
    """A connection, as its server knows it."""

    @property
    def is_knocking(self) -> bool:
        """Whether its first request is still to come."""

    def retire(self) -> None:
        """Close if it rests; else its next answer is the last. Safe to call twice."""

    def shut(self) -> None:
        """Close whatever is under way; an answer that is out is still sent."""

    def abort(self) -> None:
        """Close at once, whatever is under way. Safe to call twice."""


class Service:
    """What all connections of one server share."""

    def __init__(
        self, handler: Handler, limits: Limits, letterhead: Letterhead, nursery: Nursery
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.letterhead = letterhead
        self.nursery = nursery
        self.connections: set[Guest] = set()
        self.is_draining = False
        self.served = 0
        self.is_empty = asyncio.Event()
        self.is_empty.set()

    def enter(self, guest: Guest) -> None:
        """Count ``guest`` in."""
        self.connections.add(guest)
        self.is_empty.clear()

    def leave(self, guest: Guest) -> None:
        """Count ``guest`` out."""
        self.connections.discard(guest)
        if not self.connections:
            self.is_empty.set()
