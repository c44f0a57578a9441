"""Who may come in at the front door: by a key, or because of where the request comes from.

What may live here: the judgement over one request, as a ``Caller`` or a refusal. The settings come
parsed, the keys from whoever knows them; nothing here waits.

A browser on this machine can reach the port, and so can a proxy that forwards strangers: without a
key it counts where the request comes from, which host it is meant for, and whether a web page sent
it. The anonymous key is no key in this sense: everybody may know it.
"""

import hmac
import logging
import math
from typing import Protocol, assert_never

import msgspec

from ocpd.aio import wall_clock
from ocpd.errors import BadRequest, OcpdError, Refused, Unauthorized
from ocpd.http import hosts
from ocpd.http.credentials import read_tokens
from ocpd.http.exchange import Exchange, Handler
from ocpd.http.hosts import check_host, check_origin, read_host
from ocpd.http.message import Request
from ocpd.http.sentry import Sentry
from ocpd.http.visitors import Visitor, is_in, locate
from ocpd.settings.doors import AuthMode, Doors, digest_of, parse_address
from ocpd.store.records import KeyRecord
from ocpd.turn.caller import Caller, Kind

_log = logging.getLogger("ocpd.api")

NO_TOOLS: tuple[str, ...] = ()
"""Of the CLI's own tools, which run on this machine: who can be anybody has none, whatever the
settings give to the others."""

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Tokens(Protocol):
    """What is known of tokens."""

    def find(self, token: str) -> KeyRecord | None:
        """The key that ``token`` is, if it may be used."""
        ...

    def is_admin(self, token: str) -> bool:
        """Whether it is the admin key."""
        ...


class Doorkeeper:
    """Judges requests. ``doors`` may be replaced at any time; it counts from the next one on."""

    def __init__(self, tokens: Tokens, doors: Doors, sentry: Sentry) -> None:
        self._tokens = tokens
        self._sentry = sentry
        self.doors = doors

    def __repr__(self) -> str:
        return f"Doorkeeper({self.doors.mode.value})"

    def admit(self, request: Request) -> Caller:
        """Return who asks, if that one may chat.

        Raises Unauthorized (401: a key would help), Refused (403: a setting would), BadRequest
        (400) for two keys that differ, Overloaded (429) for an address that guesses.
        """
        visitor = locate(request, self.doors.proxies)
        token = self._read_token(request)
        caller = None
        if token is not None:
            caller = self._recognise(token, request, visitor)
        if caller is not None and caller.kind is not Kind.ANONYMOUS:
            return caller
        self._check_stranger(request, visitor)
        if caller is not None:
            return caller
        return self._admit_keyless(request, visitor, has_token=token is not None)

    def sees_all(self, request: Request) -> bool:
        """Whether who asks may see more than everybody: with a key, or from this machine.

        Raises Refused (403) for what a foreign web page sent, or what is meant for another host.
        A wrong key counts as none here, and as a guess.
        """
        visitor = locate(request, self.doors.proxies)
        caller = None
        try:
            token = self._read_token(request)
            if token is not None:
                caller = self._recognise(token, request, visitor)
        except OcpdError:
            caller = None
        if caller is not None and caller.kind is not Kind.ANONYMOUS:
            return True
        self._check_stranger(request, visitor)
        return self._is_home(request, visitor)

    def time_left(self, request: Request, caller: Caller) -> float:
        """Return for how many seconds ``caller``, whom ``admit`` found in ``request``, will hold
        his key: 0 if he does no more, inf if that has no end. It is no guess, whatever is found."""
        if caller.kind in (Kind.LOCAL, Kind.REMOTE):
            return math.inf
        visitor = locate(request, self.doors.proxies)
        for token in read_tokens(request.headers):
            found = self._find(token, digest_of(token), visitor)
            if found is not None and _identity(found) == _identity(caller):
                return self._life_of(token) if found.kind is Kind.KEY else math.inf
        # Where no key is asked for, nobody loses one that is not ours.
        is_open = self.doors.mode is AuthMode.NONE and caller.kind is not Kind.KEY
        return math.inf if is_open else 0.0

    def check_unknown(self, request: Request) -> None:
        """Refuse a request for what is not there as one without a key would be: the answer names
        the paths there are. Raises Refused (403)."""
        self.sees_all(request)

    def check_address(self, request: Request) -> None:
        """Refuse who comes from none of ``allowedAddresses``. Raises Refused (403)."""
        if not self.doors.addresses or request.uid is not None:
            return
        visitor = locate(request, self.doors.proxies)
        if not visitor.is_local and not is_in(visitor.address, self.doors.addresses):
            raise Refused(
                f"the address {visitor.address} may not connect (setting allowedAddresses)",
                code="address_not_allowed",
            )

    def guard(self, handler: Handler) -> Handler:
        """Return ``handler`` behind ``admit``."""

        async def guarded(exchange: Exchange) -> None:
            try:
                self.admit(exchange.request)
            except OcpdError as error:
                told = {"status": error.status, "code": error.code, "peer": exchange.request.peer}
                _log.info("refused_at_the_door", extra=told)
                raise
            await handler(exchange)

        return guarded

    # By a key.

    def _read_token(self, request: Request) -> str | None:
        found = read_tokens(request.headers)
        if len(found) > 1 and self.doors.mode is not AuthMode.NONE:
            # Which of them counted would be a guess.
            raise BadRequest("the request carries two different keys", code="two_tokens")
        if len(found) > 1:
            return next((t for t in found if self._tokens.find(t) is not None), found[0])
        return found[0] if found else None

    def _recognise(self, token: str, request: Request, visitor: Visitor) -> Caller | None:
        digest = digest_of(token)
        asks_for_keys = self.doors.mode is not AuthMode.NONE
        if asks_for_keys:
            self._sentry.check(visitor.address, digest)
        caller = self._find(token, digest, visitor)
        if asks_for_keys:
            self._sentry.note(visitor.address, digest, is_right=caller is not None)
        if caller is None:
            return None
        return msgspec.structs.replace(
            caller, place=_place(request, visitor), address=visitor.address
        )

    def _find(self, token: str, digest: bytes, visitor: Visitor) -> Caller | None:
        match self.doors.mode:
            case AuthMode.SHARED:
                return self._find_shared(digest)
            case AuthMode.MULTI:
                return self._find_own(token, digest)
            case AuthMode.NONE if visitor.is_local:
                return self._find_own(token, digest) or self._find_shared(digest)
            case AuthMode.NONE:
                # Nobody counts guesses where no key is asked for: those that people thought of
                # are not looked at.
                return _holder(self._tokens.find(token))
            case _:
                assert_never(self.doors.mode)

    def _find_shared(self, digest: bytes) -> Caller | None:
        # All are compared: how long it takes tells nothing.
        same = [s for s in self.doors.shared if hmac.compare_digest(s.digest, digest)]
        if not same:
            return None
        return Caller(same[0].name, key_stamp=digest.hex()[:16], kind=Kind.SHARED)

    def _find_own(self, token: str, digest: bytes) -> Caller | None:
        if self._tokens.is_admin(token):
            return Caller("admin", role="owner", kind=Kind.ADMIN)
        anonymous = self.doors.anonymous
        if anonymous is not None and hmac.compare_digest(anonymous, digest):
            return Caller("anonymous", own_tools=NO_TOOLS, kind=Kind.ANONYMOUS)
        return _holder(self._tokens.find(token))

    def _life_of(self, token: str) -> float:
        key = self._tokens.find(token)
        if key is None:
            return 0.0
        return math.inf if key.expires_at is None else max(0.0, key.expires_at - wall_clock())

    # Without one.

    def _admit_keyless(self, request: Request, visitor: Visitor, *, has_token: bool) -> Caller:
        mode, is_home = self.doors.mode, self._is_home(request, visitor)
        if mode is AuthMode.NONE:
            kind = Kind.LOCAL if is_home else Kind.REMOTE
            return Caller(
                kind.value,
                place=_place(request, visitor),
                # Who asks for no keys has nobody on his machine but himself.
                role="owner" if is_home else "user",
                own_tools=None if is_home else NO_TOOLS,
                kind=kind,
                address=visitor.address,
            )
        if has_token:
            raise _wrong_key(mode)
        # On the Unix socket the kernel says who it is, and its mode lets in its owner only.
        is_owner = request.uid is not None
        may_chat = mode is AuthMode.MULTI and self.doors.loopback_chat
        if is_home and (is_owner or may_chat):
            return Caller(
                place=_place(request, visitor),
                # Else it would be better to send no key than that of a user.
                role="owner" if is_owner else "user",
                address=visitor.address,
            )
        raise _no_key(mode, is_local=is_home)

    def _is_home(self, request: Request, visitor: Visitor) -> bool:
        """Whether a program on this machine asks it by a name of its own. A tunnel that adds no
        header shows by the name it was asked by."""
        if not visitor.is_local or request.uid is not None:
            return visitor.is_local
        host = read_host(request)
        return hosts.is_loopback(host) or host in self.doors.own_names

    def _check_stranger(self, request: Request, visitor: Visitor) -> None:
        # Over a Unix socket Host is whatever the client made up; no name led it here.
        if request.uid is None or visitor.is_forwarded:
            check_host(request, self._is_own_host)
        check_origin(request, self.doors.origins)

    def _is_own_host(self, host: str) -> bool:
        if hosts.is_loopback(host) or host in self.doors.hosts:
            return True
        return self.doors.any_address and hosts.is_address(host)


