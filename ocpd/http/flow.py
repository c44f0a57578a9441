"""Pause and resume, both ways, and one timer that is cheap to move.

What may live here: the small parts through which a connection drives its transport and its loop.
They know bytes and seconds; what the bytes mean is for ``connection``.
"""

import asyncio
from collections.abc import Callable
from typing import Final

WRITE_HIGH: Final = 65_536
"""Bytes: a writer waits while more than this is in the transport's buffer."""


class Flow:
    """The two directions of one transport.

    Reading is paused by us; writing is paused by the transport, which calls through the
    protocol. Both are safe to ask for twice, and after the transport is gone.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self.is_reading_paused = False
        self.is_writing_paused = False
        transport.set_write_buffer_limits(high=WRITE_HIGH)

    def pause_reading(self) -> None:
        """Take no more bytes from the peer until ``resume_reading``."""
        if not self.is_reading_paused and not self._transport.is_closing():
            self.is_reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes from the peer again."""
        if self.is_reading_paused and not self._transport.is_closing():
            self.is_reading_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Note that the transport's buffer is full: the peer is slow."""
        self.is_writing_paused = True
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that the buffer has room again, or that nobody will ever empty it."""
        self.is_writing_paused = False
        self._writable.set()

    async def drain(self) -> None:
        """Wait until the transport takes bytes again; at once if it does."""
        if self.is_writing_paused:
            await self._writable.wait()


class Alarm:
    """One deadline at a time.

    Moving the deadline later, or clearing it, does not touch the loop's timers: the timer that
    is already there looks again when it fires. So every request may set it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0
        self._deadline = 0.0
        self._action: Callable[[], None] | None = None

    def now(self) -> float:
        """Return the loop's time, in seconds."""
        return self._loop.time()

    def set(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call ``action`` in ``delay_s``, instead of whatever was set before."""
        self._deadline = self._loop.time() + delay_s
        self._action = action
        if self._timer is not None and self._deadline < self._fires_at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._start_timer()

    def clear(self) -> None:
        """Forget the deadline."""
        self._action = None

    def close(self) -> None:
        """Forget the deadline and give the timer back to the loop."""
        self._action = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self) -> None:
        self._fires_at = self._deadline
        delay_s = max(self._deadline - self._loop.time(), 0.0)
        self._timer = self._loop.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        action = self._action
        if action is None:
            return
        if self._loop.time() < self._deadline:
            self._start_timer()
            return
        self._action = None
        action()
