"""Which machine a request is meant for, and whether a foreign web page sent it.

What may live here: reading ``Host``, ``Origin`` and the target, strictly: what is not wholly a
host and a port is nobody's name. A page on any site can make its visitor's browser send requests
to a loopback port, and a name that suddenly resolves to 127.0.0.1 makes that page "same origin"
(DNS rebinding). Programs send no Origin, and name the address they were given. Which names are
this machine's own is for the doors to say.
"""

import ipaddress
import re
from collections.abc import Callable, Collection

import msgspec

from ocpd.errors import Refused
from ocpd.http.message import Request

_AUTHORITY = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]*[A-Za-z0-9_-])\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_URL = re.compile(r"https?://([^/?]*)", re.IGNORECASE)
_SHOWN = 100
"""Characters of a stranger's text that a refusal repeats."""


class Authority(msgspec.Struct, frozen=True):
    """A host in lower case, without brackets and last dot, and its port, "" if none was said."""

    host: str
    port: str = ""


def parse_authority(text: str) -> Authority | None:
    """Read ``host[:port]`` as RFC 9110 has it, without user and zone; None for anything else."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65_535:
        return None
    port = match["port"] or ""
    if match["v6"] is None:
        name = match["name"].lower()
        return None if ".." in name or name.startswith(".") else Authority(name, port)
    try:
        return Authority(str(ipaddress.IPv6Address(match["v6"])), port)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether ``host``, as ``Authority`` has it, is a loopback name or address."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # An IPv4 address may come dressed as an IPv6 one.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_address(host: str) -> bool:
    """Whether ``host`` is an address: no stranger can make one point elsewhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def refuse_strangers(request: Request) -> None:
    """Refuse a request that only a foreign web page would send to a loopback address. Raises
    Refused (403)."""
    check_host(request, is_loopback)
    check_origin(request)


def check_host(request: Request, is_own: Callable[[str], bool]) -> None:
    """Refuse a request that is meant for a host that is not ``is_own``. Raises Refused (403)."""
    meant = _read_host(request)
    found = parse_authority(meant)
    if found is None or not is_own(found.host):
        raise Refused(
            f"the request is for the host {meant[:_SHOWN]!r}; only names and addresses of this"
            " machine are served (setting allowedHosts has more names)",
            code="foreign_host",
        )


def read_host(request: Request) -> str:
    """Return the host that a request is meant for, "" if it is none. Raises Refused (403) for
    two."""
    found = parse_authority(_read_host(request))
    return "" if found is None else found.host


def check_origin(request: Request, allowed: Collection[str] = ()) -> None:
    """Refuse a request that a page of another host sent, or one that names two pages; ``allowed``
    are origins of pages that may. Raises Refused (403)."""
    origins = request.headers.get_all("origin")
    if not origins:
        return
    host = _read_host(request).lower()
    # Without TLS of ours a proxy may have spoken it. With it nobody has a page from us without, but
    # whoever sits in between can make one.
    own = (f"https://{host}",) if request.is_secured else (f"http://{host}", f"https://{host}")
    for origin in origins:
        is_known = origin.lower() in own or origin.lower() in allowed
        if not is_known or origin != origins[0]:
            raise Refused(
                f"requests from web pages of {origin[:_SHOWN]!r} are not served (setting"
                " corsOrigins lists those whose requests to the API are)",
                code="foreign_origin",
            )


def _read_host(request: Request) -> str:
    hosts = request.headers.get_all("host")
    if len(set(hosts)) > 1:
        raise Refused("the request names two different hosts", code="foreign_host")
    # RFC 9112, 3.2.2: a host in the target replaces Host. A request without either is HTTP/1.0,
    # which no browser speaks.
    if (match := _URL.match(request.target)) is not None:
        return match[1]
    return hosts[0] if hosts else "localhost"
