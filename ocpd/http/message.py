"""What goes over the wire, as records: requests, answers, and the one shape of a refusal.

What may live here: frozen records and pure functions that make them. No sockets, no h11 objects:
whoever holds one of these can keep it as long as he likes.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from ocpd.errors import OcpdError, QuotaFacts

_ERROR_TYPES: dict[int, str] = {
    **dict.fromkeys((400, 404, 405, 408, 411, 413, 414, 431), "invalid_request_error"),
    401: "auth_error",
    403: "permission_error",
    429: "rate_limit_error",
}


class Headers:
    """The header fields of a request: immutable, in the order they came.

    Made of (lower-case name, value) pairs of bytes, as h11 gives them.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._items = tuple(items)

    def get(self, name: str) -> str | None:
        """Return the first value of ``name`` (lower-case), or None if it was not sent."""
        wanted = name.encode("latin-1")
        for found, value in self._items:
            if found == wanted:
                return value.decode("latin-1")
        return None

    def get_all(self, name: str) -> list[str]:
        """Return every value of ``name`` (lower-case), in order; empty if it was not sent."""
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for found, value in self._items if found == wanted]

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((n.decode("latin-1"), v.decode("latin-1")) for n, v in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        # Names only: a value may be a key, and a repr ends up in logs.
        return f"<Headers {', '.join(name for name, _ in self)}>"


class Request(msgspec.Struct, frozen=True):
    """The head of one request.

    ``target`` is what the client wrote; ``path`` is its path, percent-decoded and normalised;
    ``query`` is the rest behind the question mark, still encoded. ``version`` is "1.0" or "1.1".
    ``peer`` is the address of the other end, without the port. ``uid`` is set exactly for requests
    over a Unix socket: the user at the other end, as the kernel says. ``is_secured``: it came over
    TLS that ends here.
    """

    method: str
    target: str
    path: str
    query: str
    headers: Headers
    version: str
    peer: str
    uid: int | None = None
    is_secured: bool = False


class Response(msgspec.Struct, frozen=True):
    """A whole answer. Length, date and connection headers are added when it is sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class _Fault(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | None
    quota: QuotaFacts | UnsetType = UNSET


class _Refusal(msgspec.Struct):
    error: _Fault


_encoder = msgspec.json.Encoder()


def json_response(status: int, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """Make an answer of ``body``, which is JSON already."""
    return Response(status, (("content-type", "application/json"), *headers), body)


def refusal(error: OcpdError) -> Response:
    """Spell ``error`` as an answer, in the error shape that OpenAI clients read."""
    kind = error.kind or _ERROR_TYPES.get(error.status, "api_error")
    quota = UNSET if error.quota is None else error.quota
    fault = _Fault(error.message, kind, error.param, error.code, quota)
    body = _encoder.encode(_Refusal(fault))
    headers: list[tuple[str, str]] = []
    if error.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(error.retry_after_s)))
    headers.extend(error.headers)
    return json_response(error.status, body, headers)
