"""From what happened to what the store keeps: a row of the usage book, the plan's windows.

What may live here: translations; counting is ``ledger``'s, keeping is the store's.
"""

import math
from collections.abc import Iterable

import msgspec

from ocpd.claude.wire import RateLimitInfo
from ocpd.pool.allowance import Window
from ocpd.sched.quota import CHARS_PER_TOKEN
from ocpd.sched.windows import Spent
from ocpd.store.plan import PlanBook
from ocpd.store.sums import UsageRow
from ocpd.turn.events import Usage
from ocpd.turn.outcome import Outcome, TurnState

HTTP_CANCELLED = 499
"""nginx's word for a client that went away; it was never sent."""


def usage_row(outcome: Outcome, now: float) -> UsageRow:
    """Return the row of a closed ``outcome``; ``now`` is epoch seconds."""
    first = next((a.first_event_at for a in outcome.attempts if a.first_event_at), None)
    usage = outcome.usage
    return UsageRow(
        at=now,
        turn_id=outcome.turn_id,
        key_id=outcome.caller.key_id,
        key_name=outcome.caller.name,
        model=outcome.model,
        asked_model=outcome.asked_model,
        dialect=outcome.dialect,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cache_read_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=outcome.cost_usd,
        first_ms=_span_ms(outcome.opened_at, first),
        total_ms=_span_ms(outcome.opened_at, outcome.closed_at) or 0,
        queued_ms=_span_ms(outcome.opened_at, outcome.admitted_at) or 0,
        status=outcome.state.value,
        http_status=_http_status(outcome),
        prompt_chars=outcome.prompt_chars,
        response_chars=outcome.response_chars,
        stream=outcome.stream,
    )


def does_count(outcome: Outcome) -> bool:
    """Whether a closed ``outcome`` counts towards quotas: an answer, or the beginning of one, whose
    caller did not wait for the rest or whose rest never came. What failed before a word does not,
    nor does what no process worked on."""
    if outcome.state is TurnState.FINISHED:
        return bool(outcome.attempts)
    has_spoken = outcome.has_spoken or outcome.response_chars > 0
    is_cancelled = outcome.state is TurnState.CANCELLED
    return has_spoken or (is_cancelled and outcome.usage.output_tokens > 0)


def count_unfinished(outcome: Outcome, used: Usage, chars: int) -> None:
    """Fill in what a turn has used whose books the CLI did not close: ``used`` is what the upstream
    counted so far, ``chars`` what came of the answer, told or not.

    The upstream counts the answer at its end. Until then its length must do, or whoever leaves
    just before that would have it for nothing.
    """
    if chars == 0:
        return
    outcome.has_spoken = True
    known = used if used.prompt_tokens >= outcome.usage.prompt_tokens else outcome.usage
    asked = 0 if known.prompt_tokens else outcome.prompt_chars // CHARS_PER_TOKEN
    outcome.usage = msgspec.structs.replace(
        known,
        input_tokens=known.input_tokens + asked,
        output_tokens=max(known.output_tokens, math.ceil(chars / CHARS_PER_TOKEN)),
    )


def spent_of(outcome: Outcome) -> Spent:
    """Return what a closed ``outcome`` counts as, exactly as its row has it."""
    usage = outcome.usage
    return Spent(1, usage.prompt_tokens, usage.output_tokens, outcome.cost_usd)


def note_plan(plan: PlanBook, info: RateLimitInfo, now: float) -> None:
    """Keep what the CLI said of the plan at ``now`` (epoch seconds).

    Older CLIs tell one window at a time, newer ones all of them in ``unifiedWindows``.
    """
    for name, window in info.unifiedWindows.items():
        status = window.status or info.status
        plan.note(name, window.utilization, window.resetsAt, status, now)
    if info.rateLimitType and info.rateLimitType not in info.unifiedWindows:
        plan.note(info.rateLimitType, info.utilization, info.resetsAt, info.status, now)
    if info.overageStatus:
        plan.note("overage", None, None, info.overageStatus, now)


def note_allowance(plan: PlanBook, windows: Iterable[Window], now: float) -> None:
    """Keep what the CLI answered at ``now`` (epoch seconds) when it was asked.

    That answer has no status of its own: what was known stays, unless the window is used up or
    began anew.
    """
    known = plan.latest()
    for window in windows:
        before = known.get(window.name)
        if window.utilization is not None and window.utilization >= 1:
            status = "rejected"
        elif before is None or (before.resets_at is not None and before.resets_at <= now):
            status = "allowed"
        else:
            status = before.status
        plan.note(window.name, window.utilization, window.resets_at, status, now)


def _http_status(outcome: Outcome) -> int:
    if outcome.error is not None:
        return outcome.error.status
    return 200 if outcome.state is TurnState.FINISHED else HTTP_CANCELLED


def _span_ms(start: float, end: float | None) -> int | None:
    return None if end is None else round((end - start) * 1000)
