"""The front-door table: method, path, handler, and who may come in.

What may live here: rows.
"""

from ocpd.api.doorkeeper import Doorkeeper
from ocpd.api.health import Health
from ocpd.api.listing import Listing
from ocpd.api.pages import show_to_pages
from ocpd.api.turns import Turns
from ocpd.http.exchange import Exchange, Handler
from ocpd.http.router import Route, Router, make_handler


def front_door(
    chat: Turns, listing: Listing, health: Health, doorkeeper: Doorkeeper
) -> tuple[Route, ...]:
    """Return the public routes, for a router. /health is for all, and judges itself how much of it
    somebody sees."""
    rows: tuple[tuple[str, str, Handler], ...] = (
        ("POST", "/v1/chat/completions", chat.handle),
        ("GET", "/v1/models", listing.show_all),
        ("GET", "/v1/models/{id}", listing.show_one),
    )
    guarded = (Route(method, path, doorkeeper.guard(act)) for method, path, act in rows)
    return (*guarded, Route("GET", "/health", health.show))


def face_world(router: Router, doorkeeper: Doorkeeper) -> Handler:
    """Return the handler of everything that comes in at any door: addresses that may not connect
    stay out of all of it, pages of other hosts see what their settings say."""
    routed = make_handler(router, doorkeeper.check_unknown)
    shown = show_to_pages(routed, lambda: doorkeeper.doors)

    async def facing(exchange: Exchange) -> None:
        doorkeeper.check_address(exchange.request)
        await shown(exchange)

    return facing
