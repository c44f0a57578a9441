"""The settings about who may come in, read into what the doors compare with.

What may live here: the lists (keys, networks, hosts, origins), the auth mode that follows from
several settings, and what does not go together. Pure; who really comes in is judged elsewhere.
"""

import enum
import hashlib
import ipaddress
import re
from collections.abc import Iterable

import msgspec

from ocpd.settings.knob import SettingsError
from ocpd.settings.values import Settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

DOCKER = "host.docker.internal"
"""How a container calls the machine it runs on."""

_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::(?P<port>[0-9]{1,5}))?"
)
_KEY = re.compile(r"[!-~]+")
_USUAL_PORTS = {"http": "80", "https": "443"}


class AuthMode(enum.Enum):
    """Who may chat."""

    NONE = "none"
    """Everybody who reaches the port."""
    SHARED = "shared"
    """Holders of one of ``sharedKeys``."""
    MULTI = "multi"
    """Holders of a key of their own, the admin key or the anonymous key."""


class Shared(msgspec.Struct, frozen=True):
    """A shared key: what the books call its holders, and its SHA-256."""

    name: str
    digest: bytes


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What the doors compare with. ``own_names`` are this machine's names beside the loopback ones,
    ``hosts`` those and ``allowedHosts``; ``any_address``: it listens beyond loopback, so any plain
    address may be its own (a stranger can make a name point here, an address he cannot)."""

    mode: AuthMode = AuthMode.NONE
    shared: tuple[Shared, ...] = ()
    anonymous: bytes | None = None
    loopback_chat: bool = True
    own_names: frozenset[str] = frozenset({DOCKER})
    hosts: frozenset[str] = frozenset({DOCKER})
    any_address: bool = False
    origins: frozenset[str] = frozenset()
    addresses: tuple[Network, ...] = ()
    proxies: tuple[Network, ...] = ()


def read_doors(settings: Settings, names: Iterable[str] = ()) -> Doors:
    """Read what ``settings`` say of the doors; ``names`` are this machine's own.

    Raises SettingsError naming the setting and what to do: for an entry that does not fit, and
    for keys that are asked for and not there.
    """
    shared = _read_keys(settings.shared_keys)
    own = frozenset((DOCKER, *(name.lower() for name in names if name)))
    return Doors(
        mode=_choose_mode(settings, has_keys=bool(shared)),
        shared=shared,
        anonymous=_read_anonymous(settings.anonymous_key),
        loopback_chat=settings.loopback_chat,
        own_names=own,
        hosts=own | {_read_host(entry) for entry in _split(settings.allowed_hosts)},
        any_address=bool(open_addresses(settings)),
        origins=frozenset(_read_origin(entry) for entry in _split(settings.cors_origins)),
        addresses=_read_networks("allowedAddresses", settings.allowed_addresses),
        proxies=_read_networks("trustedProxies", settings.trusted_proxies),
    )


def requires_keys(doors: Doors) -> bool:
    """Whether nobody from another machine is served without a key of his own. The anonymous key is
    for everybody, so it is none."""
    match doors.mode:
        case AuthMode.NONE:
            return False
        case AuthMode.SHARED:
            return True
        case AuthMode.MULTI:
            return doors.anonymous is None


def list_warnings(settings: Settings, doors: Doors) -> tuple[str, ...]:
    """Return what is allowed, and should not be done without knowing it; for people."""
    if doors.mode is not AuthMode.NONE:
        return ()
    found: list[str] = []
    if reached := ", ".join(open_addresses(settings)):
        found.append(
            f"authMode is none and bind is {reached}: everybody who reaches that address can"
            " use your plan; set authMode to multi or shared, or bind 127.0.0.1"
        )
    if doors.proxies:
        found.append(
            "authMode is none and trustedProxies is set: everybody whom the proxies pass on can use"
            " your plan; set authMode to multi or shared"
        )
    return tuple(found)


def list_addresses(settings: Settings) -> tuple[str, ...]:
    """Return the addresses to listen on."""
    return tuple(_split(settings.bind))


def open_addresses(settings: Settings) -> tuple[str, ...]:
    """Return those of them that other machines can reach."""
    return tuple(each for each in list_addresses(settings) if not is_loopback(each))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(text: str) -> Address | None:
    """Read an address without its zone, an IPv4 one in IPv6's dress as what it is; None for
    anything else."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def digest_of(key: str) -> bytes:
    """The SHA-256 by which keys are compared; total, whatever the text holds."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _choose_mode(settings: Settings, *, has_keys: bool) -> AuthMode:
    mode = AuthMode.SHARED if has_keys and settings.require_auth != "off" else AuthMode.NONE
    if settings.auth_mode != "auto":
        mode = AuthMode(settings.auth_mode)
    if mode is AuthMode.SHARED and not has_keys:
        raise SettingsError(
            "authMode: shared needs a key: set sharedKeys (PROXY_API_KEYS), or authMode to multi"
        )
    if mode is AuthMode.NONE and settings.require_auth == "on":
        raise SettingsError(
            "requireAuth: REQUIRE_AUTH is on, and nobody is asked for a key: set sharedKeys"
            " (PROXY_API_KEYS), or authMode (CLAUDE_AUTH_MODE) to multi"
        )
    return mode


def _read_keys(text: str) -> tuple[Shared, ...]:
    keys = tuple(dict.fromkeys(_split(text)))
    if text and not keys:
        # Taken for no list at all it would let everybody in.
        raise SettingsError("sharedKeys: there is no key in it; write one, or unset it")
    for number, key in enumerate(keys, 1):
        # What no header can carry would lock its holder out without a word.
        if not _KEY.fullmatch(key):
            raise SettingsError(
                f"sharedKeys: key {number} has characters that a header cannot carry; use letters,"
                " digits and punctuation without spaces"
            )
    # The first is what an only one is called: a second one does not rename it in the books.
    names = ("shared", *(f"shared-{number}" for number in range(2, len(keys) + 1)))
    return tuple(Shared(name, digest_of(key)) for name, key in zip(names, keys, strict=False))


def _read_anonymous(text: str) -> bytes | None:
    key = text.strip()
    if not key:
        return None
    if not _KEY.fullmatch(key):
        raise SettingsError(
            "anonymousKey: it has characters that a header cannot carry; use letters, digits and"
            " punctuation without spaces"
        )
    return digest_of(key)


def _read_host(entry: str) -> str:
    bare = entry.lower().removesuffix(".")
    if _NAME.fullmatch(bare):
        return bare
    if (address := parse_address(bare.removeprefix("[").removesuffix("]"))) is not None:
        return str(address)
    raise SettingsError(
        f"allowedHosts: {entry!r} is no host: write a name or an address, without scheme and port"
    )


def _read_origin(entry: str) -> str:
    found = _ORIGIN.fullmatch(entry.lower())
    if found is None or int(found["port"] or 0) > 65_535:
        raise SettingsError(
            f"corsOrigins: {entry!r} is no origin: write scheme://host or scheme://host:port,"
            " without a path and without a slash at the end; * is not possible"
        )
    # As browsers spell it: without the port that goes without saying.
    if found["port"] and found["port"] == _USUAL_PORTS.get(found["scheme"]):
        return f"{found['scheme']}://{found['host']}"
    return entry.lower()


def _read_networks(setting: str, text: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for entry in _split(text):
        try:
            found.append(ipaddress.ip_network(entry))
        except ValueError as error:
            raise SettingsError(
                f"{setting}: {error}; write networks as 192.168.1.0/24 or single addresses"
            ) from error
    return tuple(found)


def _split(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]
