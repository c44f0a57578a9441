"""Who may do what at the back door: Open, Own, Read, Write, for Unix peer, loopback, keys.

What may live here: the judgement over one request, as a value (``Actor``) or a refusal. Facts come
as arguments: the kernel's uid, the address, the headers; nothing here asks a socket.

A browser on this machine can reach the TCP port, and so can a proxy that forwards strangers: so
loopback alone proves nothing. The reasons stand beside the checks.
"""

import enum
import hmac
from collections.abc import Callable
from typing import Protocol, assert_never

import msgspec

from ocpd.errors import BadRequest, OcpdError, Refused, Unauthorized
from ocpd.http import hosts
from ocpd.http.credentials import read_tokens
from ocpd.http.hosts import check_host, check_origin
from ocpd.http.message import Headers, Request
from ocpd.http.sentry import Sentry
from ocpd.http.visitors import Visitor, locate
from ocpd.settings.doors import AuthMode, Doors, Network, Shared, digest_of
from ocpd.store.records import KeyRecord


class Access(enum.Enum):
    """What a route asks for."""

    OPEN = "open"
    """Anybody whose request is not a foreign web page's."""
    OWN = "own"
    """Read, or the holder of a key, who sees what is his."""
    READ = "read"
    WRITE = "write"


class Via(enum.Enum):
    """Through which door an actor came, and on what ground."""

    UNIX = "unix"
    ADMIN = "admin-key"
    LOOPBACK = "loopback"
    KEY = "key"
    GUEST = "guest"
    """With a key that many hold: a shared one, or the anonymous one."""
    NOBODY = "nobody"


class Actor(msgspec.Struct, frozen=True):
    """Who asks. ``uid`` is the kernel's word on a Unix peer, ``user`` that user's name if there is
    one; ``key`` is set exactly for ``Via.KEY``, ``guest`` for ``Via.GUEST``."""

    via: Via
    uid: int | None = None
    user: str | None = None
    key: KeyRecord | None = None
    guest: str = ""

    @property
    def name(self) -> str:
        """What the books call the actor."""
        match self.via:
            case Via.UNIX:
                return self.user or f"uid {self.uid}"
            case Via.ADMIN:
                return "admin"
            case Via.LOOPBACK:
                return "local"
            case Via.KEY:
                return self.key.name if self.key is not None else "key"
            case Via.GUEST:
                return self.guest
            case Via.NOBODY:
                return "nobody"
            case _:
                assert_never(self.via)


class Policy(msgspec.Struct, frozen=True):
    """The settings that count here. ``hosts`` are names of this machine beside the loopback ones,
    in lower case; ``any_address``: it listens beyond loopback, so any plain address may be its
    own (a name could be made to point here by a stranger, an address cannot); ``guests`` are keys
    that many hold; ``proxies`` are believed when they say who asks."""

    loopback_admin: str = "read"
    auth_mode: str = "none"
    hosts: frozenset[str] = frozenset()
    any_address: bool = False
    guests: tuple[Shared, ...] = ()
    proxies: tuple[Network, ...] = ()


def make_policy(loopback_admin: str, doors: Doors) -> Policy:
    """Return what of ``doors`` counts here."""
    guests: tuple[Shared, ...] = ()
    if doors.mode is AuthMode.SHARED:
        guests = doors.shared
    elif doors.mode is AuthMode.MULTI and doors.anonymous is not None:
        guests = (Shared("anonymous", doors.anonymous),)
    return Policy(
        loopback_admin=loopback_admin,
        auth_mode=doors.mode.value,
        hosts=doors.hosts,
        any_address=doors.any_address,
        guests=guests,
        proxies=doors.proxies,
    )


class Tokens(Protocol):
    """What is known of tokens; ``store.keys`` is one."""

    def find(self, token: str) -> KeyRecord | None:
        """The key that ``token`` is, if it may be used."""
        ...

    def is_admin(self, token: str) -> bool:
        """Whether it is the admin key."""
        ...


