"""What happens by itself: looking at the login, folding old usage, asking how much plan is left.

What may live here: when; what is done is the rooms' own.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from ocpd.aio import Nursery, steady_clock, wall_clock
from ocpd.dispatch.bookkeeping import note_allowance
from ocpd.errors import OcpdError
from ocpd.pool.allowance import ask_allowance
from ocpd.pool.login import Login
from ocpd.pool.pool import Pool
from ocpd.settings.values import Settings
from ocpd.store.cache import CacheTable
from ocpd.store.conversations import Conversations
from ocpd.store.plan import PlanBook
from ocpd.store.usage import UsageBook

_log = logging.getLogger("ocpd.daemon")

DAY_S = 86_400.0

SWEEP_S = 600.0

ASK_AGAIN_S = 60.0
"""How soon the CLI is asked for the plan again: each time costs the start of a process."""


async def watch_login(login: Login, settings: Callable[[], Settings]) -> None:
    """Look at the login from time to time, for ever."""
    while True:
        await pass_time(settings().auth_check_interval_ms / 1000)
        await login.check()


async def fold_usage(usage: UsageBook, settings: Callable[[], Settings]) -> None:
    """Turn old rows into daily sums, now and once a day, for ever."""
    while True:
        try:
            folded = await usage.fold(settings().usage_keep_days)
        except OcpdError as error:
            # The rows are still there tomorrow.
            _log.warning("usage_not_folded", extra={"reason": error.message})
        else:
            if folded:
                _log.info("usage_folded", extra={"rows": folded})
        await pass_time(DAY_S)


async def expire_sessions(book: Conversations, settings: Callable[[], Settings]) -> None:
    """Forget conversations that nobody went on with, now and every some minutes, for ever."""
    while True:
        ttl_s = settings().session_ttl_ms / 1000
        # Trouble with the file: they are still there next time.
        with contextlib.suppress(OcpdError):
            await book.expire(ttl_s)
        await pass_time(min(max(ttl_s, 1.0), SWEEP_S))


async def expire_answers(cache: CacheTable, settings: Callable[[], Settings]) -> None:
    """Forget answers that are too old to be given again, now and every some minutes, for ever.
    Without a cacheTTL that is all of them."""
    while True:
        # Trouble with the file: they are still there next time, and nobody is given them.
        with contextlib.suppress(OcpdError):
            await cache.expire(settings().cache_ttl_ms / 1000)
        await pass_time(SWEEP_S)


async def pass_time(seconds: float) -> None:
    """Wait for time itself to pass, ``seconds`` of it: the one place that does."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class PlanWatch:
    """Asks a signed-in process how much of the plan is left, when somebody looks at a stale
    value. No model is asked, so nothing is billed."""

    def __init__(self, pool: Pool, login: Login, plan: PlanBook, nursery: Nursery) -> None:
        self._pool = pool
        self._login = login
        self._plan = plan
        self._nursery = nursery
        self._again_at = 0.0

    def note_look(self) -> None:
        """Somebody looked; ask in the background, unless it is of no use or too soon."""
        now = steady_clock()
        # To a token from the environment the CLI tells nothing of the plan. And a look must cost
        # nobody his conversation: only a spare is asked.
        parked = self._pool.statistics().parked
        is_of_use = self._login.state().ok and not self._login.has_token
        if now < self._again_at or not is_of_use or not parked:
            return
        self._again_at = now + ASK_AGAIN_S
        self._nursery.spawn(self._ask(next(iter(parked))), "plan")

    async def _ask(self, model: str) -> None:
        windows = await ask_allowance(self._pool, model)
        note_allowance(self._plan, windows, wall_clock())
        _log.debug("plan_asked", extra={"windows": len(windows)})
