"""From settings to the structs that rooms are tuned with.

What may live here: translations; every room sees only what is its own.
"""

from ocpd.dispatch.attempt import TimeLimits
from ocpd.http.connection import Limits
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


def turn_times(settings: Settings) -> TimeLimits:
    """How long a turn may take, if nothing is known of it."""
    return TimeLimits(
        first_byte_s=settings.first_byte_timeout_ms / 1000, total_s=settings.timeout_ms / 1000
    )


def client_limits(settings: Settings) -> Limits:
    """What a client may take."""
    return Limits(
        header_timeout_s=settings.header_timeout_ms / 1000,
        body_timeout_s=settings.body_timeout_ms / 1000,
        idle_timeout_s=settings.idle_timeout_ms / 1000,
        max_body_bytes=settings.max_body_bytes,
    )
