"""Conversations that clients named: their messages survive the process, and the daemon.

What may live here: rows by owner, name and system prompt, and what is known of them without reading
the messages. A conversation that was forgotten leaves its name for a while: whoever goes on with it
must hear that it is gone, and not begin anew unawares.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Callable

import msgspec

from ocpd.store.db import Database
from ocpd.store.epoch import from_ms, to_ms
from ocpd.turn.request import Message

_log = logging.getLogger("ocpd.store")

MOST_BYTES = 4 * 1024 * 1024
"""What the messages of one conversation may take; one that grows beyond is forgotten."""

MOST_KEPT = 2_000
"""How many are kept in all; the least recently used goes first, name and all."""

TOMBSTONE_S = 30 * 86_400.0
"""For how long the name of a forgotten one is kept."""

_PUT = """INSERT OR REPLACE INTO conversation
    (digest, owner, name, system, model, messages, count, used_at_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

_CROWD_OUT = """DELETE FROM conversation WHERE digest IN (
    SELECT digest FROM conversation ORDER BY used_at_ms DESC, digest LIMIT -1 OFFSET ?)"""

_FORGET = "UPDATE conversation SET messages = NULL WHERE used_at_ms <= ? AND messages IS NOT NULL"

_messages: msgspec.json.Decoder[tuple[Message, ...]] = msgspec.json.Decoder(tuple[Message, ...])
_encoder = msgspec.json.Encoder()


class Name(msgspec.Struct, frozen=True):
    """Whose conversation (``scope``, never shared) and what its owner calls it."""

    scope: str
    text: str

    @property
    def owner(self) -> str:
        """A digest that stands for both."""
        return _digest(self.scope, self.text)


class Conversation(msgspec.Struct, frozen=True):
    """A named conversation. ``messages`` None: it was forgotten. ``used_at`` is epoch seconds."""

    system: str
    model: str
    messages: tuple[Message, ...] | None
    used_at: float = 0.0


class Known(msgspec.Struct, frozen=True):
    """What is known of one without reading it; ``id`` stands for it in lists."""

    id: str
    name: str
    model: str
    count: int
    used_at: float


class Conversations:
    """All named conversations. ``list`` is answered from memory and instant. ``generation`` grows
    when all of them were deleted or replaced: what was read before counts no more."""

    def __init__(
        self, db: Database, clock: Callable[[], float], *, most_kept: int = MOST_KEPT
    ) -> None:
        self._db = db
        self._most_kept = most_kept
        self._clock = clock
        self._known: dict[str, Known] = {}
        self.generation = 0

    def __repr__(self) -> str:
        return f"Conversations({len(self._known)})"

    def list(self) -> tuple[Known, ...]:
        """Return those that are not forgotten, the latest first."""
        return tuple(sorted(self._known.values(), key=lambda known: -known.used_at))

    async def find(self, name: Name, system: str) -> Conversation | None:
        """Return the one with this system prompt; for "" else the latest of that name.

        One that cannot be read counts as forgotten. Raises Overloaded ``store_unavailable``.
        """

        def ask(connection: sqlite3.Connection) -> Conversation | None:
            row = connection.execute(
                "SELECT system, model, messages, used_at_ms FROM conversation"
                " WHERE owner = ? AND (system = ? OR ? = '')"
                " ORDER BY system = ? DESC, used_at_ms DESC LIMIT 1",
                (name.owner, system, system, system),
            ).fetchone()
            if row is None:
                return None
            return Conversation(row[0], row[1], _read(row[2]), from_ms(row[3]))

        return await self._db.read(ask)

    async def keep(self, name: Name, conversation: Conversation) -> bool:
        """Keep it in the place of the one before; durable on return. False if it has become too
        long, and was forgotten."""
        messages = conversation.messages or ()
        data: bytes | None = _encoder.encode(messages)
        if data is not None and len(data) > MOST_BYTES:
            data = None
        now_ms = to_ms(self._clock())
        digest = _digest(name.scope, name.text, conversation.system)
        row = (
            digest,
            name.owner,
            name.text,
            conversation.system,
            conversation.model,
            data,
            len(messages),
            now_ms,
        )
        known = Known(digest[:32], name.text, conversation.model, len(messages), from_ms(now_ms))

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT, row)
            connection.execute(_CROWD_OUT, (self._most_kept,))

        def note(_: object) -> None:
            self._known.pop(digest, None)
            if data is not None:
                self._known[digest] = known
            while len(self._known) > self._most_kept:
                # The oldest stands first: whoever is used goes to the end.
                del self._known[next(iter(self._known))]

        await self._db.write(put, note)
        return data is not None

    async def clear(self) -> int:
        """Delete all of them, names too; return how many were not forgotten yet."""
        count = len(self._known)
        self.generation += 1
        await self._db.write(
            lambda connection: connection.execute("DELETE FROM conversation").rowcount,
            lambda _: self._known.clear(),
        )
        return count

    async def expire(self, max_age_s: float) -> int:
        """Forget those that were not used for so long; return how many."""
        now = self._clock()
        oldest_ms, buried_ms = to_ms(now - max_age_s), to_ms(now - TOMBSTONE_S)

        def forget(connection: sqlite3.Connection) -> int:
            connection.execute(
                "DELETE FROM conversation WHERE messages IS NULL AND used_at_ms <= ?",
                (buried_ms,),
            )
            return connection.execute(_FORGET, (oldest_ms,)).rowcount

        def note(_: int) -> None:
            for digest, known in list(self._known.items()):
                if to_ms(known.used_at) <= oldest_ms:
                    del self._known[digest]

        return await self._db.write(forget, note)

    def adopt(self, loaded: dict[str, Known]) -> None:
        """Forget everything and know ``loaded`` instead; for the store."""
        self.generation += 1
        self._known = loaded


def load_known(connection: sqlite3.Connection) -> dict[str, Known]:
    """Read what is known of every conversation that is not forgotten."""
    rows = connection.execute(
        "SELECT digest, name, model, count, used_at_ms FROM conversation"
        " WHERE messages IS NOT NULL ORDER BY used_at_ms"
    )
    return {
        digest: Known(digest[:32], name, model, count, from_ms(used_at_ms))
        for digest, name, model, count, used_at_ms in rows
    }


def _read(data: bytes | None) -> tuple[Message, ...] | None:
    if data is None:
        return None
    try:
        return _messages.decode(data)
    except msgspec.DecodeError:
        _log.warning("store_conversation_unreadable")
        return None


def _digest(*parts: str) -> str:
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        data = part.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
