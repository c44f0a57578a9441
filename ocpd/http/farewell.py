"""The ways a connection ends.

What may live here: closing, lingering, giving up on a client that takes nothing. Whether to end,
and when, is for ``connection``.
"""

import asyncio
import socket
import struct
from typing import Final

from ocpd.http.flow import Alarm, Flow

LINGER_PAUSE_S: Final = 5.0
"""Seconds of silence after which a client that we listen out is done."""

LINGER_S: Final = 30.0
"""Seconds we listen a client out in all. Both times are nginx's."""

LINGER_BYTES: Final = 67_108_864
"""Bytes we listen out in all."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Farewell:
    """Ends one transport; uses its connection's alarm from then on."""

    def __init__(self, transport: asyncio.Transport, flow: Flow, alarm: Alarm) -> None:
        self._transport = transport
        self._flow = flow
        self._alarm = alarm
        self._unsent_bytes = 0
        self._linger_bytes = 0
        self._linger_until = 0.0

    def close(self) -> None:
        """Send what is buffered, then close. A client that takes none of it is cut off."""
        self._transport.close()
        self.watch_client(LINGER_PAUSE_S)

    def linger(self) -> None:
        """Send what is buffered, shut our side, and throw away what the client still sends.

        Closing while he sends would make the kernel reset the connection, and then many clients
        never see the answer that tells them why.
        """
        if self._transport.is_closing():
            return
        self._linger_until = self._alarm.now() + LINGER_S
        self._transport.write_eof()
        self._flow.resume_reading()
        self._alarm.set(LINGER_PAUSE_S, self.abort)

    def ignore(self, size: int) -> None:
        """Throw ``size`` bytes away while lingering."""
        self._linger_bytes += size
        rest_s = self._linger_until - self._alarm.now()
        if self._linger_bytes > LINGER_BYTES or rest_s <= 0:
            self.abort()
        else:
            self._alarm.set(min(LINGER_PAUSE_S, rest_s), self.abort)

    def abort(self) -> None:
        """Close at once and drop what is buffered."""
        self._transport.abort()

    def reset(self) -> None:
        """Close at once so that the client cannot take it for an end."""
        if (handle := self._transport.get_extra_info("socket")) is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def watch_client(self, patience_s: float) -> None:
        """Cut the client off if he takes no byte of what is buffered for ``patience_s``."""
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._alarm.set(patience_s, lambda: self._check_client(patience_s))

    def _check_client(self, patience_s: float) -> None:
        if self._transport.get_write_buffer_size() < self._unsent_bytes:
            self.watch_client(patience_s)
        else:
            self.abort()
