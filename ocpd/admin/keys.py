"""``/api/keys``: make, show, change, rotate and revoke keys.

What may live here: the way from a request to ``store.keys`` and back. A secret leaves in the answer
that made it and nowhere else.
"""

from collections.abc import Callable

from msgspec import UNSET, UnsetType

from ocpd.admin.access import Actor
from ocpd.admin.answers import maybe_moment, read_body, read_moment, read_query, send, spell_moment
from ocpd.admin.audit import Journal
from ocpd.admin.wire import KeyChange, KeyList, KeyRevoked, KeySecret, KeyView, NewKey, Nothing
from ocpd.aio import wall_clock
from ocpd.errors import BadRequest
from ocpd.http.exchange import Exchange
from ocpd.store.keys import Keys as KeyStore
from ocpd.store.quotas import Quotas
from ocpd.store.records import KeyRecord, Wanted

MOST_DAYS = 36_500
_DAY_S = 86_400.0

Resolve = Callable[[str], str]
"""From the name or alias of a model to its canonical id; raises BadRequest for an unknown one."""


class Keys:
    """Answers for the keys."""

    def __init__(self, keys: KeyStore, quotas: Quotas, resolve: Resolve, journal: Journal) -> None:
        self._keys = keys
        self._quotas = quotas
        self._resolve = resolve
        self._journal = journal

    async def show_all(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer every key, newest first, revoked ones too."""
        read_query(exchange)
        await send(exchange, KeyList([self._view(record) for record in self._keys.list()]))

    async def show_one(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer one key; 404 if there is none."""
        read_query(exchange)
        await send(exchange, self._view(find_key(self._keys, exchange)))

    async def add(self, exchange: Exchange, actor: Actor) -> None:
        """Make a key and answer its secret (201)."""
        read_query(exchange)
        wish = await read_body(exchange, NewKey)
        change = self._keys.add(
            wish.name,
            Wanted(
                note=wish.note,
                expires_at=_read_expiry(wish),
                models=self._read_models(wish.models),
                mcp_servers=_maybe_names(wish.mcp_servers),
                allowed_tools=_maybe_names(wish.allowed_tools),
                role=wish.role,
                weight=wish.weight,
            ),
        )
        record, secret = await self._journal.carry_out(
            actor, "keys.add", change, lambda made: _describe(made[0])
        )
        await send(exchange, KeySecret(record.id, secret, record.name), 201)

    async def change(self, exchange: Exchange, actor: Actor) -> None:
        """Change the fields that are sent, and answer the key as it is then."""
        read_query(exchange)
        wish = await read_body(exchange, KeyChange)
        record = find_key(self._keys, exchange)
        wanted = self._read_change(wish)
        fields = [name for name in wish.__struct_fields__ if getattr(wish, name) is not UNSET]
        changed = await self._journal.carry_out(
            actor,
            "keys.change",
            self._keys.change(record.id, wanted),
            lambda done: f"{_describe(done)}: {', '.join(fields) or 'nothing'}",
        )
        await send(exchange, self._view(changed))

    async def rotate(self, exchange: Exchange, actor: Actor) -> None:
        """Give a key a new secret and answer it; the old one stops at once."""
        read_query(exchange)
        await read_body(exchange, Nothing)
        record = find_key(self._keys, exchange)
        changed, secret = await self._journal.carry_out(
            actor, "keys.rotate", self._keys.rotate(record.id), lambda made: _describe(made[0])
        )
        await send(exchange, KeySecret(changed.id, secret, changed.name))

    async def revoke(self, exchange: Exchange, actor: Actor) -> None:
        """End a key. Answers 200 also when there was nothing to end, as clients of old expect."""
        read_query(exchange)
        ref = exchange.params["ref"]
        record = self._keys.get(ref)
        revoked = False
        if record is not None and record.revoked_at is None:
            spelled = _describe(record)
            revoked = await self._journal.carry_out(
                actor, "keys.revoke", self._keys.revoke(record.id), lambda _: spelled
            )
        await send(exchange, KeyRevoked(revoked, ref))

    def _read_change(self, wish: KeyChange) -> Wanted:
        expires_at: float | UnsetType | None = UNSET
        if not isinstance(wish.expires_at, UnsetType):
            expires_at = _maybe_moment(wish.expires_at)
        models: tuple[str, ...] | UnsetType | None = UNSET
        if not isinstance(wish.models, UnsetType):
            models = self._read_models(wish.models)
        servers, tools = wish.mcp_servers, wish.allowed_tools
        return Wanted(
            name=wish.name,
            note=wish.note,
            expires_at=expires_at,
            models=models,
            mcp_servers=tuple(servers) if isinstance(servers, list) else servers,
            allowed_tools=tuple(tools) if isinstance(tools, list) else tools,
            role=wish.role,
            weight=wish.weight,
        )

    def _read_models(self, names: list[str] | None) -> tuple[str, ...] | None:
        if names is None:
            return None
        found: dict[str, None] = {}
        for name in names:
            try:
                found[self._resolve(name)] = None
            except BadRequest as error:
                raise BadRequest(f"models: {error.message}", param="models") from error
        return tuple(found)

    def _view(self, record: KeyRecord) -> KeyView:
        limits = {
            limit.period: limit.amount
            for limit in self._quotas.of(record.id)
            if limit.what == "requests"
        }
        return KeyView(
            id=record.id,
            keyPreview=record.preview,
            name=record.name,
            created_at=spell_moment(record.created_at),
            revoked=int(record.revoked_at is not None),
            revoked_at=maybe_moment(record.revoked_at),
            expires_at=maybe_moment(record.expires_at),
            models=record.models,
            mcp_servers=record.mcp_servers,
            allowed_tools=record.allowed_tools,
            note=record.note,
            last_used_at=maybe_moment(record.last_used_at),
            role=record.role,
            weight=record.weight,
            quota_daily=limits.get("daily"),
            quota_weekly=limits.get("weekly"),
            quota_monthly=limits.get("monthly"),
        )


def find_key(keys: KeyStore, exchange: Exchange) -> KeyRecord:
    """Return the key that the path names, by id or name. Raises BadRequest (404)."""
    ref = exchange.params["ref"]
    record = keys.get(ref)
    if record is None:
        raise BadRequest(
            f"there is no key {ref[:80]!r}", status=404, code="key_not_found", param="ref"
        )
    return record


def _read_expiry(wish: NewKey) -> float | None:
    if wish.expires_in_days is None:
        return _maybe_moment(wish.expires_at)
    if wish.expires_at is not None:
        raise BadRequest(
            "expires_at and expires_in_days exclude each other", param="expires_in_days"
        )
    if not 1 <= wish.expires_in_days <= MOST_DAYS:
        raise BadRequest(
            f"expires_in_days must be a whole number from 1 to {MOST_DAYS}",
            param="expires_in_days",
        )
    return wall_clock() + wish.expires_in_days * _DAY_S


def _maybe_names(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _maybe_moment(text: str | None) -> float | None:
    return None if text is None else read_moment(text, "expires_at")


def _describe(record: KeyRecord) -> str:
    return f"{record.name} (#{record.id})"
