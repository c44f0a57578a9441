"""One HTTP/1.1 exchange over one connected socket.

What may live here: the bytes of a request and of its answer, which ends with the connection.
Answers come with a length, in chunks, or until the daemon closes. Statuses and JSON mean nothing
here. Whatever is wrong with an answer raises Broken.
"""

from __future__ import annotations

from ocpctl.failures import Broken
from ocpctl.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator, Mapping

PIECE = 64 * 1024
_LINE = 16 * 1024
_HEADERS = 100

_HEX = frozenset("0123456789abcdefABCDEF")
_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~")


def quote(text: str) -> str:
    """Percent-encode ``text`` so that it is exactly one segment of a path, or one value."""
    encoded = "".join(
        chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode()
    )
    # As a segment, . and .. would mean another path.
    return encoded if encoded.strip(".") else encoded.replace(".", "%2E")


def build_target(segments: Iterable[str], query: Mapping[str, str] | None) -> str:
    """Build the target of a request: every segment and value is encoded."""
    path = "/" + "/".join(quote(segment) for segment in segments)
    if not query:
        return path
    return path + "?" + "&".join(f"{quote(name)}={quote(query[name])}" for name in query)


class Request:
    """What is asked. ``content`` is written after the head; ``size`` is its length in bytes,
    None if there is no body."""

    __slots__ = ("content", "content_type", "method", "size", "target")

    def __init__(self, method: str, target: str) -> None:
        self.method = method
        self.target = target
        self.content: Iterable[bytes] = ()
        self.content_type = ""
        self.size: int | None = None

    def carry(self, content: Iterable[bytes], size: int, content_type: str) -> None:
        """Give it a body of ``size`` bytes."""
        self.content = content
        self.size = size
        self.content_type = content_type

    def head(self, authority: str, bearer: str) -> bytes:
        """Return the lines before the body. ``bearer`` may be empty."""
        lines = [
            f"{self.method} {self.target} HTTP/1.1",
            f"Host: {authority}",
            f"User-Agent: ocpctl/{VERSION}",
            "Accept: application/json, */*",
            "Connection: close",
        ]
        if bearer:
            lines.append(f"Authorization: Bearer {bearer}")
        if self.size is not None:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {self.size}"]
        return "\r\n".join((*lines, "", "")).encode("latin-1")


class Reply:
    """The answer: its head at once, its body when it is read. Close it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self.status, self.headers = self._read_head()
        while 100 <= self.status < 200:
            self.status, self.headers = self._read_head()

    def close(self) -> None:
        """Drop the connection."""
        self._file.close()
        self._connection.close()

    def wait_forever(self) -> None:
        """From now on the body may pause as long as it likes."""
        self._connection.settimeout(None)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes. Raises Broken if it ends too early."""
        if self.status in (204, 304):
            return iter(())
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = self.headers.get("content-length")
        if length is None:
            return self._rest()
        if not (length.isascii() and length.isdecimal()):
            raise Broken("the answer has no sensible length")
        return self._exactly(int(length))

    def read_whole(self, limit_bytes: int) -> bytes:
        """Read the body to its end. Raises Broken if it is longer than ``limit_bytes``."""
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > limit_bytes:
                raise Broken(f"the answer is longer than {limit_bytes} bytes")
        return bytes(body)

    # The head.

    def _read_head(self) -> tuple[int, dict[str, str]]:
        first = self._read_line().split(" ", 2)
        if len(first) < 2 or not first[0].startswith("HTTP/1.") or not first[1].isdecimal():
            raise Broken("the answer is not HTTP: is that the socket of ocpd?")
        headers: dict[str, str] = {}
        while line := self._read_line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
            if len(headers) > _HEADERS:
                raise Broken("the answer has too many headers")
        return int(first[1]), headers

    def _read_line(self) -> str:
        line = self._file.readline(_LINE)
        if not line.endswith(b"\n"):
            raise Broken("ocpd closed the connection before it had answered")
        return line.decode("latin-1").rstrip("\r\n")

    # The body.

    def _chunks(self) -> Iterator[bytes]:
        while size := self._read_size():
            yield from self._exactly(size)
            self._read_line()
        while self._read_line():
            pass

    def _read_size(self) -> int:
        text = self._read_line().partition(";")[0].strip()
        if not text or set(text) - _HEX:
            raise Broken("the answer is cut into chunks that have no size")
        return int(text, 16)

    def _exactly(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            piece = self._file.read1(min(left, PIECE))
            if not piece:
                raise Broken("the answer broke off")
            left -= len(piece)
            yield piece

    def _rest(self) -> Iterator[bytes]:
        while piece := self._file.read1(PIECE):
            yield piece


def exchange(connection: socket.socket, request: Request, authority: str, bearer: str) -> Reply:
    """Send ``request`` and read the head of the answer; close the answer when it is read.

    A daemon may answer before it has read all, and close: then the answer counts.
    """
    try:
        connection.sendall(request.head(authority, bearer))
        for piece in request.content:
            connection.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return Reply(connection)
