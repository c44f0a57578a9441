"""``/admin/auth``: the login behind the daemon, its token, and the admin key.

What may live here: saying what is there and handing on what comes. The CLI's login is the CLI's
own; a token is stored by ``TokenSafe`` and never shown, logged or read here again.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Protocol

import msgspec

from ocpd.admin.access import Actor
from ocpd.admin.answers import read_body, read_query, send
from ocpd.admin.audit import Journal
from ocpd.admin.peers import find_user
from ocpd.admin.wire import (
    AdminKey,
    AdminKeyWish,
    AuthAnswer,
    Nothing,
    TokenRemoved,
    TokenStored,
    TokenToStore,
)
from ocpd.errors import BadRequest
from ocpd.http.exchange import Exchange
from ocpd.pool.login import Login as LoginVerdict
from ocpd.pool.login import LoginState
from ocpd.pool.probe import Probe
from ocpd.store.keys import Keys as KeyStore
from ocpd.store.records import digest_of

SHORTEST_TOKEN, LONGEST_TOKEN = 16, 4_096
_RANDOM_BYTES = 32


class TokenSafe(Protocol):
    """Where a token for the CLI is kept."""

    @property
    def is_stored(self) -> bool:
        """Whether there is one."""
        ...

    async def store(self, token: str) -> None:
        """Keep ``token`` in the place of any other, readable to nobody else. Raises OcpdError."""
        ...

    async def remove(self) -> bool:
        """Forget it; False if there was none. Raises OcpdError."""
        ...


class LoginSources(msgspec.Struct, frozen=True):
    """Whom to ask. ``renew`` makes a new login count from the next turn on: spares are replaced
    and the login is looked at again."""

    login: LoginVerdict
    probe: Probe
    safe: TokenSafe
    keys: KeyStore
    environ: Mapping[str, str]
    renew: Callable[[], Awaitable[None]]


class Login:
    """Answers for the login."""

    def __init__(self, sources: LoginSources, journal: Journal) -> None:
        self._sources = sources
        self._journal = journal
        self._minting = asyncio.Lock()

    async def show(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer what is known. Nothing is asked of the CLI but its version, if that is new."""
        read_query(exchange)
        await self._sources.probe.look()
        await send(exchange, self._answer())

    async def refresh(self, exchange: Exchange, actor: Actor) -> None:
        """Look at the login again, replace the spares, and answer what is known then."""
        read_query(exchange)
        await read_body(exchange, Nothing)
        await self._journal.carry_out(
            actor, "auth.refresh", self._sources.renew(), lambda _: self._told()
        )
        await send(exchange, self._answer())

    async def store_token(self, exchange: Exchange, actor: Actor) -> None:
        """Keep a token; the next turn uses it."""
        read_query(exchange)
        token = check_token((await read_body(exchange, TokenToStore)).token)
        await self._journal.carry_out(
            actor, "auth.token.store", self._store(token), lambda _: self._told()
        )
        await send(exchange, TokenStored())

    async def remove_token(self, exchange: Exchange, actor: Actor) -> None:
        """Forget the token; the next turn uses the CLI's own login, if there is one."""
        read_query(exchange)
        removed = await self._journal.carry_out(
            actor,
            "auth.token.remove",
            self._remove(),
            lambda removed: "removed" if removed else "there was none",
        )
        await send(exchange, TokenRemoved(removed))

    async def mint_admin_key(self, exchange: Exchange, actor: Actor) -> None:
        """Make an admin key and answer it (201); 409 if there is one and nobody said ``rotate``.

        The old one stops at once.
        """
        read_query(exchange)
        wish = await read_body(exchange, AdminKeyWish)
        key = f"ocp_admin_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        async with self._minting:
            had_one = self._sources.keys.has_admin_key
            if had_one and not wish.rotate:
                raise BadRequest(
                    'there is an admin key already; {"rotate": true} replaces it',
                    status=409,
                    code="admin_key_exists",
                )
            await self._journal.carry_out(
                actor,
                "auth.admin-key",
                self._sources.keys.set_admin_key(digest_of(key)),
                lambda _: "rotated" if had_one else "made",
            )
        await send(exchange, AdminKey(key), 201)

    async def _store(self, token: str) -> None:
        await self._sources.safe.store(token)
        await self._sources.renew()

    async def _remove(self) -> bool:
        removed = await self._sources.safe.remove()
        if removed:
            await self._sources.renew()
        return removed

    def _answer(self) -> AuthAnswer:
        s = self._sources
        state, cli = s.login.state(), s.probe.latest
        return AuthAnswer(
            signed_in=state.ok,
            message=state.message,
            method=_method(state, is_stored=s.safe.is_stored),
            binary=None if cli is None else cli.path,
            version=None if cli is None else cli.verdict.text or None,
            user=find_user(os.geteuid()),
            uid=os.geteuid(),
            home=s.environ.get("HOME", ""),
            config_dir=s.environ.get("CLAUDE_CONFIG_DIR") or None,
            token_stored=s.safe.is_stored,
            admin_key_set=s.keys.has_admin_key,
            sign_in=s.probe.sign_in,
        )

    def _told(self) -> str:
        return self._sources.login.state().message


def check_token(token: str) -> str:
    """Return ``token`` without the spaces around it. Raises BadRequest, never repeating it."""
    bare = token.strip()
    if not SHORTEST_TOKEN <= len(bare) <= LONGEST_TOKEN:
        raise BadRequest(
            f"token must have {SHORTEST_TOKEN} to {LONGEST_TOKEN} characters", param="token"
        )
    if not bare.isascii() or not bare.isprintable() or " " in bare:
        raise BadRequest("token must be one word of plain characters", param="token")
    return bare


def _method(state: LoginState, *, is_stored: bool) -> Literal["token", "login"] | None:
    if is_stored or state.last_outcome == "token-present":
        return "token"
    return "login" if state.ok else None
