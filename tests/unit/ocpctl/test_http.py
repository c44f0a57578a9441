"""Requests and answers, byte by byte."""

import socket
import threading
from contextlib import contextmanager

import pytest

from ocpctl.failures import Broken
from ocpctl.http import Reply, Request, build_target, exchange, quote


@contextmanager
def _reply(*pieces):
    """The answer made of these pieces, after which the other side closes."""
    ours, theirs = socket.socketpair()
    with theirs:
        for piece in pieces:
            theirs.sendall(piece)
    reply = None
    try:
        reply = Reply(ours)
        yield reply
    finally:
        if reply is not None:
            reply.close()
        ours.close()


def _read(*pieces):
    with _reply(*pieces) as reply:
        return reply.read_whole(1000)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("laptop", "laptop"),
        ("wife's laptop", "wife%27s%20laptop"),
        ("a/b?c#d&e=f%", "a%2Fb%3Fc%23d%26e%3Df%25"),
        ("Zoë", "Zo%C3%AB"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("a.b", "a.b"),
        ("x\r\nHost: y", "x%0D%0AHost%3A%20y"),
    ],
)
def test_a_name_is_one_segment_whatever_is_in_it(text, encoded):
    assert quote(text) == encoded


def test_a_target_is_segments_and_a_query():
    assert build_target(("api", "keys", "a b", "quota"), None) == "/api/keys/a%20b/quota"
    assert build_target(("logs",), {"n": "5", "level": "a&b"}) == "/logs?n=5&level=a%26b"


def test_a_request_has_a_length_only_with_a_body():
    request = Request("DELETE", "/sessions")
    assert b"Content-Length" not in request.head("localhost", "")
    assert b"Authorization" not in request.head("localhost", "")
    request.carry([b"{}"], 2, "application/json")
    head = request.head("localhost", "key")
    assert head.startswith(b"DELETE /sessions HTTP/1.1\r\nHost: localhost\r\n")
    assert b"\r\nContent-Length: 2\r\n" in head
    assert b"\r\nAuthorization: Bearer key\r\n" in head
    assert head.endswith(b"\r\n\r\n")


def test_a_body_ends_by_its_length():
    assert _read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more") == b"hello"


def test_a_body_may_come_in_chunks_with_extensions_and_trailers():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    assert _read(head, b"5;x=y\r\nhello\r\n", b"1\r\n!\r\n0\r\nTrailer: 1\r\n\r\n") == b"hello!"


def test_a_body_may_end_with_the_connection():
    assert _read(b"HTTP/1.0 200 OK\r\n\r\nall ", b"of it") == b"all of it"


def test_an_answer_without_a_body_has_none():
    assert _read(b"HTTP/1.1 204 No Content\r\n\r\n") == b""


def test_news_before_the_answer_are_passed_over():
    with _reply(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nX-A: b\r\n\r\n") as reply:
        assert reply.status == 404
        assert reply.headers == {"x-a": "b"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(200)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
    ],
)
def test_what_is_no_whole_answer_is_broken(content):
    with pytest.raises(Broken):
        _read(content)


def test_an_answer_counts_although_the_request_was_not_read_to_its_end():
    ours, theirs = socket.socketpair()
    request = Request("POST", "/admin/restore")
    request.carry((b"x" * 65536 for _ in range(100)), 100 * 65536, "application/octet-stream")

    def refuse_early():
        with theirs:
            theirs.recv(100)
            theirs.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=refuse_early)
    thread.start()
    try:
        reply = exchange(ours, request, "localhost", "")
        assert reply.status == 413
        reply.close()
    finally:
        ours.close()
        thread.join(10)
