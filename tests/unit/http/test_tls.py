"""Promise: no client gets more of us than others by how he cuts his records, or what he asks of the
protocol itself."""

import asyncio
import ssl

from ocpd.http.identity import Identity
from ocpd.http.tls import CHATTER, RECORDS_AT_ONCE, Handshakes, TlsLayer
from tests.kit.certificates import Authority
from tests.unit.http.stage import FakeTransport, breathe, run

REFUSAL = b"x" * 31
"""The size of "no renegotiation"."""


class Tiny:
    """OpenSSL as it reads many records of one byte, and then no more."""

    def __init__(self, count: int) -> None:
        self.left = count

    def read(self, _size: int) -> bytes:
        if not self.left:
            raise ssl.SSLWantReadError
        self.left -= 1
        return b"x"


class Heard(asyncio.Protocol):
    """Who is behind the layer."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)


def test_tiny_records_are_passed_on_together_and_let_others_have_their_turn(tmp_path) -> None:
    async def main():
        pair = Authority(tmp_path).issue()
        identity = Identity(str(pair.certificate), str(pair.key), 5.0)
        layer = TlsLayer(identity, Handshakes(), Heard)
        transport = FakeTransport()
        transport.protocol = layer
        layer.connection_made(transport)
        layer._above = heard = Heard()
        layer._tls = Tiny(10 * RECORDS_AT_ONCE)
        layer.data_received(b"packet")
        assert heard.pieces == [b"x" * RECORDS_AT_ONCE]
        assert not transport.is_reading_on
        layer.pause_reading()
        await breathe()
        assert len(heard.pieces) == 1
        assert not transport.is_reading_on
        layer.resume_reading()
        while layer._tls.left:
            await breathe()
        assert heard.pieces == [b"x" * RECORDS_AT_ONCE] * 10
        await breathe()
        assert transport.is_reading_on
        layer.abort()
        await breathe()

    run(main())


class Refusing:
    """OpenSSL as a client sees it who wants one new handshake with each packet."""

    def __init__(self, outgoing: ssl.MemoryBIO) -> None:
        self._outgoing = outgoing

    def read(self, _size: int) -> bytes:
        self._outgoing.write(REFUSAL)
        raise ssl.SSLWantReadError


def test_a_client_that_asks_for_handshake_after_handshake_is_dropped(tmp_path) -> None:
    async def main():
        pair = Authority(tmp_path).issue()
        identity = Identity(str(pair.certificate), str(pair.key), 5.0)
        layer = TlsLayer(identity, Handshakes(), asyncio.Protocol)
        transport = FakeTransport()
        transport.protocol = layer
        layer.connection_made(transport)
        layer._above = asyncio.Protocol()
        layer._tls = Refusing(layer._outgoing)
        for _ in range(CHATTER):
            if not transport.is_closing():
                layer.data_received(b"packet")
        assert transport.was_aborted
        assert len(transport.written) <= CHATTER + len(REFUSAL)
        await breathe()

    run(main())
