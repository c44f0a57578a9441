"""Promise: a head becomes a Request with one way to read its body, or a BadRequest."""

import h11
import pytest

from ocpd.errors import BadRequest
from ocpd.http.head import read_head
from ocpd.http.peer import Peer


def parse(raw: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return event


def test_a_head_becomes_a_request():
    event = parse(b"GET //v1/a%20b/?q=%41 HTTP/1.1\r\nHost: here\r\nX-Y: z\r\n\r\n")
    request, declared = read_head(event, Peer("::1"))
    assert (request.method, request.version, request.peer) == ("GET", "1.1", "::1")
    assert (request.path, request.query) == ("/v1/a b", "q=%41")
    assert request.target == "//v1/a%20b/?q=%41"
    assert request.headers.get("x-y") == "z"
    assert declared == 0


@pytest.mark.parametrize(
    ("framing", "declared"),
    [(b"content-length: 7", 7), (b"transfer-encoding: chunked", None), (b"x: y", 0)],
)
def test_the_length_of_the_body_is_known_or_chunked(framing, declared):
    event = parse(b"POST / HTTP/1.1\r\nhost: a\r\n" + framing + b"\r\n\r\n")
    assert read_head(event, Peer(""))[1] == declared


@pytest.mark.parametrize(
    "raw",
    [
        b"PRI * HTTP/2.0\r\n\r\n",
        b"GET / HTTP/3.1\r\nhost: a\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
def test_what_cannot_be_answered_is_a_bad_request(raw):
    with pytest.raises(BadRequest) as caught:
        read_head(parse(raw), Peer(""))
    assert caught.value.status == 400
