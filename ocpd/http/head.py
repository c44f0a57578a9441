"""From h11's request event to our record.

What may live here: pure translation, and the checks that h11 leaves to its user.
"""

import h11

from ocpd.errors import BadRequest
from ocpd.http.message import Headers, Request
from ocpd.http.peer import Peer
from ocpd.http.router import normalise_path

_VERSIONS = {b"1.0": "1.0", b"1.1": "1.1"}


def read_head(event: h11.Request, peer: Peer) -> tuple[Request, int | None]:
    """Return the request, and the declared length of its body in bytes (None: chunked).

    Raises BadRequest (400) for a path that cannot be, for another version of HTTP (the preface
    of HTTP/2 looks like one), and for a body with two framings.
    """
    version = _VERSIONS.get(event.http_version)
    if version is None:
        raise BadRequest("This server speaks HTTP/1.1 and HTTP/1.0.")
    headers = [(name.lower(), value) for name, value in event.headers.raw_items()]
    declared = _read_framing(headers)
    target = event.target.decode("ascii")
    path, query = normalise_path(target)
    method = event.method.decode("ascii")
    request = Request(
        method,
        target,
        path,
        query,
        Headers(headers),
        version,
        peer.address,
        peer.uid,
        peer.is_secured,
    )
    return request, declared


def _read_framing(headers: list[tuple[bytes, bytes]]) -> int | None:
    length: int | None = None
    is_chunked = False
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            is_chunked = True
    if is_chunked and length is not None:
        # RFC 9112, 6.1: the server may refuse. h11 would let the chunks win; a proxy before us
        # may have let the length win, and then one of us reads a body as a request.
        raise BadRequest("A request cannot have both Content-Length and Transfer-Encoding.")
    return None if is_chunked else length or 0
