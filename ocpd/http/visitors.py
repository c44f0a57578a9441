"""Where a request comes from, proxies in between considered.

What may live here: the address that counts, and whether it is this machine's own. Who may come in
is decided by whoever asks.
"""

from collections.abc import Sequence

import msgspec

from ocpd.http.message import Headers, Request
from ocpd.settings.doors import Address, Network, parse_address

_MARKS = frozenset(
    {
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-envoy-external-address",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "fly-client-ip",
    }
)
"""Headers that only what stands in between adds, beside X-Forwarded-*."""


class Visitor(msgspec.Struct, frozen=True):
    """``address`` is the network address that counts, "" for a Unix socket. ``is_forwarded``: a
    proxy passed the request on. ``is_local``: it comes from this very machine, by no proxy."""

    address: str
    is_forwarded: bool
    is_local: bool


def locate(request: Request, proxies: Sequence[Network] = ()) -> Visitor:
    """Return where ``request`` comes from.

    Only what comes from one of ``proxies`` is asked for X-Forwarded-For; its last address that is
    no proxy's counts, since everything before it may be made up.
    """
    forwarded = is_forwarded(request.headers)
    if request.uid is not None:
        return Visitor("", forwarded, is_local=not forwarded)
    address = parse_address(request.peer)
    if address is None:
        return Visitor(request.peer, forwarded, is_local=False)
    if forwarded:
        return Visitor(str(_trace(address, request.headers, proxies)), True, is_local=False)
    return Visitor(str(address), False, is_local=address.is_loopback)


def is_forwarded(headers: Headers) -> bool:
    """Whether a proxy passed the request on: then the address is the proxy's, and so is the uid."""
    return any(name in _MARKS or name.startswith("x-forwarded") for name, _ in headers)


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether ``address`` is in one of ``networks``."""
    found = parse_address(address)
    return found is not None and _is_in(found, networks)


def _trace(address: Address, headers: Headers, proxies: Sequence[Network]) -> Address:
    told = ",".join(headers.get_all("x-forwarded-for")).split(",")
    while told and _is_in(address, proxies):
        before = parse_address(_strip_port(told.pop().strip()))
        if before is None:
            break
        address = before
    return address


def _strip_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    # More than one colon is an IPv6 address.
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
