"""``GET /sessions`` and ``DELETE /sessions``: conversations that rest in the daemon.

What may live here: the answers. Who keeps the conversations is behind ``SessionBook``.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from ocpd.admin.access import Actor
from ocpd.admin.answers import read_query, send, spell_iso
from ocpd.admin.audit import Journal
from ocpd.admin.wire import Cleared, SessionList, SessionView
from ocpd.http.exchange import Exchange
from ocpd.store.conversations import Conversations


class SessionBook(Protocol):
    """Whoever keeps conversations."""

    def list(self) -> Sequence[SessionView]:
        """Return those that rest now."""
        ...

    async def clear(self) -> int:
        """End them all; return how many that were."""
        ...


class KeptSessions:
    """The named conversations of the store; with them those that rest without a name go."""

    def __init__(self, book: Conversations, forget_resting: Callable[[], int]) -> None:
        self._book = book
        self._forget_resting = forget_resting

    def list(self) -> Sequence[SessionView]:
        """Return the named ones, the latest first."""
        return [
            SessionView(known.name, known.id, known.model, known.count, spell_iso(known.used_at))
            for known in self._book.list()
        ]

    async def clear(self) -> int:
        """Forget all of them; turns that run go on. Returns how many ``list`` had: a conversation
        may also rest, and must not count twice."""
        count = await self._book.clear()
        self._forget_resting()
        return count


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
