"""What the programs that ocpd stands in for answer, as far as their clients read it.

What may live here: one struct for each answer. Decoding a body with it is the check: every field
must be there and of its type; fields that are not named may be there too.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")]
Iso = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
Secret = Annotated[str, Meta(pattern=r"^ocp_[\w-]{32}$")]
Spelled = Annotated[str, Meta(pattern=r"^(unknown|now|(\d+d )?\d+h( \d+m)?|\d+m)$")]


class Model(Struct):
    id: str
    object: Literal["model"]
    owned_by: Literal["anthropic"]
    created: Count


class Models(Struct):
    object: Literal["list"]
    data: list[Model]


class Message(Struct):
    role: Literal["assistant"]
    content: str


class Choice(Struct):
    index: Literal[0]
    message: Message
    finish_reason: Literal["stop"]


class Tokens(Struct):
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count


class Completion(Struct):
    id: Annotated[str, Meta(pattern="^chatcmpl-")]
    object: Literal["chat.completion"]
    created: Count
    model: str
    choices: Annotated[list[Choice], Meta(min_length=1, max_length=1)]
    usage: Tokens


class Text(Struct):
    type: Literal["text"]
    text: str


class MessageTokens(Struct):
    input_tokens: Count
    output_tokens: Count


class AnthropicMessage(Struct):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    content: Annotated[list[Text], Meta(min_length=1)]
    model: str
    stop_reason: Literal["end_turn"]
    stop_sequence: str | None
    usage: MessageTokens


class RecentError(Struct):
    time: Iso
    message: Annotated[str, Meta(max_length=200)]


class Login(Struct, rename="camel"):
    ok: bool | None
    ok_source: str
    ok_at: Count
    message: str
    last_check: Count
    last_outcome: str
    consecutive_failures: Count
    consecutive_inconclusive: Count


class Stats(Struct, rename="camel"):
    total_requests: Count
    active_requests: Count
    errors: Count
    timeouts: Count
    queued: Count
    queue_rejections: Count


class Places(Struct, rename="camel"):
    max_concurrent: Count
    max_queue: Count
    inflight: Count
    queued: Count
    queue_rejections: Count


class Health(Struct, rename="camel"):
    status: Literal["ok", "degraded"]
    version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]
    uptime: Count
    uptime_human: Annotated[str, Meta(pattern=r"^\d+h \d+m$")]
    auth_mode: Literal["none", "shared", "multi"]
    anonymous_key: str | None
    claude_binary: str
    claude_binary_ok: bool
    auth: Login
    stats: Stats
    concurrency: Places
    recent_errors: Annotated[list[RecentError], Meta(max_length=5)]


class Window(Struct, rename="camel"):
    utilization: float | None
    percent: Annotated[str, Meta(pattern=r"^(\d+%|\?)$")]
    resets_in: Spelled
    resets_at: str | None
    resets_at_human: str


class Weekly(Struct, rename="camel"):
    all_models: Window


class Extra(Struct):
    status: str


class Plan(Struct, rename="camel"):
    current_session: Window
    weekly_limits: Weekly
    extra_usage: Extra


class Proxy(Struct, rename="camel"):
    total_requests: Count
    active_requests: Count
    errors: Count
    timeouts: Count
    uptime: str


class ModelStats(Struct, rename="camel"):
    requests: Count
    successes: Count
    errors: Count
    timeouts: Count
    avg_elapsed: Count
    max_elapsed: Count
    avg_prompt_chars: Count
    max_prompt_chars: Count


class Usage(Struct, rename="camel"):
    status: str
    fetched_at: str | None
    plan: Plan
    proxy: Proxy
    models: dict[str, ModelStats]


class ProxyState(Struct, rename="camel"):
    status: Literal["ok", "degraded"]
    version: str
    uptime: str
    auth: str
    active_sessions: Count


class Requests(Struct):
    total: Count
    active: Count
    errors: Count
    timeouts: Count


class Status(Struct, rename="camel"):
    proxy: ProxyState
    requests: Requests
    plan: Plan
    recent_errors: Annotated[list[RecentError], Meta(max_length=3)]


class Number(Struct):
    value: int | float
    type: Literal["number"]
    min: int | float
    max: int | float
    unit: str
    desc: str


class Tier(Struct, rename="camel"):
    base: Count
    per_prompt_char: float


class Tiers(Struct):
    opus: Tier
    sonnet: Tier
    haiku: Tier


class Settings(Struct, rename={"session_ttl": "sessionTTL", "cache_ttl": "cacheTTL"}):
    timeout: Number
    firstByteTimeout: Number  # noqa: N815 - the wire's spelling
    maxConcurrent: Number  # noqa: N815
    maxPromptChars: Number  # noqa: N815
    session_ttl: Number
    cache_ttl: Number
    tiers: Tiers


class Changed(Struct):
    ok: Literal[True]
    value: int | float


class SettingsChanged(Struct):
    results: dict[str, Changed]
    current: Settings


class Logs(Struct):
    count: Count
    level: str
    entries: list[dict[str, str]]


class Session(Struct, rename="camel"):
    id: str
    uuid: str
    model: str
    messages: Count
    last_used: Iso


class Sessions(Struct):
    sessions: list[Session]


class Cleared(Struct):
    cleared: Count


class Key(Struct):
    id: Count
    keyPreview: Annotated[str, Meta(pattern=r"^ocp_.{4}\.\.\..{4}$")]  # noqa: N815
    name: str
    created_at: Moment
    revoked: Literal[0, 1]
    quota_daily: Count | None
    quota_weekly: Count | None
    quota_monthly: Count | None


class Keys(Struct):
    keys: list[Key]


class Made(Struct):
    id: Count
    key: Secret
    name: str


class Revoked(Struct, rename="camel"):
    revoked: bool
    id_or_name: str


class Limit(Struct):
    limit: Count | None
    used: Count


class Quota(Struct):
    daily: Limit
    weekly: Limit
    monthly: Limit


class QuotaLooked(Quota, rename="camel"):
    """Flat as the README has it, and wrapped as the newest version answers."""

    key_id: Count
    quota: Quota


class QuotaChanged(Struct, rename="camel"):
    ok: Literal[True]
    id_or_name: str
    quota: dict[str, int | None]


class Exceeded(Struct, rename="camel"):
    period: Literal["daily", "weekly", "monthly"]
    limit: Count
    used: Count
    resets_in: Spelled


class ExceededError(Struct):
    message: str
    type: Literal["quota_exceeded"]
    quota: Exceeded


class QuotaExceeded(Struct):
    error: ExceededError


class KeyUsage(Struct):
    key_name: str
    requests: Count
    successes: Count
    errors: Count
    total_prompt_chars: Count
    total_response_chars: Count
    total_elapsed_ms: Count
    avg_elapsed_ms: Count
    first_request: Moment
    last_request: Moment


class Hour(Struct):
    hour: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:00:00$")]
    requests: Count
    prompt_chars: Count
    response_chars: Count
    avg_elapsed_ms: Count


class Turn(Struct):
    key_name: str
    model: str
    prompt_chars: Count
    response_chars: Count
    elapsed_ms: Count
    success: Literal[0, 1]
    created_at: Moment


class Scope(Struct):
    self: str | None
    all: bool


class UsageByKey(Struct, rename="camel"):
    by_key: list[KeyUsage]
    timeline: list[Hour]
    recent: list[Turn]
    scope: Scope


class CacheStats(Struct, rename="camel"):
    entries: Count
    total_hits: Count
    size_bytes: Count
    inflight: Count
    requesters: Count