class Doorman:
    """Judges requests. ``may_enter`` tells of a Unix peer's uid whether it may come in, although
    the socket's mode decided that already; ``name_user`` its name."""

    def __init__(
        self,
        tokens: Tokens,
        policy: Callable[[], Policy],
        may_enter: Callable[[int], bool],
        name_user: Callable[[int], str | None],
        sentry: Sentry | None = None,
    ) -> None:
        """``sentry`` slows down whoever guesses keys; the front door has the same one."""
        self._tokens = tokens
        self._policy = policy
        self._may_enter = may_enter
        self._name_user = name_user
        self._sentry = sentry or Sentry()

    def admit(self, request: Request, access: Access) -> Actor:
        """Return who asks, if that one may; else raise Unauthorized (401: a key or a setting would
        help) or Refused (403)."""
        policy = self._policy()
        _refuse_strangers(request, policy)
        actor = self._identify(request, policy)
        match actor.via:
            case Via.UNIX | Via.ADMIN:
                return actor
            case Via.LOOPBACK:
                _judge_loopback(request, access, policy)
            case Via.KEY | Via.GUEST:
                if access not in (Access.OPEN, Access.OWN):
                    raise Refused("this key is not the admin key", code="not_admin")
            case Via.NOBODY:
                if access is not Access.OPEN:
                    raise _locked("this needs the admin key as Bearer token")
            case _:
                assert_never(actor.via)
        return actor

    def _identify(self, request: Request, policy: Policy) -> Actor:
        token = read_token(request.headers)
        visitor = locate(request, policy.proxies)
        if request.uid is not None and visitor.is_local:
            if not self._may_enter(request.uid):
                raise Refused(
                    f"uid {request.uid} is neither root, nor ocpd's user, nor in the group of"
                    " the socket",
                    code="foreign_uid",
                )
            return Actor(Via.UNIX, request.uid, self._name_user(request.uid))
        if token is not None and (actor := self._know(token, request, visitor, policy)) is not None:
            return actor
        return Actor(Via.LOOPBACK) if visitor.is_local else Actor(Via.NOBODY, request.uid)

    def _know(self, token: str, request: Request, visitor: Visitor, policy: Policy) -> Actor | None:
        """Whose token it is; None if a token does not matter here. Raises Unauthorized for one that
        is wrong where it does, Overloaded for one more of an address that guesses."""
        # Where no key is asked for, programs on this machine send whatever their settings want.
        is_idle = policy.auth_mode == "none" and visitor.is_local
        digest = digest_of(token)
        if not is_idle:
            self._sentry.check(visitor.address, digest)
        actor = self._holder(token, digest, request, policy)
        if not is_idle:
            self._sentry.note(visitor.address, digest, is_right=actor is not None)
        if actor is None and policy.auth_mode != "none":
            raise Unauthorized("the token is unknown, revoked or expired", code="bad_token")
        if actor is not None and actor.via is Via.GUEST and visitor.is_local:
            # As without it: it makes nobody more here, and nobody less.
            return None
        return actor

    def _holder(self, token: str, digest: bytes, request: Request, policy: Policy) -> Actor | None:
        if self._tokens.is_admin(token):
            return Actor(Via.ADMIN, request.uid)
        same = [g for g in policy.guests if hmac.compare_digest(g.digest, digest)]
        if same:
            return Actor(Via.GUEST, request.uid, guest=same[0].name)
        key = self._tokens.find(token)
        return None if key is None else Actor(Via.KEY, request.uid, key=key)


def read_token(headers: Headers) -> str | None:
    """Return the token a request carries, if any.

    Raises BadRequest (400) for two that differ: which of them counted would be a guess.
    """
    found = read_tokens(headers)
    if len(found) > 1:
        raise BadRequest("the request carries two different tokens", code="two_tokens")
    return found[0] if found else None


def _refuse_strangers(request: Request, policy: Policy) -> None:
    # Over a Unix socket Host is whatever the client made up; no name led it here.
    if request.uid is None:
        check_host(request, lambda host: _is_own_host(host, policy))
    # ssh -L makes a port even of a Unix socket, and any page may post to a port.
    check_origin(request)


def _is_own_host(host: str, policy: Policy) -> bool:
    if hosts.is_loopback(host) or host in policy.hosts:
        return True
    return policy.any_address and hosts.is_address(host)


def _judge_loopback(request: Request, access: Access, policy: Policy) -> None:
    """Judge a caller from this machine without a token. Raises Unauthorized or Refused."""
    if access is Access.OPEN:
        return
    if policy.loopback_admin not in ("read", "full"):
        raise _locked("callers without a token may not read this here")
    if access is not Access.WRITE:
        return
    if policy.loopback_admin != "full":
        raise _locked("changes over TCP need the admin key as Bearer token")
    if _is_from_browser(request.headers) and not _is_json(request.headers):
        # A form can send text/plain and the like across sites; JSON it cannot without a preflight,
        # which is never granted here.
        raise Refused(
            "a change from a web page must have content-type application/json",
            code="json_required",
        )


def _is_from_browser(headers: Headers) -> bool:
    return any(name == "origin" or name.startswith("sec-fetch-") for name, _ in headers)


def _is_json(headers: Headers) -> bool:
    kinds = headers.get_all("content-type")
    return len(kinds) == 1 and kinds[0].partition(";")[0].strip().lower() == "application/json"


def _locked(what: str) -> OcpdError:
    return Unauthorized(
        f"{what}. From this machine: use ocpctl, which needs no key, or set loopbackAdmin (off,"
        " read or full).",
        code="admin_key_required",
    )
