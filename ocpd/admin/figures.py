"""The answers that are numbers: status, plan, and usage by model and by key.

What may live here: records, as in ``wire``; what is said there of names and times holds here.
"""

from msgspec import Struct

# Status and plan.


class Window(Struct, rename="camel"):
    """One window of the plan. ``utilization`` is 0 to 1, null if nobody knows; ``stale`` says
    that it was told long ago, at ``fetched_at``."""

    utilization: float | None
    percent: str
    resets_in: str
    resets_at: str | None
    resets_at_human: str
    stale: bool
    fetched_at: str | None


class WeeklyLimits(Struct, rename="camel"):
    """The weekly windows; the others are those of one model family, as the CLI names them."""

    all_models: Window
    others: dict[str, Window]


class ExtraUsage(Struct, rename="camel"):
    """Usage beyond the plan: "allowed", "rejected" or "unknown"."""

    status: str


class Plan(Struct, rename="camel"):
    """How much of the plan is used."""

    current_session: Window
    weekly_limits: WeeklyLimits
    extra_usage: ExtraUsage
    representative_claim: str | None
    stale: bool


class StoppedClass(Struct):
    """A class of callers (``role``) that the plan guard stops until ``until``, because ``window``
    is used to ``percent``."""

    role: str
    window: str
    percent: int
    until: str


class PlanGuard(Struct, rename="camel"):
    """What the plan guard does now. ``mode`` is off, warn or stop; ``overage_until`` is set while
    turns would be charged beyond the plan, and with ``plan_only`` nobody may begin one."""

    mode: str
    plan_only: bool
    overage_until: str | None
    stopped: list[StoppedClass]


class UsageProxy(Struct, rename="camel"):
    """Counts since the start; ``uptime`` reads "6h 32m"."""

    total_requests: int
    active_requests: int
    errors: int
    timeouts: int
    uptime: str


class ModelCounts(Struct, rename="camel"):
    """What one model did; milliseconds and characters, averages over successes."""

    requests: int
    successes: int
    errors: int
    timeouts: int
    avg_elapsed: int
    max_elapsed: int
    avg_prompt_chars: int
    max_prompt_chars: int


class UsageAnswer(Struct, rename="camel"):
    """``GET /usage``."""

    status: str
    fetched_at: str | None
    stale: bool
    plan: Plan
    proxy: UsageProxy
    models: dict[str, ModelCounts]


class StatusProxy(Struct, rename="camel"):
    """``auth`` is "ok" or what is wrong; ``urls`` is where it listens on TCP; ``uptime`` and
    ``uptime_human`` read "6h 32m"."""

    status: str
    version: str
    urls: list[str]
    uptime: str
    uptime_human: str
    uptime_ms: int
    auth: str
    active_sessions: int


class StatusRequests(Struct):
    """Turns since the start."""

    total: int
    active: int
    errors: int
    timeouts: int


class RecentFault(Struct):
    """A failure; ``time`` is ISO 8601."""

    time: str
    message: str


class StoreHealth(Struct, rename="camel"):
    """The database: usage rows that could not be written, and what was last wrong with it."""

    queued: int
    lost_rows: int
    last_error: str | None
    moved_aside: str | None


class StatusAnswer(Struct, rename="camel"):
    """``GET /status``."""

    proxy: StatusProxy
    requests: StatusRequests
    plan: Plan
    plan_guard: PlanGuard
    recent_errors: list[RecentFault]
    store: StoreHealth
    warnings: list[str]


# Usage by key.


class KeyTotals(Struct):
    """One caller."""

    key_name: str
    requests: int
    successes: int
    errors: int
    cancelled: int
    total_prompt_chars: int
    total_response_chars: int
    total_elapsed_ms: int
    avg_elapsed_ms: int
    first_request: str
    last_request: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float


class HourTotals(Struct):
    """One hour; ``hour`` reads "2026-11-21T11:00:00"."""

    hour: str
    requests: int
    prompt_chars: int
    response_chars: int
    avg_elapsed_ms: int
    input_tokens: int
    output_tokens: int
    cost_usd: float


class RecentTurn(Struct):
    """One turn; ``model`` is what the client asked for, ``canonical_model`` what ran."""

    key_name: str
    model: str
    canonical_model: str
    dialect: str
    prompt_chars: int
    response_chars: int
    elapsed_ms: int
    first_ms: int | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    success: int
    status: str
    created_at: str


class UsageScope(Struct, rename={"self_": "self"}):
    """Whose rows these are: one caller's (``self``), or ``all``."""

    self_: str | None
    all: bool


class UsageByKey(Struct, rename={"by_key": "byKey"}):
    """``GET /api/usage``."""

    by_key: list[KeyTotals]
    timeline: list[HourTotals]
    recent: list[RecentTurn]
    scope: UsageScope
