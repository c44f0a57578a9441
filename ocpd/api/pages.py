"""What web pages of other hosts may do with the API: CORS.

What may live here: the headers that let a browser show an answer to a page, and the answer to its
preflight. Who may come in is the doorkeeper's business: these headers let nobody in.
"""

import re
from collections.abc import Callable, Collection

from ocpd.http.exchange import Exchange, Handler
from ocpd.http.message import Request, Response
from ocpd.settings.doors import Doors

API = "/v1/"

METHODS = "GET, POST, DELETE, OPTIONS"

REQUEST_HEADERS = (
    "authorization",
    "content-type",
    "x-api-key",
    "x-session-id",
    "x-conversation-id",
    "x-effort",
    "x-mcp-servers",
    "anthropic-version",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
)

EXPOSED = ", ".join(
    (
        "retry-after",
        "x-request-id",
        "request-id",
        *(
            f"x-ratelimit-{what}-{of}"
            for what in ("limit", "remaining", "reset")
            for of in ("requests", "tokens")
        ),
        "x-ratelimit-window",
        "x-ocpd-plan-warning",
        "x-should-retry",
        "x-ocpd-ignored",
        "x-ocpd-truncated",
        "x-ocpd-cache",
        "x-ocpd-version",
        "x-proxy-unsupported",
    )
)

MAX_AGE_S = 600
_MOST_ASKED = 50
_NAME = re.compile(r"[a-z0-9-]{1,64}")

Headers = tuple[tuple[str, str], ...]


def show_to_pages(handler: Handler, doors: Callable[[], Doors]) -> Handler:
    """Return ``handler`` with what pages need on every answer below /v1, refusals too, and in front
    of it the answer to preflights, which come without a key."""

    async def shown(exchange: Exchange) -> None:
        request = exchange.request
        if not request.path.startswith(API):
            await handler(exchange)
            return
        origins = doors().origins
        exchange.extra = (*exchange.extra, *page_headers(request, origins))
        if request.method == "OPTIONS":
            await exchange.respond(Response(204, preflight_headers(request, origins)))
            return
        await handler(exchange)

    return shown


def page_headers(request: Request, origins: Collection[str]) -> Headers:
    """Return what any answer to ``request`` carries, if ``origins`` may use the API."""
    if not origins:
        return ()
    # Also for who sends no Origin: a cache in between must keep the answers apart.
    vary: Headers = (("vary", "Origin"),)
    origin = _allowed_origin(request, origins)
    if origin is None:
        return vary
    return (
        *vary,
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", EXPOSED),
    )


def preflight_headers(request: Request, origins: Collection[str]) -> Headers:
    """Return what the answer to a preflight carries besides; nothing for a foreign page."""
    if _allowed_origin(request, origins) is None:
        return ()
    asked = ",".join(request.headers.get_all("access-control-request-headers")).lower().split(",")
    named = (name.strip() for name in asked[:_MOST_ASKED])
    # The page is trusted, and SDKs add headers of their own (x-stainless-...).
    allowed = dict.fromkeys((*REQUEST_HEADERS, *(n for n in named if _NAME.fullmatch(n))))
    found: Headers = (
        ("access-control-allow-methods", METHODS),
        ("access-control-allow-headers", ", ".join(allowed)),
        ("access-control-max-age", str(MAX_AGE_S)),
    )
    if request.headers.get("access-control-request-private-network") == "true":
        found += (("access-control-allow-private-network", "true"),)
    return found


def _allowed_origin(request: Request, origins: Collection[str]) -> str | None:
    sent = request.headers.get_all("origin")
    if len(sent) != 1 or sent[0].lower() not in origins:
        return None
    return sent[0]
