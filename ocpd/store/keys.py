"""API keys: mint, look up by hash, change, revoke; and the admin key.

What may live here: keys as memory has them, and the doors to change them. A secret is shown once,
when it is made; what stays is its SHA-256 and a preview. Which route needs which key is decided
elsewhere.
"""

import hmac
from collections.abc import Callable

import msgspec
from msgspec import UNSET

from ocpd.store.db import Database
from ocpd.store.epoch import to_ms
from ocpd.store.records import (
    ANY,
    KeyRecord,
    LoadedKeys,
    Row,
    StoredKey,
    Wanted,
    check_fields,
    digest_of,
    end_key,
    insert_key,
    make_name,
    make_secret,
    preview_of,
    update_key,
    write_admin,
)

_TOUCH_EVERY_S = 60.0
# An id has at most as many digits as SQLite's largest integer.
_LONGEST_ID = 18
_NOBODY = bytes(32)

_TOUCH = "UPDATE api_key SET last_used_at_ms = ? WHERE id = ?"


class Keys:
    """All keys. Synchronous methods are answered from memory and instant."""

    def __init__(self, db: Database, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._records: dict[int, KeyRecord] = {}
        self._digests: dict[int, bytes] = {}
        # Usable keys only.
        self._ids: dict[bytes, int] = {}
        # Revocations that count already, whatever becomes of their writing.
        self._barred: set[int] = set()
        self._admin: bytes | None = None
        self._on_change: list[Callable[[int | None], None]] = []

    def __repr__(self) -> str:
        return f"Keys({len(self._records)}, {len(self._ids)} usable)"

    # To look up.

    def find(self, token: str) -> KeyRecord | None:
        """Return the key that ``token`` is, or None if it is unknown, revoked or expired."""
        key_id = self._ids.get(digest_of(token))
        if key_id is None:
            return None
        record = self._records[key_id]
        if record.expires_at is not None and record.expires_at <= self._clock():
            return None
        return record

    def list(self) -> tuple[KeyRecord, ...]:
        """Return every key, newest first, revoked ones too."""
        return tuple(sorted(self._records.values(), key=_age_of, reverse=True))

    def get(self, ref: str) -> KeyRecord | None:
        """Return the key ``ref`` means: an id if it is all digits, else a name.

        Of several keys with the name the active one, else the newest revoked one.
        """
        if ref.isascii() and ref.isdigit():
            return self._records.get(int(ref)) if len(ref) <= _LONGEST_ID else None
        named = [record for record in self._records.values() if record.name == ref]
        active = [record for record in named if record.revoked_at is None]
        return max(active or named, key=_age_of, default=None)

    def is_admin(self, token: str) -> bool:
        """Whether ``token`` is the admin key, in constant time."""
        same = hmac.compare_digest(digest_of(token), self._admin or _NOBODY)
        return same and self._admin is not None

    @property
    def has_admin_key(self) -> bool:
        """Whether there is an admin key at all."""
        return self._admin is not None

    # To change. Each returns once the change is durable; if cancelled, it is still made.

    async def add(self, name: str | None, wanted: Wanted = ANY) -> tuple[KeyRecord, str]:
        """Make a key with the other fields that are ``wanted``; return it with its secret, which
        nobody can see again.

        Without a name it is called ``key-<epoch ms>``. Raises BadRequest naming the field; 409
        ``name_taken`` if an active key has the name in any case.
        """
        now = self._clock()
        named = msgspec.structs.replace(wanted, name=UNSET if name is None else name)
        secret = make_secret()
        row = check_fields(named, now) | {
            "digest": digest_of(secret),
            "preview": preview_of(secret),
            "created_at_ms": to_ms(now),
        }
        stored = await self._db.write(
            lambda connection: insert_key(
                connection,
                row if "name" in row else row | {"name": make_name(connection, to_ms(now))},
            ),
            self._keep,
        )
        return stored.record, secret

    async def change(self, key_id: int, wanted: Wanted) -> KeyRecord:
        """Change the fields that are ``wanted``, and return the key as it is then.

        Raises BadRequest: 404 ``key_not_found``, 409 ``key_revoked`` or ``name_taken``, else 400
        naming the field.
        """
        return await self._update(key_id, check_fields(wanted, self._clock()))

    async def rotate(self, key_id: int) -> tuple[KeyRecord, str]:
        """Give the key a new secret and return both; the old secret ends with it.

        Raises BadRequest: 404 ``key_not_found``, 409 ``key_revoked``.
        """
        secret = make_secret()
        row: Row = {"digest": digest_of(secret), "preview": preview_of(secret)}
        return await self._update(key_id, row), secret

    async def revoke(self, key_id: int) -> bool:
        """End the key. False if it is unknown or ended already.

        ``find`` refuses it from this call on. Should writing fail, that is raised, and the key
        stays refused until the next start: revoke it again.
        """
        record = self._records.get(key_id)
        if record is None or record.revoked_at is not None:
            return False
        self._barred.add(key_id)
        self._ids.pop(self._digests[key_id], None)
        self._tell_change(key_id)
        now_ms = to_ms(self._clock())
        ended = await self._db.write(
            lambda connection: end_key(connection, key_id, now_ms), self._end
        )
        return ended is not None

    async def set_admin_key(self, digest: bytes | None) -> None:
        """Make the token whose ``digest_of`` this is the admin key, the only one; None: none."""

        def apply(_: None) -> None:
            self._admin = digest
            self._tell_change(None)

        await self._db.write(lambda connection: write_admin(connection, digest), apply)

    def on_change(self, tell: Callable[[int | None], None]) -> None:
        """Have ``tell`` called with the id of a key that is changed, rotated or revoked, as soon as
        ``find`` knows; with None if it may be any of them, or the admin key."""
        self._on_change.append(tell)

    def touch(self, key_id: int) -> None:
        """Note that the key was used now. Instant; written at most once a minute."""
        record = self._records.get(key_id)
        now = self._clock()
        if record is None:
            return
        if record.last_used_at is not None and 0 <= now - record.last_used_at < _TOUCH_EVERY_S:
            return
        self._records[key_id] = msgspec.structs.replace(record, last_used_at=now)
        self._db.post(_TOUCH, (to_ms(now), key_id))

    def adopt(self, loaded: LoadedKeys, *, afresh: bool) -> None:
        """Forget everything and know ``loaded`` instead; for the store. ``afresh``: these are
        other keys, so that revocations under way mean nothing to them.
        """
        self._records.clear()
        self._digests.clear()
        self._ids.clear()
        if afresh:
            self._barred.clear()
        for stored in loaded.keys:
            self._keep(stored)
        self._admin = loaded.admin
        self._tell_change(None)

    def _tell_change(self, key_id: int | None) -> None:
        for tell in self._on_change:
            tell(key_id)

    async def _update(self, key_id: int, row: Row) -> KeyRecord:
        stored = await self._db.write(
            lambda connection: update_key(connection, key_id, row), self._renew
        )
        return stored.record

    def _renew(self, stored: StoredKey) -> None:
        self._keep(stored)
        self._tell_change(stored.record.id)

    def _keep(self, stored: StoredKey) -> None:
        record = stored.record
        self._ids.pop(self._digests.get(record.id, b""), None)
        self._records[record.id] = record
        self._digests[record.id] = stored.digest
        if record.revoked_at is None and record.id not in self._barred:
            self._ids[stored.digest] = record.id

    def _end(self, stored: StoredKey | None) -> None:
        if stored is not None:
            self._keep(stored)
            self._barred.discard(stored.record.id)


def _age_of(record: KeyRecord) -> tuple[float, int]:
    return record.created_at, record.id
