"""``GET /sessions`` and ``DELETE /sessions``: conversations that rest in the daemon.

What may live here: the answers. Who keeps the conversations is behind ``SessionBook``.
"""

from collections.abc import Sequence
from typing import Protocol

from ocpd.admin.access import Actor
from ocpd.admin.answers import read_query, send
from ocpd.admin.audit import Journal
from ocpd.admin.wire import Cleared, SessionList, SessionView
from ocpd.http.exchange import Exchange


class SessionBook(Protocol):
    """Whoever keeps conversations."""

    def list(self) -> Sequence[SessionView]:
        """Return those that rest now."""
        ...

    async def clear(self) -> int:
        """End them all; return how many that were."""
        ...


class NoSessions:
    """A book without conversations: every turn is whole in itself."""

    def list(self) -> Sequence[SessionView]:
        """Return none."""
        return ()

    async def clear(self) -> int:
        """Do nothing."""
        return 0


class Sessions:
    """Answers for the conversations."""

    def __init__(self, book: SessionBook, journal: Journal) -> None:
        self._book = book
        self._journal = journal

    async def show(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer all of them."""
        read_query(exchange)
        await send(exchange, SessionList(list(self._book.list())))

    async def clear(self, exchange: Exchange, actor: Actor) -> None:
        """End all of them."""
        read_query(exchange)
        cleared = await self._journal.carry_out(
            actor, "sessions.clear", self._book.clear(), lambda count: f"{count} sessions"
        )
        await send(exchange, Cleared(cleared))
