"""One request and its answer, as a handler sees them.

What may live here: the order of things a handler may do, and nothing about sockets. Everything
that touches the wire goes through ``Link``, which a connection (or a test) provides.
"""

import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from ocpd.errors import Bug, Gone
from ocpd.http.body import Body
from ocpd.http.message import Request, Response


class State(enum.Enum):
    """How far the answer is."""

    READING = "reading"
    STREAMING = "streaming"
    DONE = "done"
    BROKEN = "broken"

    # Members are singletons; Enum's own hash is Python code and shows in the profile.
    __hash__ = object.__hash__


MOVES: dict[State, frozenset[State]] = {
    State.READING: frozenset({State.STREAMING, State.DONE, State.BROKEN}),
    State.STREAMING: frozenset({State.DONE, State.BROKEN}),
    State.DONE: frozenset(),
    State.BROKEN: frozenset(),
}


class Link(Protocol):
    """What an exchange needs of the connection that carries it. Nothing here waits but
    ``drain``."""

    def begin_reading(self) -> None:
        """The handler now waits for the body: let it come."""
        ...

    def send_whole(self, response: Response) -> None:
        """Send a whole answer."""
        ...

    def send_head(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Send the head of a streamed answer."""
        ...

    def send_chunk(self, data: bytes) -> None:
        """Send one piece of a streamed answer."""
        ...

    def send_end(self) -> None:
        """Send the end of a streamed answer."""
        ...

    @property
    def is_choked(self) -> bool:
        """Whether the client is slow and the buffer full."""
        ...

    async def drain(self) -> None:
        """Wait until the client took enough; returns at once when the connection is lost."""
        ...


class Exchange:
    """One request and its answer.

    A handler reads the body if it wants it, then either calls ``respond`` once, or ``start``,
    ``write`` any number of times, and ``finish``. When the client leaves, the handler's task is
    cancelled; code that outlives the cancellation hears Gone from every method.
    """

    def __init__(self, request: Request, body: Body, link: Link) -> None:
        self.request = request
        self.params: dict[str, str] = {}
        self.extra: tuple[tuple[str, str], ...] = ()
        """Headers that go on the answer, whoever gives it."""
        self.started = False
        self.state = State.READING
        self._body = body
        self._link = link

    def __repr__(self) -> str:
        return f"<Exchange {self.request.method} {self.request.path} {self.state.value}>"

    async def read_body(self, limit_bytes: int) -> bytes:
        """Return the whole request body; may be called once.

        ``limit_bytes`` is the most it may have. A client that asked for leave to send it
        (Expect: 100-continue) gets leave now, unless the body is known to be too large. Raises
        BadRequest with 413 (too large), 408 (the client paused too long), 400 or 431 (not valid
        HTTP), and Gone if the client left. If cancelled, the body is lost.
        """
        if self.state is State.BROKEN:
            raise Gone("The client left.")
        self._body.admit(limit_bytes)
        if not self._body.is_settled:
            self._link.begin_reading()
            await self._body.wait()
        return self._body.take()

    async def respond(self, response: Response) -> None:
        """Send ``response`` and nothing after it; waits while the client is slow.

        A HEAD request gets the headers only. Raises Gone if the client left, Bug if an answer
        was begun before. If cancelled while waiting, the answer still goes out.
        """
        self._expect(State.READING)
        if self.extra:
            headers = (*response.headers, *self.extra)
            response = msgspec.structs.replace(response, headers=headers)
        self._link.send_whole(response)
        self.started = True
        self._move(State.DONE)
        await self._link.drain()

    async def start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Send the head of a streamed answer; ``write`` and ``finish`` come next.

        ``headers`` must not have a length: the body is chunked, or for HTTP/1.0 ends with the
        connection. Raises as ``respond``.
        """
        self.begin_nowait(status, headers)

    def begin_nowait(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Do what ``start`` does, for callbacks of the loop."""
        self._expect(State.READING)
        self._link.send_head(status, (*headers, *self.extra))
        self.started = True
        self._move(State.STREAMING)

    def write_nowait(self, data: bytes) -> None:
        """Send one piece of a streamed answer; to a slow client it is not sent.

        Raises Gone if the client left.
        """
        self._expect(State.STREAMING)
        if not self._link.is_choked:
            self._link.send_chunk(data)

    async def write(self, data: bytes) -> None:
        """Send one piece; waits while the client is slow. No bytes are no piece.

        Raises Gone if the client left.
        """
        if self.state is not State.STREAMING:
            self._expect(State.STREAMING)
        if data:
            self._link.send_chunk(data)
            if self._link.is_choked:
                await self._link.drain()
                self._expect(State.STREAMING)

    async def finish(self) -> None:
        """End a streamed answer; waits while the client is slow. Raises Gone if he left."""
        self._expect(State.STREAMING)
        self._link.send_end()
        self._move(State.DONE)
        await self._link.drain()

    def give_up(self) -> None:
        """Note that no answer, or no more of it, will reach the client. Too late if it is out."""
        if State.BROKEN in MOVES[self.state]:
            self._move(State.BROKEN)
            self._body.fail(Gone("The client left."))

    def _expect(self, state: State) -> None:
        if self.state is State.BROKEN:
            raise Gone("The client left.")
        if self.state is not state:
            raise Bug(f"the answer is {self.state.value}, not {state.value}")

    def _move(self, state: State) -> None:
        if state not in MOVES[self.state]:
            raise Bug(f"an answer cannot go from {self.state.value} to {state.value}")
        self.state = state


Handler = Callable[[Exchange], Awaitable[None]]
"""Answers one exchange. What it raises is answered for it, if the answer was not begun."""
