"""What a caller is told of his quota: the refusal, the headers, and times as people read them.

What may live here: words. What is reached is decided in ``sched.quota``.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime

from ocpd.errors import QuotaExceeded, QuotaFacts
from ocpd.sched.quota import STREAMS, Denial, Standing
from ocpd.store.plan import PlanWindow

Headers = tuple[tuple[str, str], ...]

RETRY_S = 5
"""When to ask again while others of one's own turns run: nobody knows when they end."""

PATIENCE_S = 60
"""SDKs ignore a Retry-After beyond this and try again at once: they are told to leave it."""

PLAN_WINDOWS = ("five_hour", "seven_day")

_PERIODS = {
    "minute": "a minute",
    "daily": "a day (UTC)",
    "weekly": "in 7 days",
    "monthly": "in 30 days",
    "lifetime": "in all",
}


def refuse(denial: Denial, name: str, headers: Headers, now: float) -> QuotaExceeded:
    """Spell ``denial`` for the caller called ``name``."""
    limit = denial.limit
    resets_in, until = _spell_reset(denial, now)
    if limit.amount == 0:
        told = f"{name} may use no {_noun(limit.what)} {_period(limit.period)}".rstrip()
    else:
        told = (
            f"{name} has used {_amount(limit.what, denial.used)} of"
            f" {_amount(limit.what, limit.amount)} {_noun(limit.what)} {_period(limit.period)}"
        ).rstrip()
    if denial.reserved and limit.what != STREAMS:
        told += f" ({_amount(limit.what, denial.reserved)} set aside for requests that run)"
    retry_after_s = _retry_after_s(denial, now)
    if retry_after_s is None or retry_after_s > PATIENCE_S:
        headers = (*headers, ("x-should-retry", "false"))
    return QuotaExceeded(
        f"{told}; quota {limit.what}.{limit.period}, {until}.",
        QuotaFacts(limit.period, limit.amount, _exact(limit.what, denial.used), resets_in),
        retry_after_s=retry_after_s,
        headers=headers,
    )


def tell_standing(what: str, standing: Standing | None, now: float) -> Headers:
    """Spell the headers of ``what`` (requests or tokens); none if there is no such limit."""
    if standing is None:
        return ()
    resets_in_s = 0.0 if standing.clears_at is None else standing.clears_at - now
    return _headers(what, standing.limit.amount, standing.remaining, resets_in_s)


def tell_plan(windows: Iterable[PlanWindow], now: float) -> Headers:
    """Spell the plan's fullest current window, in percent of it, as headers of requests; none if
    nothing is known."""
    current = [
        window
        for window in windows
        if window.window in PLAN_WINDOWS
        and window.utilization is not None
        and window.resets_at is not None
        and window.resets_at > now
    ]
    fullest = max(current, key=lambda window: window.utilization or 0.0, default=None)
    if fullest is None or fullest.resets_at is None:
        return ()
    left = max(0.0, 100 * (1 - (fullest.utilization or 0.0)))
    told = _headers("requests", 100, left, fullest.resets_at - now)
    return (*told, ("x-ratelimit-window", fullest.window))


def spell_span(seconds: float) -> str:
    """Spell a span as the seeds do: ``2d 3h``, ``6h 12m``, ``42s``. Rounded up."""
    whole = max(1, math.ceil(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes = math.ceil(whole / 60)
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60}m"
    hours = math.ceil(minutes / 60)
    return f"{hours // 24}d {hours % 24}h"


def _headers(what: str, limit: float, remaining: float, resets_in_s: float) -> Headers:
    return (
        (f"x-ratelimit-limit-{what}", f"{math.floor(limit)}"),
        (f"x-ratelimit-remaining-{what}", f"{math.floor(remaining)}"),
        (f"x-ratelimit-reset-{what}", _spell_reset_header(resets_in_s)),
    )


def _spell_reset_header(seconds: float) -> str:
    """As OpenAI spells it: ``6m0s``."""
    whole = max(0, math.ceil(seconds))
    hours, minutes, left = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def _spell_reset(denial: Denial, now: float) -> tuple[str, str]:
    """For the field, and for the sentence."""
    if denial.waits_for_turns:
        words = "when one of its running requests ends"
        return words, f"which has room again {words}"
    if denial.resets_at is None:
        return "never", "which does not reset by itself"
    span = spell_span(denial.resets_at - now)
    at = datetime.fromtimestamp(denial.resets_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return span, f"which has room again in {span}, at {at}"


def _retry_after_s(denial: Denial, now: float) -> int | None:
    if denial.waits_for_turns:
        return RETRY_S
    return None if denial.resets_at is None else max(1, math.ceil(denial.resets_at - now))


def _period(period: str) -> str:
    return _PERIODS.get(period, "")


def _noun(what: str) -> str:
    if what == STREAMS:
        return "requests at once"
    return "US dollars" if what == "cost" else what.replace("_", " ")


def _amount(what: str, amount: float) -> str:
    return f"{amount:.4g}" if what == "cost" else f"{amount:.0f}"


def _exact(what: str, amount: float) -> int | float:
    return round(amount, 6) if what == "cost" else round(amount)
