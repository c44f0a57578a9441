"""Promise: what the protocol itself says to a client is little, however often he asks."""

import asyncio
import ssl

from ocpd.http.identity import Identity
from ocpd.http.tls import CHATTER, Handshakes, TlsLayer
from tests.kit.certificates import Authority
from tests.unit.http.stage import FakeTransport, breathe, run

REFUSAL = b"x" * 31
"""The size of "no renegotiation"."""


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
