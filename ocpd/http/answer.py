"""Answers as bytes: heads, chunks, ends, and the headers that every answer bears.

What may live here: spelling. h11 writes heads and ends, and so keeps the books of the connection;
chunks change nothing in those books and are spelled here, at a tenth of the price. Who sends the
bytes, and when, is for ``connection``.
"""

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import h11

from ocpd import aio
from ocpd.errors import Bug
from ocpd.http.message import Response

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_REASONS: dict[int, bytes] = {status.value: status.phrase.encode() for status in HTTPStatus}
_BODILESS: Final = frozenset({204, 304})
_CLOSE: Final = (b"connection", b"close")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})


def format_date(epoch_s: float) -> bytes:
    """Spell a moment as HTTP does (RFC 9110, 5.6.7), whatever the locale."""
    at = time.gmtime(epoch_s)
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04}"
    return f"{day} {clock} GMT".encode()


class Letterhead:
    """The headers of every answer of a server: the date, and what the server was given."""

    def __init__(self, extra_headers: Sequence[tuple[str, str]] = ()) -> None:
        self._extra = _encode_headers(extra_headers)
        self._lines: list[tuple[bytes, bytes]] = []
        self._second = -1

    def lines(self) -> list[tuple[bytes, bytes]]:
        """Return the headers. Made once a second; do not change the list."""
        now = aio.wall_clock()
        if int(now) != self._second:
            self._second = int(now)
            self._lines = [*self._extra, (b"date", format_date(now))]
        return self._lines


def _encode_headers(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


class Answers:
    """The answers of one connection, one after the other, as bytes to send.

    ``is_final`` on a head says that the connection ends with this answer.
    """

    def __init__(self, connection: h11.Connection, letterhead: Letterhead) -> None:
        self._h11 = connection
        self._letterhead = letterhead
        self._is_chunked = False
        self._is_bodiless = False

    def whole(self, response: Response, is_head: bool, is_final: bool) -> bytes:
        """Spell a whole answer; ``is_head`` leaves the body out."""
        headers = _encode_headers(response.headers)
        body = response.body
        if response.status in _BODILESS:
            body = b""
        else:
            headers.append((b"content-length", b"%d" % len(body)))
        head = self._head(response.status, headers, is_final)
        if body and not is_head:
            data = self._h11.send(h11.Data(data=body))
            return b"".join((head, data, self._h11.send(h11.EndOfMessage())))
        return head + self._h11.send(h11.EndOfMessage())

    def head(
        self, status: int, headers: Sequence[tuple[str, str]], is_head: bool, is_final: bool
    ) -> bytes:
        """Spell the head of a streamed answer. Raises Bug if ``headers`` say how long it is."""
        if any(name.lower() in _FRAMING for name, _ in headers):
            raise Bug("a streamed answer must not declare its framing")
        spelled = self._head(status, _encode_headers(headers), is_final)
        self._is_chunked = self._h11.their_http_version == b"1.1"
        self._is_bodiless = is_head or status in _BODILESS
        return spelled

    def chunk(self, data: bytes) -> bytes:
        """Spell one piece of a streamed answer; ``data`` is not empty."""
        if self._is_bodiless:
            return b""
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        return data

    def end(self) -> bytes:
        """Spell the end of a streamed answer."""
        return self._h11.send(h11.EndOfMessage())

    def go_ahead(self) -> bytes:
        """Spell the leave to send a request body (100 Continue)."""
        return self._h11.send(
            h11.InformationalResponse(status_code=100, headers=[], reason=_REASONS[100])
        )

    def _head(self, status: int, headers: list[tuple[bytes, bytes]], is_final: bool) -> bytes:
        headers += self._letterhead.lines()
        if is_final:
            headers.append(_CLOSE)
        return self._h11.send(
            h11.Response(status_code=status, headers=headers, reason=_REASONS.get(status, b""))
        )
