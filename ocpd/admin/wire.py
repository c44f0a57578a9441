"""What the back door hears and says: one record for every request body and every answer; those
that are all numbers are in ``figures``.

What may live here: records, and nothing that imports more than msgspec and typing. Names on the
wire are those of existing clients: camelCase where they read camelCase, snake_case elsewhere.
Requests forbid what they do not know. Times: "YYYY-MM-DD HH:MM:SS" in UTC where clients of old
read them, ISO 8601 in UTC elsewhere.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

Scalar = str | int | float | bool | None


# Requests.


class Nothing(Struct, forbid_unknown_fields=True):
    """A request that has nothing to say: no body, or ``{}``."""


class NewKey(Struct, forbid_unknown_fields=True):
    """A key to make. Without a name it gets one; of the two ways to expire at most one."""

    name: str | None = None
    note: str = ""
    expires_at: str | None = None
    expires_in_days: int | None = None
    models: list[str] | None = None
    mcp_servers: list[str] | None = None
    allowed_tools: list[str] | None = None
    role: str = "user"
    weight: int | None = None


class KeyChange(Struct, forbid_unknown_fields=True):
    """What to change about a key; what is left out stays."""

    name: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    expires_at: str | UnsetType | None = UNSET
    models: list[str] | UnsetType | None = UNSET
    mcp_servers: list[str] | UnsetType | None = UNSET
    allowed_tools: list[str] | UnsetType | None = UNSET
    role: str | UnsetType = UNSET
    weight: int | UnsetType | None = UNSET


class ImportOcp(Struct, forbid_unknown_fields=True):
    """An OCP installation to take over; ``db`` and ``wal`` are base64."""

    db: bytes
    wal: bytes | None = None
    admin_key: str | None = None
    environment: dict[str, str] = {}
    dry_run: bool = False


class TokenToStore(Struct, forbid_unknown_fields=True):
    """A token of ``claude setup-token``."""

    token: str


class AdminKeyWish(Struct, forbid_unknown_fields=True):
    """``rotate``: make a new one although there is one."""

    rotate: bool = False


# Keys and quotas.


class KeyView(Struct):
    """A key as it may be shown; null is all ``models``, all ``mcp_servers`` that may be asked for,
    the ``allowed_tools`` that the setting names, and the ``weight`` of the role. The quotas are of
    requests."""

    id: int
    keyPreview: str  # noqa: N815 - the wire's spelling, beside snake_case
    name: str
    created_at: str
    revoked: int
    revoked_at: str | None
    expires_at: str | None
    models: tuple[str, ...] | None
    mcp_servers: tuple[str, ...] | None
    allowed_tools: tuple[str, ...] | None
    note: str
    last_used_at: str | None
    role: str
    weight: int | None
    quota_daily: int | float | None
    quota_weekly: int | float | None
    quota_monthly: int | float | None


class KeyList(Struct):
    """``GET /api/keys``."""

    keys: list[KeyView]


class KeySecret(Struct):
    """A key that was just made or rotated. ``key`` is never shown again."""

    id: int
    key: str
    name: str


class KeyRevoked(Struct, rename="camel"):
    """``revoked`` is false when nothing was there to revoke."""

    revoked: bool
    id_or_name: str


class Allowance(Struct):
    """A limit (null: none) and what of it is used."""

    limit: int | float | None
    used: int | float


class RequestQuota(Struct):
    """The limits of requests, in the shape of old."""

    daily: Allowance
    weekly: Allowance
    monthly: Allowance


class LimitView(Struct):
    """One limit that is set."""

    what: str
    period: str
    limit: int | float
    used: int | float


class QuotaAnswer(Struct):
    """``GET /api/keys/{ref}/quota``: flat as the seeds' README has it, and wrapped as its newest
    version answers."""

    keyId: int  # noqa: N815 - the wire's spelling
    quota: RequestQuota
    daily: Allowance
    weekly: Allowance
    monthly: Allowance
    limits: list[LimitView]


class QuotaChanged(Struct, rename="camel"):
    """What was changed, under the names it was sent with."""

    id_or_name: str
    quota: dict[str, int | float | None]
    ok: bool = True


# Settings.


class KnobView(Struct, omit_defaults=True):
    """One setting in the list."""

    value: Scalar
    type: str
    unit: str
    desc: str
    origin: str
    min: int | float | UnsetType = UNSET
    max: int | float | UnsetType = UNSET
    choices: list[str] | UnsetType = UNSET


class TierView(Struct, rename="camel"):
    """The first-byte limit of a model family: ``base`` ms, and ms for each character of prompt."""

    base: int | float
    per_prompt_char: int | float


class KnobSource(Struct):
    """One place that has a value for the setting."""

    origin: str
    value: Scalar
    wins: bool


class KnobExplained(Struct):
    """``GET /settings/{key}``."""

    key: str
    value: Scalar
    default: Scalar
    unit: str
    type: str
    min: int | float | None
    max: int | float | None
    choices: list[str]
    env: list[str]
    flag: str
    help: str
    origin: str
    sources: list[KnobSource]


class KnobReset(Struct):
    """What holds now, and where it comes from."""

    key: str
    value: Scalar
    origin: str


class KnobResult(Struct, omit_defaults=True):
    """What became of one change: ``ok`` and the value, or ``error``."""

    ok: bool | UnsetType = UNSET
    value: Scalar | UnsetType = UNSET
    error: str | UnsetType = UNSET


KnobList = dict[str, KnobView | dict[str, TierView]]
"""``GET /settings``: every setting by its key, and the ``tiers``."""


class Fault(Struct):
    """The object in the field ``error`` of a refusal."""

    message: str
    type: str
    param: str | None
    code: str | None


class KnobsChanged(Struct, omit_defaults=True):
    """``PATCH /settings``: ``errors`` and ``error`` only if nothing was changed."""

    results: dict[str, KnobResult]
    current: KnobList
    errors: list[str] | UnsetType = UNSET
    error: Fault | UnsetType = UNSET


class Reloaded(Struct):
    """What reading the config file again has changed."""

    changed: dict[str, Scalar]
    notes: list[str]


# The rest.


class LogAnswer(Struct):
    """``GET /logs``, oldest entry first; all values are texts."""

    count: int
    level: str
    entries: list[dict[str, str]]


class SessionView(Struct, rename="camel"):
    """A conversation that rests in the daemon."""

    id: str
    uuid: str
    model: str
    messages: int
    last_used: str


class SessionList(Struct):
    """``GET /sessions``."""

    sessions: list[SessionView]


class Cleared(Struct):
    """How many are gone."""

    cleared: int


class CacheAnswer(Struct, rename="camel"):
    """``GET /cache/stats``. ``inflight`` answers are being made, ``requesters`` wait for them."""

    entries: int
    total_hits: int
    size_bytes: int
    inflight: int
    requesters: int


class RestoreAnswer(Struct):
    """What is there after a restore."""

    keys: int
    usage: int
    settings: int


class ImportedKey(Struct, rename={"as_": "as"}):
    """A key of OCP's and what became of it; ``as`` is its name here."""

    name: str
    as_: str
    id: int | None
    state: str


class ImportAnswer(Struct):
    """What an import did, or would do if it is a dry run."""

    dry_run: bool
    keys: list[ImportedKey]
    usage: int
    settings: dict[str, Scalar]
    admin_key: bool
    notes: list[str]


class AuthAnswer(Struct):
    """The login behind the daemon, and its secrets, as far as they are there. ``signed_in`` null:
    nobody knows."""

    signed_in: bool | None
    message: str
    method: Literal["token", "login"] | None
    binary: str | None
    version: str | None
    user: str | None
    uid: int
    home: str
    config_dir: str | None
    token_stored: bool
    admin_key_set: bool
    sign_in: str


class TokenStored(Struct):
    """The next turn uses it."""

    stored: bool = True


class TokenRemoved(Struct):
    """False: there was none."""

    removed: bool


class AdminKey(Struct):
    """A new admin key, never shown again."""

    key: str


class AuditView(Struct):
    """One change; ``at`` is ISO 8601, ``uid`` the kernel's word for Unix peers."""

    at: str
    uid: int | None
    user: str | None
    via: str
    action: str
    detail: str


class AuditAnswer(Struct):
    """``GET /admin/audit``, oldest entry first."""

    entries: list[AuditView]
