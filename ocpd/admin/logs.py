"""``GET /logs``: the last lines, and with ``follow=1`` those that come.

What may live here: the ring's lines in the shape clients read, and followers: each a bounded queue
between whoever logs (any thread) and one connection. A follower that is too slow loses lines and
is told how many; nobody who logs ever waits.
"""

import asyncio
import logging
from collections import deque

import msgspec

from ocpd.admin.access import Actor
from ocpd.admin.answers import NO_STORE, read_count, read_flag, read_query, send
from ocpd.admin.wire import LogAnswer
from ocpd.errors import BadRequest, Overloaded
from ocpd.http.exchange import Exchange
from ocpd.log import Fields, Ring, TurnFilter, describe

USUAL = 30
MOST = 500
QUEUED = 1_000
"""Lines that wait for one slow follower at most."""

FOLLOWERS = 16
"""Followers at once; each costs every line a little."""

BEAT_S = 15.0
"""After so much silence a follower gets a comment: proxies and clients end what is silent."""

SSE_HEADERS = (
    ("content-type", "text/event-stream"),
    NO_STORE,
    # nginx would hold the lines back.
    ("x-accel-buffering", "no"),
)

# What clients say, and what logging calls it.
_LEVELS: dict[str, frozenset[str]] = {
    "debug": frozenset({"debug"}),
    "info": frozenset({"info"}),
    "warn": frozenset({"warning"}),
    "error": frozenset({"error", "critical"}),
}
_SPELLED = {"warning": "warn", "critical": "error"}

_encoder = msgspec.json.Encoder()


class Follower(logging.Handler):
    """Takes lines from any thread and hands them to one task, in order."""

    def __init__(self, level: str) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._wanted = level
        self._lines: deque[dict[str, str]] = deque()
        self._dropped = 0
        self._is_over = False
        self._something = asyncio.Event()
        self.addFilter(TurnFilter())

    def emit(self, record: logging.LogRecord) -> None:
        """Queue ``record``; never waits. Past QUEUED the line is counted and gone."""
        line = describe(record)
        if not _is_wanted(line, self._wanted):
            return
        # The lock of logging.Handler is held here: nobody else appends.
        if len(self._lines) >= QUEUED:
            self._dropped += 1
            return
        self._lines.append(spell_line(line))
        self._wake()

    def end(self) -> None:
        """Let ``take`` return nothing from now on."""
        self._is_over = True
        self._wake()

    async def take(self) -> list[dict[str, str]] | None:
        """Wait for lines and return them; none after BEAT_S of silence, None at the end."""
        try:
            async with asyncio.timeout(BEAT_S):
                while not self._lines and not self._is_over:
                    self._something.clear()
                    await self._something.wait()
        except TimeoutError:
            return []
        return self._drain() if self._lines else None

    def _drain(self) -> list[dict[str, str]]:
        self.acquire()
        try:
            taken = list(self._lines)
            dropped, self._dropped = self._dropped, 0
            self._lines.clear()
        finally:
            self.release()
        if dropped:
            taken.append({"level": "warn", "event": "log_lines_dropped", "count": str(dropped)})
        return taken

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._something.set)
        except RuntimeError:
            # The loop is closed: nobody follows any more.
            self._dropped += 1


class Logs:
    """Answers the lines. ``close`` must be called before a stop waits for answers to end:
    followers would never."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._followers: set[Follower] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"Logs({self._ring}, {len(self._followers)} followers)"

    def close(self) -> None:
        """End every follower's answer, and take no new ones. Safe to call twice."""
        self._is_closed = True
        for follower in self._followers:
            follower.end()

    async def show(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer the last ``n`` lines of ``level``, or begin with them and go on."""
        query = read_query(exchange, "n", "level", "follow")
        level = query.get("level", "all").lower()
        if level not in ("all", *_LEVELS):
            raise BadRequest(
                f"level: {level[:80]!r} is none of all, {', '.join(_LEVELS)}", param="level"
            )
        count = read_count(query, "n", USUAL, 0, MOST)
        if read_flag(query, "follow", default=False) and exchange.request.method == "GET":
            await self._follow(exchange, count, level)
        else:
            entries = self._tail(count, level)
            await send(exchange, LogAnswer(len(entries), level, entries))

    def _tail(self, count: int, level: str) -> list[dict[str, str]]:
        lines = [line for line in self._ring.tail(MOST) if _is_wanted(line, level)]
        return [spell_line(line) for line in lines[-count:]] if count else []

    async def _follow(self, exchange: Exchange, count: int, level: str) -> None:
        if len(self._followers) >= FOLLOWERS or self._is_closed:
            raise Overloaded("too many follow the log already", code="too_many_followers")
        follower = Follower(level)
        root = logging.getLogger()
        self._followers.add(follower)
        # No await between these two: no line is missed, none comes twice.
        root.addHandler(follower)
        lines: list[dict[str, str]] | None = self._tail(count, level)
        try:
            await exchange.start(200, SSE_HEADERS)
            await exchange.write(b": follow\n\n")
            while lines is not None:
                await exchange.write(spell_events(lines) if lines else b": \n\n")
                lines = await follower.take()
            await exchange.finish()
        finally:
            root.removeHandler(follower)
            self._followers.discard(follower)
            follower.close()


def spell_line(line: Fields) -> dict[str, str]:
    """Make every value a text, as clients of OCP expect; nulls are left out."""
    return {key: _spell(key, value) for key, value in line.items() if value is not None}


def spell_events(lines: list[dict[str, str]]) -> bytes:
    """Spell lines as server-sent events."""
    return b"".join(b"data: %b\n\n" % _encoder.encode(line) for line in lines)


def _spell(key: str, value: str | float) -> str:
    if isinstance(value, str):
        return _SPELLED.get(value, value) if key == "level" else value
    return _encoder.encode(value).decode()


def _is_wanted(line: Fields, level: str) -> bool:
    return level == "all" or line["level"] in _LEVELS[level]
