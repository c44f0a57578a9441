"""What the tests of the front door share: an exchange whose other end is the test.

What may live here: stand-ins and readers. What is expected stands in the tests.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ocpd.__main__ import read_models
from ocpd.api.doorkeeper import Doorkeeper
from ocpd.errors import Gone
from ocpd.http.body import Body
from ocpd.http.exchange import Exchange, Handler
from ocpd.http.message import Headers, Request, Response
from ocpd.http.sentry import Sentry
from ocpd.settings.doors import read_doors
from ocpd.settings.values import Settings
from ocpd.store.records import KeyRecord

MODELS = read_models(Settings())


class Ring:
    """Keys by their secret; ``admin`` is the admin key."""

    def __init__(self, keys: Mapping[str, KeyRecord] | None = None, admin: str = "") -> None:
        self.keys = dict(keys or {})
        self.admin = admin

    def find(self, token: str) -> KeyRecord | None:
        return self.keys.get(token)

    def is_admin(self, token: str) -> bool:
        return bool(self.admin) and token == self.admin


def make_doorkeeper(
    ring: Ring | None = None, sentry: Sentry | None = None, **settings: Any
) -> Doorkeeper:
    """A doorkeeper under ``settings``, of a machine called myhost."""
    doors = read_doors(Settings(**settings), ("myhost",))
    return Doorkeeper(ring or Ring(), doors, sentry or Sentry())


class Link:
    """Keeps what is sent. After ``leave_after`` chunks the client is gone."""

    def __init__(self, leave_after: int | None = None) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.is_ended = False
        self.is_choked = False
        self._leave_after = leave_after

    def begin_reading(self) -> None:
        raise AssertionError("the body was there already")

    def send_whole(self, response: Response) -> None:
        self.send_head(response.status, response.headers)
        self.chunks.append(response.body)
        self.is_ended = True

    def send_head(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        assert self.status == 0
        self.status, self.headers = status, dict(headers)

    def send_chunk(self, data: bytes) -> None:
        if self._leave_after == len(self.chunks):
            raise Gone("The client left.")
        self.chunks.append(data)

    def send_end(self) -> None:
        self.is_ended = True

    async def drain(self) -> None:
        """Take everything at once."""

    @property
    def sent(self) -> bytes:
        """The whole body of the answer."""
        return b"".join(self.chunks)

    @property
    def json(self) -> dict[str, Any]:
        """The body as the JSON object it is."""
        return msgspec.json.decode(self.sent, type=dict[str, Any])


def make_exchange(
    link: Link,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> Exchange:
    """A request that came whole."""
    received = Body(len(body))
    if body:
        received.feed(body)
    received.end()
    found = Headers((k.encode(), v.encode("latin-1")) for k, v in (headers or {}).items())
    exchange = Exchange(Request("POST", "/x", "/x", "", found, "1.1", "::1"), received, link)
    exchange.params = dict(params or {})
    return exchange


async def answer(handler: Handler, body: bytes = b"", **params: str) -> Link:
    """What ``handler`` answers."""
    link = Link()
    await handler(make_exchange(link, body, params=params))
    return link
