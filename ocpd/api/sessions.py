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
from ocpd.errors import BadRequest, OcpdError, Overloaded
from ocpd.store.conversations import Conversation, Conversations, Name
from ocpd.turn.request import Message, Turn
from ocpd.turn.transcript import chain_of, count_answers

WAIT_S = 120.0
"""Longest time a request waits for the turn before it."""

MOST_WAITING = 8
MOST_BROKEN = 10_000


class Sessions:
    """Every conversation with a name. ``ttl_s`` tells for how long one that is not used is
    kept."""

    def __init__(self, book: Conversations, ttl_s: Callable[[], float]) -> None:
        self._book = book
        self._ttl_s = ttl_s
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}
        # The store has an older state of these than their callers.
        self._broken: set[str] = set()

    @contextlib.asynccontextmanager
    async def open(self, scope: str, turn: Turn) -> AsyncIterator["Session"]:
        """Wait for the turn before it, and yield what is to run.

        Raises BadRequest (404 ``session_not_found``) for something new in a conversation that was
        forgotten or could not be kept; Overloaded if too many wait for it (429), or the store
        cannot be read.
        """
        name = Name(scope, turn.session or "")
        async with self._alone(name.owner):
            if count_answers(turn.messages):
                # The whole history: what was kept does not matter.
                yield Session(self, name, turn)
                return
            found = await self._book.find(name, turn.system)
            if name.owner in self._broken:
                raise _not_found()
            yield Session(self, name, self._merge(turn, found))

    async def keep(self, name: Name, told: Conversation, generation: int) -> bool:
        """Keep a conversation, unless all were deleted since ``generation``; False if it is too
        long. Raises Overloaded if the store cannot keep it: then only a whole history goes on with
        it."""
        if generation != self._book.generation:
            return True
        try:
            is_kept = await self._book.keep(name, told)
        except OcpdError:
            if len(self._broken) < MOST_BROKEN:
                self._broken.add(name.owner)
            raise
        self._broken.discard(name.owner)
        return is_kept

    @property
    def generation(self) -> int:
        """Grows when all conversations were deleted or replaced."""
        return self._book.generation

    @contextlib.asynccontextmanager
    async def _alone(self, owner: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(owner, asyncio.Lock())
        if self._users.get(owner, 0) > MOST_WAITING:
            raise _busy()
        self._users[owner] = self._users.get(owner, 0) + 1
        try:
            try:
                async with asyncio.timeout(WAIT_S):
                    await lock.acquire()
            except TimeoutError as error:
                raise _busy() from error
            try:
                yield
            finally:
                lock.release()
        finally:
            self._users[owner] -= 1
            if not self._users[owner]:
                del self._users[owner], self._locks[owner]

    def _merge(self, turn: Turn, found: Conversation | None) -> Turn:
        if found is None:
            return turn
        kept = found.messages
        if kept is None or wall_clock() - found.used_at > self._ttl_s():
            raise _not_found()
        if _is_first_request(turn, found):
            # It wants another answer to how it all began.
            return turn
        return msgspec.structs.replace(
            turn, messages=(*kept, *turn.messages), system=turn.system or found.system
        )


class Session:
    """One turn of a named conversation; ``turn`` is what is to run."""

    def __init__(self, sessions: Sessions, name: Name, turn: Turn) -> None:
        self._sessions = sessions
        self._name = name
        self._generation = sessions.generation
        self.turn = turn

    async def keep(self, answer: Message) -> bool:
        """Keep the conversation with the ``answer`` it came to; False if it is too long for that.

        Raises Overloaded if the store cannot keep it.
        """
        messages = (*self.turn.messages, answer)
        told = Conversation(self.turn.system, self.turn.model, messages)
        return await self._sessions.keep(self._name, told, self._generation)


def _not_found() -> BadRequest:
    return BadRequest(
        "this session is not known any more (setting sessionTTL); send the whole history, or use"
        " another session_id",
        status=404,
        code="session_not_found",
        param="session_id",
    )


def _busy() -> Overloaded:
    return Overloaded(
        "too many requests wait for this session: its turns run one after the other",
        code="session_busy",
        param="session_id",
        retry_after_s=5,
    )


def _is_first_request(turn: Turn, found: Conversation) -> bool:
    kept = found.messages or ()
    sent = len(turn.messages)
    return len(kept) == sent + 1 and chain_of(kept[:sent])[-1] == chain_of(turn.messages)[-1]
