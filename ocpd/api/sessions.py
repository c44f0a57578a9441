"""Conversations that a client named (``session_id``): it may send only what is new.

What may live here: what a request means for the conversation it names. Messages without one of the
assistant's are what is new; a list with one is the whole history, and replaces what was kept. One
turn of a conversation runs at a time: what is new belongs after the answer before it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec

from ocpd.aio import wall_clock
from ocpd.errors import BadRequest
from ocpd.store.conversations import Conversation, Conversations, Name
from ocpd.turn.request import Turn
from ocpd.turn.transcript import answer_of, chain_of, count_answers


class Sessions:
    """Every conversation with a name. ``ttl_s`` tells for how long one that is not used is
    kept."""

    def __init__(self, book: Conversations, ttl_s: Callable[[], float]) -> None:
        self._book = book
        self._ttl_s = ttl_s
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def open(self, scope: str, turn: Turn) -> AsyncIterator["Session"]:
        """Wait for the turn before it, and yield what is to run.

        Raises BadRequest (404 ``session_not_found``) for something new in a conversation that was
        forgotten; Overloaded if the store cannot be read.
        """
        name = Name(scope, turn.session or "")
        async with self._alone(name.owner):
            found = await self._book.find(name, turn.system)
            yield Session(self._book, name, self._merge(turn, found))

    @contextlib.asynccontextmanager
    async def _alone(self, owner: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(owner, asyncio.Lock())
        self._users[owner] = self._users.get(owner, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._users[owner] -= 1
            if not self._users[owner]:
                del self._users[owner], self._locks[owner]

    def _merge(self, turn: Turn, found: Conversation | None) -> Turn:
        if found is None or count_answers(turn.messages):
            return turn
        kept = found.messages
        if kept is None or wall_clock() - found.used_at > self._ttl_s():
            raise BadRequest(
                "this session is not known any more (setting sessionTTL); send the whole history,"
                " or use another session_id",
                status=404,
                code="session_not_found",
                param="session_id",
            )
        if _is_first_request(turn, found):
            # It wants another answer to how it all began.
            return turn
        return msgspec.structs.replace(
            turn, messages=(*kept, *turn.messages), system=turn.system or found.system
        )


class Session:
    """One turn of a named conversation; ``turn`` is what is to run."""

    def __init__(self, book: Conversations, name: Name, turn: Turn) -> None:
        self._book = book
        self._name = name
        self.turn = turn

    async def keep(self, answer: str) -> bool:
        """Keep the conversation with the ``answer`` it came to; False if it is too long for that.

        Raises Overloaded if the store cannot keep it.
        """
        messages = (*self.turn.messages, answer_of(answer))
        told = Conversation(self.turn.system, self.turn.model, messages)
        return await self._book.keep(self._name, told)


def _is_first_request(turn: Turn, found: Conversation) -> bool:
    kept = found.messages or ()
    sent = len(turn.messages)
    return len(kept) == sent + 1 and chain_of(kept[:sent])[-1] == chain_of(turn.messages)[-1]
