"""``GET /api/usage``: who used how much.

What may live here: the question's parameters, and the sums of ``store.usage`` in the shape that
existing clients read. Whoever comes with a key sees his own rows; who administers sees all.
"""

from ocpd.admin.access import Actor, Via
from ocpd.admin.answers import (
    read_count,
    read_flag,
    read_moment,
    read_query,
    send,
    spell_moment,
)
from ocpd.admin.figures import HourTotals, KeyTotals, RecentTurn, UsageByKey, UsageScope
from ocpd.aio import wall_clock
from ocpd.http.exchange import Exchange
from ocpd.store.sums import HourUsage, KeyUsage, Scope, UsageRow
from ocpd.store.usage import FOREVER, UsageBook

_HOUR_S = 3600.0


class Usage:
    """Answers the sums."""

    def __init__(self, usage: UsageBook) -> None:
        self._usage = usage

    async def show(self, exchange: Exchange, actor: Actor) -> None:
        """Answer sums by caller, by hour, and the newest turns.

        ``since`` and ``until`` bound the callers' sums only, ``hours`` the timeline, ``limit`` the
        turns: as in OCP.
        """
        query = read_query(exchange, "since", "until", "hours", "limit", "all")
        since = read_moment(query["since"], "since") if query.get("since") else 0.0
        until = read_moment(query["until"], "until") if query.get("until") else FOREVER
        hours = read_count(query, "hours", 24, 1, 720)
        limit = read_count(query, "limit", 50, 1, 500)
        # Without a key of his own an administrator has hardly rows of his own: he means all.
        wants_all = read_flag(query, "all", default=actor.via is not Via.KEY)
        scope, told = _scope_of(actor, wants_all=wants_all)
        # One hour more: the first bar of a chart is a whole one.
        from_hour = (wall_clock() - hours * _HOUR_S) // _HOUR_S * _HOUR_S
        await send(
            exchange,
            UsageByKey(
                by_key=[_key(row) for row in await self._usage.by_key(since, until, scope)],
                timeline=[
                    _hour(row) for row in await self._usage.timeline(from_hour, FOREVER, scope)
                ],
                recent=[_turn(row) for row in await self._usage.recent(limit, scope)],
                scope=told,
            ),
        )


def _scope_of(actor: Actor, *, wants_all: bool) -> tuple[Scope, UsageScope]:
    if actor.key is not None:
        return actor.key.id, UsageScope(actor.key.name, all=False)
    if wants_all and actor.via is not Via.GUEST:
        return None, UsageScope(None, all=True)
    return actor.name, UsageScope(actor.name, all=False)


def _key(row: KeyUsage) -> KeyTotals:
    return KeyTotals(
        key_name=row.key_name,
        requests=row.requests,
        successes=row.successes,
        errors=row.errors,
        cancelled=row.cancelled,
        total_prompt_chars=row.total_prompt_chars,
        total_response_chars=row.total_response_chars,
        total_elapsed_ms=row.total_elapsed_ms,
        avg_elapsed_ms=round(row.avg_elapsed_ms),
        first_request=spell_moment(row.first_request),
        last_request=spell_moment(row.last_request),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens,
        reasoning_tokens=row.reasoning_tokens,
        cost_usd=round(row.cost_usd, 6),
    )


def _hour(row: HourUsage) -> HourTotals:
    return HourTotals(
        hour=spell_moment(row.hour).replace(" ", "T"),
        requests=row.requests,
        prompt_chars=row.prompt_chars,
        response_chars=row.response_chars,
        avg_elapsed_ms=round(row.avg_elapsed_ms),
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_usd=round(row.cost_usd, 6),
    )


def _turn(row: UsageRow) -> RecentTurn:
    return RecentTurn(
        key_name=row.key_name,
        model=row.asked_model,
        canonical_model=row.model,
        dialect=row.dialect,
        prompt_chars=row.prompt_chars,
        response_chars=row.response_chars,
        elapsed_ms=row.total_ms,
        first_ms=row.first_ms,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_usd=round(row.cost_usd, 6),
        success=int(row.status == "finished"),
        status=row.status,
        created_at=spell_moment(row.at),
    )
