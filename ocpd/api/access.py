"""Who may knock without a key: nobody a web page could have sent.

What may live here: the guard before the public routes. What betrays a web page is known to
``http.hosts``.
"""

from ocpd.http.exchange import Exchange, Handler
from ocpd.http.hosts import refuse_strangers
from ocpd.http.message import Request


def check_caller(request: Request) -> None:
    """Refuse a request that only a foreign web page would send. Raises Refused (403)."""
    refuse_strangers(request)


def guard(handler: Handler) -> Handler:
    """Return ``handler`` behind ``check_caller``."""

    async def guarded(exchange: Exchange) -> None:
        check_caller(exchange.request)
        await handler(exchange)

    return guarded
