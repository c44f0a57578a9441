"""TLS between a socket and a connection.

What may live here: feeding OpenSSL and emptying it. Upwards this is a transport, downwards a
protocol. The loops have such a layer, too; theirs buffers a second time and cannot shut one side
alone, so that patience with slow clients and the last answer to one that still sends would need
another way than on a plain socket. Whoever does not get through the handshake (another protocol,
no common version, no patience) is dropped, and hardly logged: a port scan must not fill the log.
"""

import asyncio
import contextlib
import enum
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final, assert_never, cast

from ocpd.http.identity import Identity
from ocpd.http.message import refusal
from ocpd.http.refusals import wants_tls

_log = logging.getLogger("ocpd.http")

PIECE: Final = 65_536
"""Bytes that are decrypted and passed on at once."""

RECORDS_AT_ONCE: Final = 500
"""Records that are decrypted before others have their turn, if there is so little in them."""

MOST_AT_ONCE: Final = 1_024
"""Handshakes; each holds 40 KB. Whoever means it needs some milliseconds, so that the oldest is the
one to go."""

CHATTER: Final = 16_384
"""Bytes that the protocol itself may say after the handshake: new keys now and then. Who asks for
them without end (or in TLS 1.2 for handshakes), and reads no answer, would fill our memory."""

_TOLD: Final = refusal(wants_tls()).body
WRONG_SCHEME: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_TOLD), _TOLD)
)
"""What a client hears that speaks plain HTTP to us, as it would from other servers."""


class Handshakes:
    """Those that are not done; ``is_over`` is set while there are none."""

    def __init__(self) -> None:
        # In the order in which they came.
        self._layers: dict[TlsLayer, None] = {}
        self.is_over = asyncio.Event()
        self.is_over.set()

    def __len__(self) -> int:
        return len(self._layers)

    def enter(self, layer: "TlsLayer") -> None:
        """Count ``layer`` in; if there are ``MOST_AT_ONCE``, drop the oldest."""
        if len(self._layers) >= MOST_AT_ONCE:
            oldest = next(iter(self._layers))
            self.leave(oldest)
            oldest.abort()
        self._layers[layer] = None
        self.is_over.clear()

    def leave(self, layer: "TlsLayer") -> None:
        """Count ``layer`` out, if it is in."""
        self._layers.pop(layer, None)
        if not self._layers:
            self.is_over.set()

    def abort(self) -> None:
        """Drop everybody who is at it."""
        for layer in list(self._layers):
            layer.abort()


class Rest(enum.Enum):
    """What is behind the bytes that were decrypted."""

    MORE = "more"
    LATER = "more, in many records"
    NONE = "nothing yet"
    GOODBYE = "the client's last word"
    NONSENSE = "nonsense"