def _identity(caller: Caller) -> tuple[Kind, int | None, str]:
    return caller.kind, caller.key_id, caller.key_stamp


def _holder(key: KeyRecord | None) -> Caller | None:
    if key is None:
        return None
    return Caller(
        key.name,
        key.id,
        key_stamp=f"{key.created_at}",
        servers=key.mcp_servers,
        own_tools=key.allowed_tools,
        role=key.role,
        weight=key.weight,
        kind=Kind.KEY,
        models=key.models,
    )


def _place(request: Request, visitor: Visitor) -> str:
    place = visitor.address if request.uid is None else f"uid {request.uid}"
    peer = parse_address(request.peer)
    is_traced = peer is not None and visitor.address != str(peer)
    if not visitor.is_forwarded or is_traced:
        return place
    # Behind a proxy that is not trusted everybody has the same address; what it says of them tells
    # them apart. It may be made up, and then only keeps apart what belonged together.
    told = [request.headers.get(name) for name in _FORWARDED]
    return " via ".join((place, *(value for value in told if value)))


def _wrong_key(mode: AuthMode) -> OcpdError:
    told = "unknown, revoked or expired"
    if mode is AuthMode.SHARED:
        told = "none of the shared keys, and authMode is shared"
    return _unauthorized(f"this key is {told}", "bad_token")


def _no_key(mode: AuthMode, *, is_local: bool) -> OcpdError:
    how = "send it as Authorization: Bearer KEY, or as x-api-key"
    if mode is AuthMode.SHARED:
        return _unauthorized(
            f"this needs one of the shared keys (authMode is shared): {how}", "no_token"
        )
    remedy = ", or set loopbackChat" if is_local else ""
    return _unauthorized(
        f"this needs a key (authMode is multi): {how}; ocpctl keys add makes one{remedy}",
        "no_token",
    )


def _unauthorized(message: str, code: str) -> OcpdError:
    error = Unauthorized(message, code=code)
    error.kind = "auth_error"
    return error
