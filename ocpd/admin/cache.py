"""``GET /cache/stats`` and ``DELETE /cache``: answers that may be given again.

What may live here: the answers; the cache is the store's.
"""

from collections.abc import Callable

from ocpd.admin.access import Actor
from ocpd.admin.answers import read_query, send
from ocpd.admin.audit import Journal
from ocpd.admin.wire import CacheAnswer, Cleared
from ocpd.http.exchange import Exchange
from ocpd.store.cache import CacheTable


def nobody_waits() -> tuple[int, int]:
    """No answers are being made for several callers at once."""
    return 0, 0


class Cache:
    """Answers for the cache. ``crowd`` tells how many answers are being made right now, and how
    many callers wait for them."""

    def __init__(
        self,
        table: CacheTable,
        journal: Journal,
        crowd: Callable[[], tuple[int, int]] = nobody_waits,
    ) -> None:
        self._table = table
        self._journal = journal
        self._crowd = crowd

    async def show(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer the counts of this moment."""
        read_query(exchange)
        counts = await self._table.stats()
        inflight, requesters = self._crowd()
        await send(
            exchange,
            CacheAnswer(counts.entries, counts.hits, counts.bytes, inflight, requesters),
        )

    async def clear(self, exchange: Exchange, actor: Actor) -> None:
        """Forget every answer."""
        read_query(exchange)
        cleared = await self._journal.carry_out(
            actor, "cache.clear", self._table.clear(), lambda count: f"{count} entries"
        )
        await send(exchange, Cleared(cleared))
