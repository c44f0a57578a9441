"""The body of one request, as it arrives.

What may live here: the bytes that came and were not read yet, and how the body ended. Bytes are
fed by the connection and taken by the exchange; neither reads a socket here.
"""

import asyncio
from typing import Final

from ocpd.errors import Bug, OcpdError
from ocpd.http.refusals import body_too_large

UNREAD_HIGH: Final = 262_144
"""Bytes: the connection stops reading when more than this waits for a handler to want it."""

PIECES_AT_ONCE: Final = 500
"""Pieces that are taken in before others have their turn. In tiny chunks each byte is one."""

REST_LOW: Final = 65_536
"""Bytes: a body whose rest is at most this long is read to its end to keep the connection."""


class Body:
    """What is known of a request body. ``declared`` is its length in bytes, None if chunked."""

    def __init__(self, declared: int | None) -> None:
        self._declared = declared
        self._received = 0
        self._buffer = bytearray()
        self._limit_bytes: int | None = None
        self._error: OcpdError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.is_complete = False

    # What the connection tells us...

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes of the body."""
        self._received += len(data)
        if self.is_spoiled:
            return
        # One flat buffer, not a list of pieces: a client may send a megabyte in chunks of one
        # byte, and every piece would cost sixty.
        self._buffer += data
        if self._limit_bytes is not None and len(self._buffer) > self._limit_bytes:
            self.fail(body_too_large(self._limit_bytes))

    def end(self) -> None:
        """Note that the body is here to its last byte."""
        self.is_complete = True
        self._wake()

    def fail(self, error: OcpdError) -> None:
        """Give the body up: whoever reads it hears ``error``. The first error stays, and nothing
        spoils a body that was complete before."""
        if not self.is_settled:
            self._spoil(error)

    # What the connection asks...

    @property
    def is_settled(self) -> bool:
        """Whether the body ended, well or badly."""
        return self.is_complete or self.is_spoiled

    @property
    def is_spoiled(self) -> bool:
        """Whether it failed. The connection ends then, even if the last byte is here: how the
        client cut his bytes must not decide that."""
        return self._error is not None

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for more of it."""
        return self._waiter is not None and not self.is_settled

    @property
    def is_overfull(self) -> bool:
        """Whether so much is unread that no more should be taken from the socket."""
        return len(self._buffer) > UNREAD_HIGH and not self.is_awaited

    @property
    def has_short_rest(self) -> bool:
        """Whether the rest is known to be so short that reading it is cheaper than hanging up."""
        if self.is_spoiled or self._declared is None:
            return False
        return self._declared - self._received <= REST_LOW

    # What the exchange does...

    def admit(self, limit_bytes: int) -> None:
        """Accept a body of at most ``limit_bytes``.

        Raises BadRequest (413) if it is known to be larger, by its declared length or by what
        came already; the body is given up then.
        """
        if self._limit_bytes is not None:
            raise Bug("a request body was read twice")
        self._limit_bytes = limit_bytes
        if (self._declared or 0) > limit_bytes or len(self._buffer) > limit_bytes:
            error = body_too_large(limit_bytes)
            self._spoil(error)
            raise error

    async def wait(self) -> None:
        """Wait until the body is settled."""
        if not self.is_settled:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def take(self) -> bytes:
        """Return the whole body and forget it. Raises what it failed with."""
        if self._error is not None:
            raise self._error
        data = bytes(self._buffer)
        self._buffer = bytearray()
        return data

    def _spoil(self, error: OcpdError) -> None:
        self._error = error
        self._buffer = bytearray()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
