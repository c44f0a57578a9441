"""From settings to the structs that rooms are tuned with.

What may live here: translations; every room sees only what is its own.
"""

from ocpd.dispatch.gate import AnonymousQuota
from ocpd.dispatch.job import TimeLimits
from ocpd.http.service import Limits
from ocpd.pool.fleet import PoolLimits
from ocpd.pool.footprint import half_of_ram_mb
from ocpd.sched.planguard import Mode, Rules, StopAt
from ocpd.sched.seating import Room
from ocpd.sched.staffing import SpareLimits
from ocpd.settings.values import Settings


def spare_limits(settings: Settings) -> SpareLimits:
    """How many processes are kept ready."""
    return SpareLimits(
        per_model=settings.spares,
        most=settings.max_spares,
        memory_mb=settings.spare_memory_mb,
        idle_s=settings.spare_idle_ms / 1000,
    )


def pool_limits(settings: Settings) -> PoolLimits:
    """How many processes there may be."""
    return PoolLimits(
        spares=spare_limits(settings),
        room=Room(settings.max_processes, settings.process_memory_mb or half_of_ram_mb()),
        rest_s=settings.session_ttl_ms / 1000,
        worn_turns=settings.recycle_turns,
        worn_mb=settings.recycle_memory_mb,
    )


def turn_times(settings: Settings) -> TimeLimits:
    """How long a turn may take, if nothing is known of it."""
    return TimeLimits(
        first_byte_s=settings.first_byte_timeout_ms / 1000,
        total_s=settings.timeout_ms / 1000,
        idle_s=settings.idle_event_timeout_ms / 1000,
    )


def queue_wait_s(settings: Settings) -> float:
    """How long a turn may wait for a place."""
    return (settings.queue_timeout_ms or settings.timeout_ms) / 1000


def anonymous_quota(settings: Settings) -> AnonymousQuota | None:
    """What callers with the anonymous key may use; None is as much as they like."""
    if settings.anonymous_quota < 0:
        return None
    return AnonymousQuota(settings.anonymous_quota, settings.anonymous_quota_per == "address")


def plan_rules(settings: Settings) -> Rules:
    """How much of the plan may be used, and by whom."""
    return Rules(
        mode=Mode(settings.plan_guard),
        plan_only=settings.plan_only,
        stop_at=StopAt(
            owner=settings.plan_stop_at_owner,
            user=settings.plan_stop_at_user,
            batch=settings.plan_stop_at_batch,
        ),
    )


def client_limits(settings: Settings) -> Limits:
    """What a client may take."""
    return Limits(
        header_timeout_s=settings.header_timeout_ms / 1000,
        body_timeout_s=settings.body_timeout_ms / 1000,
        idle_timeout_s=settings.idle_timeout_ms / 1000,
        max_body_bytes=settings.max_body_bytes,
    )
