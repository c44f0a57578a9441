"""Who is at the other end: the kernel's word on a Unix socket, an address on TCP."""

import os
import socket

from ocpd.http.peer import NOBODY, Peer, peer_uid, read_peer


class Transport:
    """What asyncio knows of a connection."""

    def __init__(self, connected: socket.socket | None, peername: object = None) -> None:
        self._told = {"socket": connected, "peername": peername}

    def get_extra_info(self, name: str) -> object:
        return self._told.get(name)


def test_a_unix_peer_has_a_uid_and_no_address() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()
        assert read_peer(Transport(ours, "")) == Peer("", os.geteuid())  # type: ignore[arg-type]


def test_a_tcp_peer_has_an_address_and_no_uid() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert peer_uid(client) is None
        told = read_peer(Transport(client, ("127.0.0.1", 5)))  # type: ignore[arg-type]
        assert told == Peer("127.0.0.1", None)


def test_a_peer_that_the_kernel_does_not_name_is_nobody_and_not_the_owner() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.close()
    # A closed socket answers no question.
    assert read_peer(Transport(ours)) == Peer("", NOBODY)  # type: ignore[arg-type]


def test_a_connection_that_is_gone_has_neither() -> None:
    assert read_peer(Transport(None)) == Peer("", None)  # type: ignore[arg-type]
