"""The front-door table: method, path, handler, all behind the same guard.

What may live here: rows.
"""

from ocpd.api.access import guard
from ocpd.api.health import Health
from ocpd.api.listing import Listing
from ocpd.api.turns import Turns
from ocpd.http.exchange import Handler
from ocpd.http.router import Route


def front_door(chat: Turns, listing: Listing, health: Health) -> tuple[Route, ...]:
    """Return the public routes, for a router."""
    rows: tuple[tuple[str, str, Handler], ...] = (
        ("POST", "/v1/chat/completions", chat.handle),
        ("GET", "/v1/models", listing.show_all),
        ("GET", "/v1/models/{id}", listing.show_one),
        ("GET", "/health", health.show),
    )
    return tuple(Route(method, path, guard(handler)) for method, path, handler in rows)
