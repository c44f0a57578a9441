"""What a connection is doing, as a table.

What may live here: the phases of a connection and the moves between them.
"""

import enum


class Phase(enum.Enum):
    """What a connection is doing."""

    FRESH = "fresh"
    """Accepted; the client was silent so far."""

    IDLE = "idle"
    """Between two requests."""

    HEAD = "head"
    """Part of a request head is here."""

    EXCHANGE = "exchange"
    """A handler runs."""

    REST = "rest"
    """Answered; the short rest of the request is still to come."""

    LINGER = "linger"
    """The last answer is out and our side shut; what comes is thrown away."""

    CLOSING = "closing"
    """The transport sends what it has, then closes."""

    CLOSED = "closed"
    """The transport is gone."""

    # Members are singletons; Enum's own hash is Python code and shows in the profile.
    __hash__ = object.__hash__


_ENDINGS = frozenset({Phase.LINGER, Phase.CLOSING, Phase.CLOSED})

MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.FRESH: frozenset({Phase.HEAD, Phase.EXCHANGE}) | _ENDINGS,
    Phase.IDLE: frozenset({Phase.HEAD, Phase.EXCHANGE}) | _ENDINGS,
    Phase.HEAD: frozenset({Phase.EXCHANGE}) | _ENDINGS,
    Phase.EXCHANGE: frozenset({Phase.IDLE, Phase.REST}) | _ENDINGS,
    Phase.REST: frozenset({Phase.IDLE}) | _ENDINGS,
    Phase.LINGER: frozenset({Phase.CLOSING, Phase.CLOSED}),
    Phase.CLOSING: frozenset({Phase.CLOSED}),
    Phase.CLOSED: frozenset(),
}

ENDING: frozenset[Phase] = _ENDINGS
"""No request is read any more."""
