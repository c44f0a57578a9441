"""``/api/keys/{ref}/quota``: how much a key may use, and how much of it is used.

What may live here: names of limits, their spans, and the two shapes they are shown in. Whether a
limit is reached is decided where turns are admitted.
"""

from collections.abc import Callable, Iterable

import msgspec

from ocpd.admin.access import Actor
from ocpd.admin.answers import MAX_BODY_BYTES, read_object, read_query, send
from ocpd.admin.audit import Journal
from ocpd.admin.keys import find_key
from ocpd.admin.wire import Allowance, LimitView, QuotaAnswer, QuotaChanged, RequestQuota
from ocpd.aio import wall_clock
from ocpd.errors import BadRequest
from ocpd.http.exchange import Exchange
from ocpd.sched.quota import AT_ONCE, STREAMS, Limit
from ocpd.sched.windows import PERIODS, WHATS, begin_of
from ocpd.store.keys import Keys as KeyStore
from ocpd.store.quotas import PLACES, Amount
from ocpd.store.quotas import Quotas as QuotaStore
from ocpd.store.sums import Totals
from ocpd.store.usage import UsageBook

REQUESTS = "requests"
SHOWN = ("daily", "weekly", "monthly")

_amount: msgspec.json.Decoder[int | float | None] = msgspec.json.Decoder(int | float | None)


class Quotas:
    """Answers for the quotas."""

    def __init__(
        self,
        keys: KeyStore,
        quotas: QuotaStore,
        usage: UsageBook,
        journal: Journal,
        count_running: Callable[[int], int],
    ) -> None:
        """``count_running`` tells how many requests of a key wait or run now, by its id."""
        self._keys = keys
        self._quotas = quotas
        self._usage = usage
        self._journal = journal
        self._count_running = count_running

    async def show(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer the limits of a key and what is used; 404 if there is no such key."""
        read_query(exchange)
        record = find_key(self._keys, exchange)
        limits = self._quotas.of(record.id)
        periods = (limit.period for limit in limits if limit.period != AT_ONCE)
        wanted = dict.fromkeys((*SHOWN, *periods))
        now = wall_clock()
        used = {
            period: await self._usage.totals(record.id, begin_of(period, now)) for period in wanted
        }
        daily, weekly, monthly = (_allowance(period, limits, used[period]) for period in SHOWN)
        await send(
            exchange,
            QuotaAnswer(
                keyId=record.id,
                quota=RequestQuota(daily, weekly, monthly),
                daily=daily,
                weekly=weekly,
                monthly=monthly,
                limits=[
                    LimitView(
                        limit.what,
                        limit.period,
                        limit.amount,
                        self._count_running(record.id)
                        if limit.what == STREAMS
                        else _read(used[limit.period], limit.what),
                    )
                    for limit in limits
                ],
            ),
        )

    async def change(self, exchange: Exchange, actor: Actor) -> None:
        """Set the limits that are sent, all of them or none; the others stay."""
        read_query(exchange)
        sent = read_limits(await exchange.read_body(MAX_BODY_BYTES))
        record = find_key(self._keys, exchange)
        changes = {place_of(name): amount for name, amount in sent.items()}
        if len(changes) < len(sent):
            raise _twice(sent)
        spelled = ", ".join(
            f"{name}={'none' if amount is None else amount}" for name, amount in sent.items()
        )
        await self._journal.carry_out(
            actor,
            "quota.change",
            self._quotas.set(record.id, changes),
            lambda _: f"{record.name} (#{record.id}): {spelled or 'nothing'}",
        )
        await send(exchange, QuotaChanged(exchange.params["ref"], sent))


def read_limits(body: bytes) -> dict[str, Amount | None]:
    """Read ``{"daily": 50, "cost.monthly": 5.0, "tokens.weekly": null}``.

    Raises BadRequest (400) naming what is unknown, negative, a fraction or no number.
    """
    found: dict[str, Amount | None] = {}
    for name, raw in read_object(body).items():
        what, _ = place_of(name)
        try:
            amount = _amount.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError):
            raise BadRequest(f"{name} must be a number or null", param=name) from None
        if what != "cost" and isinstance(amount, float):
            raise BadRequest(f"{name} must be a whole number, at least 0, or null", param=name)
        if amount is not None and amount < 0:
            raise BadRequest(f"{name} must be at least 0, or null for no limit", param=name)
        found[name] = amount
    return found


def place_of(name: str) -> tuple[str, str]:
    """Return what a limit counts, and in which period: ``daily`` is ``requests.daily``, ``streams``
    is ``streams.at_once``.

    Raises BadRequest (400) for one that nobody knows.
    """
    if name == STREAMS:
        return STREAMS, AT_ONCE
    what, dot, period = name.rpartition(".")
    what = what if dot else REQUESTS
    if (what, period) not in PLACES:
        raise BadRequest(
            f"unknown quota {name[:80]!r}: a period ({', '.join(PERIODS)}) counts requests;"
            f" {', '.join(WHATS)} go before a point, as in tokens.daily; {STREAMS} counts"
            " requests at once",
            param=name[:80],
            code="unknown_field",
        )
    return what, period


def _allowance(period: str, limits: Iterable[Limit], used: Totals) -> Allowance:
    amounts = [limit.amount for limit in limits if (limit.what, limit.period) == (REQUESTS, period)]
    return Allowance(limit=amounts[0] if amounts else None, used=used.requests)


def _read(used: Totals, what: str) -> Amount:
    amounts: dict[str, Amount] = {
        "requests": used.requests,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "tokens": used.tokens,
        "cost": used.cost,
    }
    return amounts[what]


def _twice(sent: Iterable[str]) -> BadRequest:
    places: dict[tuple[str, str], str] = {}
    for name in sent:
        other = places.setdefault(place_of(name), name)
        if other != name:
            return BadRequest(f"{other} and {name} are the same quota", param=name)
    return BadRequest("a quota stands twice")