class TlsLayer(asyncio.Transport, asyncio.Protocol):
    """One accepted socket. When the handshake is done it makes its connection and carries it.

    ``handshakes`` hold it until then.
    """

    # Set as soon as the socket's transport is there.
    _below: asyncio.Transport
    _tls: ssl.SSLObject
    _patience: asyncio.TimerHandle

    def __init__(
        self,
        identity: Identity,
        handshakes: Handshakes,
        make_connection: Callable[[], asyncio.Protocol],
    ) -> None:
        super().__init__()
        self._identity = identity
        self._handshakes = handshakes
        self._make_connection = make_connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._above: asyncio.Protocol | None = None
        self._is_reading = True
        self._chatter = 0
        # Our last word is said: nothing more is encrypted, and nothing is read.
        self._is_shut = False

    # What the socket tells...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake, which the client begins."""
        self._below = cast("asyncio.Transport", transport)
        context = self._identity.context()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(self._identity.handshake_s, self.abort)
        self._handshakes.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on."""
        self._patience.cancel()
        self._handshakes.leave(self)
        if self._above is not None:
            self._above.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of TLS in."""
        if self._is_shut:
            # Whoever is listened out only: how much it is counts, not what.
            if self._above is not None:
                self._above.data_received(data)
            return
        self._incoming.write(data)
        if self._above is None:
            self._shake_hands()
        self._read()

    def eof_received(self) -> None:
        """Pass on that the client sends no more; the socket is closed after that."""
        if self._above is not None:
            self._above.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client is slow."""
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client took enough."""
        if self._above is not None:
            self._above.resume_writing()

    # What the connection asks...

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Encrypt ``data`` and send it."""
        rest = memoryview(data)
        if self._is_shut or self.is_closing():
            return
        while rest:
            rest = rest[self._tls.write(rest) :]
        self._flush()

    def can_write_eof(self) -> bool:
        """Yes."""
        return True

    def write_eof(self) -> None:
        """Send our last word and shut our side of the socket. What still comes is passed on as it
        is, unread."""
        self._say_goodbye()
        self._below.write_eof()

    def close(self) -> None:
        """Send what is buffered and our last word, then close. The client's own last word is not
        waited for: one that rests gives none."""
        self._say_goodbye()
        self._below.close()

    def abort(self) -> None:
        """Close at once and drop what is buffered."""
        self._below.abort()

    def is_closing(self) -> bool:
        """Whether the socket is closed or about to be."""
        return self._below.is_closing()

    def pause_reading(self) -> None:
        """Pass nothing on until ``resume_reading``. What is already here is one read's worth."""
        self._is_reading = False
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Pass on what is here, soon, and read on."""
        self._is_reading = True
        self._below.resume_reading()
        # Not now: who calls may be taking in what was read before.
        asyncio.get_running_loop().call_soon(self._read)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set them for the socket: nothing is buffered here."""
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken yet, encrypted."""
        return self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the socket knows, and ``ssl_object``."""
        if name == "ssl_object":
            return self._tls
        return self._below.get_extra_info(name, default)

    # Between the two...

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._drop(error)
        else:
            self._patience.cancel()
            self._flush()
            self._above = self._make_connection()
            self._above.connection_made(self)
            self._handshakes.leave(self)

    def _drop(self, error: ssl.SSLError) -> None:
        self._is_shut = True
        if error.reason == "HTTP_REQUEST":
            # Not closed yet: the kernel would reset what still comes, and drop our words with it.
            # The client's end, or the end of our patience, closes it.
            self._below.write(WRONG_SCHEME)
            self._below.write_eof()
        else:
            # The alert that says why.
            self._flush()
            self._below.close()
        _log.debug("handshake_failed", extra={"reason": error.reason or str(error)})

    def _read(self) -> None:
        rest = Rest.MORE
        while rest is Rest.MORE and self._above is not None and self._can_read():
            data, rest = self._decrypt()
            if data:
                self._above.data_received(data)
            match rest:
                case Rest.MORE | Rest.NONE:
                    pass
                case Rest.LATER:
                    self._below.pause_reading()
                    asyncio.get_running_loop().call_soon(self._read_on)
                case Rest.GOODBYE:
                    # A connection that is left in between has none.
                    self._above.eof_received()
                    self.close()
                case Rest.NONSENSE:
                    # Not what we agreed on: somebody meddled, or is broken.
                    self._flush()
                    self.abort()
                case _:
                    assert_never(rest)
        self._answer_for_itself()

    def _read_on(self) -> None:
        if self._can_read():
            self._below.resume_reading()
            self._read()

    def _can_read(self) -> bool:
        return self._is_reading and not self._is_done()

    def _decrypt(self) -> tuple[bytes, Rest]:
        """Return what came, as one piece, and what is behind it."""
        found = bytearray()
        for _ in range(RECORDS_AT_ONCE):
            try:
                data = self._tls.read(PIECE)
            except ssl.SSLWantReadError:
                return bytes(found), Rest.NONE
            except ssl.SSLError:
                return bytes(found), Rest.NONSENSE
            if not data:
                return bytes(found), Rest.GOODBYE
            found += data
            if len(found) >= PIECE:
                return bytes(found), Rest.MORE
        return bytes(found), Rest.LATER

    def _answer_for_itself(self) -> None:
        if not self._is_done():
            # What the protocol itself has to say.
            self._chatter += self._outgoing.pending
            if self._chatter > CHATTER:
                self.abort()
            self._flush()

    def _is_done(self) -> bool:
        return self._is_shut or self.is_closing()

    def _say_goodbye(self) -> None:
        if self._is_done():
            return
        self._is_shut = True
        # The client's goodbye is not here yet, or data that nobody wants is before it.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())
