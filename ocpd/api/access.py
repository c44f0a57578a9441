"""Who may knock without a key: nobody a web page could have sent.

What may live here: the judgement over ``Host`` and ``Origin``. A page on any site can make its
visitor's browser post to a loopback port, and a name that resolves to 127.0.0.1 makes that page
"same origin" (DNS rebinding): both would spend the plan. Programs send no Origin, and name the
address they were given.
"""

import ipaddress

from ocpd.errors import Refused
from ocpd.http.exchange import Exchange, Handler
from ocpd.http.message import Headers


def check_caller(headers: Headers) -> None:
    """Refuse a request that only a foreign web page would send. Raises Refused (403)."""
    host = headers.get("host")
    if host is None:
        # HTTP/1.0 without Host: no browser does that.
        host = "localhost"
    if not is_own_host(_bare_host(host)):
        raise Refused(
            f"the Host header names {host[:100]!r}; without a key only loopback names and "
            "addresses are served",
            code="foreign_host",
        )
    origin = headers.get("origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        raise Refused(
            f"requests from web pages of {origin[:100]!r} are not served", code="foreign_origin"
        )


def guard(handler: Handler) -> Handler:
    """Return ``handler`` behind ``check_caller``."""

    async def guarded(exchange: Exchange) -> None:
        check_caller(exchange.request.headers)
        await handler(exchange)

    return guarded


def is_own_host(host: str) -> bool:
    """Whether ``host`` (no port, no brackets) is a loopback name or address."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bare_host(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
