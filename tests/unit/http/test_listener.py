"""Promise: leaving a server flushes what is answered, and waits for nobody for long."""

from ocpd.http import listener
from ocpd.http.connection import Connection
from ocpd.http.listener import Server, ServerStatistics
from tests.unit.http.stage import GET, SHORT_S, FakeTransport, breathe, hello, make_limits, run


class SlowTransport(FakeTransport):
    """Has bytes to send that the client takes later, or never."""

    def __init__(self, *, is_taken: bool) -> None:
        super().__init__()
        self.buffered = 100
        self.is_taken = is_taken

    def close(self) -> None:
        super().close()
        if self.is_taken:
            self.buffered = 0
            super().close()


async def leave(transport: FakeTransport) -> Server:
    async with Server(hello, make_limits()) as server:
        connection = Connection(server._service)
        transport.protocol = connection
        connection.connection_made(transport)
        connection.data_received(GET)
        await breathe()
        assert server.statistics() == ServerStatistics(connections=1, exchanges=0, served=1)
    return server


def test_an_answer_that_is_being_sent_is_waited_for():
    async def main():
        transport = SlowTransport(is_taken=True)
        server = await leave(transport)
        assert not transport.was_aborted
        assert server.statistics().connections == 0

    run(main())


def test_a_client_that_takes_nothing_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(listener, "FLUSH_S", SHORT_S)

    async def main():
        transport = SlowTransport(is_taken=False)
        server = await leave(transport)
        assert transport.was_aborted
        assert server.statistics().connections == 0

    run(main())
