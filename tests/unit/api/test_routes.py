"""Promise: the front door has these routes, and every one of them is guarded."""

from typing import cast

import pytest

from ocpd.api.health import Health
from ocpd.api.listing import Listing
from ocpd.api.routes import front_door
from ocpd.api.turns import Turns
from ocpd.errors import Refused
from ocpd.http.exchange import Exchange
from ocpd.http.message import Response
from ocpd.http.router import Match, Router
from tests.unit.api.stage import Link, make_doorkeeper, make_exchange
from tests.unit.http.stage import run


class Rooms:
    """Every handler there is; each answers with its own status."""

    async def handle(self, exchange: Exchange) -> None:
        await exchange.respond(Response(201))

    async def show_all(self, exchange: Exchange) -> None:
        await exchange.respond(Response(202))

    async def show_one(self, exchange: Exchange) -> None:
        await exchange.respond(Response(203))

    async def show(self, exchange: Exchange) -> None:
        await exchange.respond(Response(206))


ROOMS = Rooms()
KEEPER = make_doorkeeper()
DOOR = Router(
    front_door(cast("Turns", ROOMS), cast("Listing", ROOMS), cast("Health", ROOMS), KEEPER)
)
ROUTES = [
    ("POST", "/v1/chat/completions", 201),
    ("GET", "/v1/models", 202),
    ("GET", "/v1/models/sonnet", 203),
    ("GET", "/health", 206),
]


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
def test_a_route_leads_to_its_handler(method: str, path: str, status: int) -> None:
    found = DOOR.resolve(method, path)
    assert isinstance(found, Match)
    link = Link()
    run(_call(found, link, "localhost"))
    assert link.status == status


# /health has a part for everybody, and judges by itself.
@pytest.mark.parametrize(("method", "path", "_"), ROUTES[:-1])
def test_no_route_is_open_to_strangers(method: str, path: str, _: int) -> None:
    found = DOOR.resolve(method, path)
    assert isinstance(found, Match)
    with pytest.raises(Refused):
        run(_call(found, Link(), "evil.example"))


async def _call(found: Match, link: Link, host: str) -> None:
    await found.handler(make_exchange(link, headers={"host": host}))


def test_there_are_no_other_routes() -> None:
    assert set(DOOR.paths) == {
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/{id}",
        "/health",
    }
