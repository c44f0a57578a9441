"""How a thread answers the loop: a job, and the promise that its result will come.

What may live here: what crosses between asyncio and this room's threads; no SQL.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from typing import Generic, TypeVar

from ocpd.store.faults import translate

T = TypeVar("T")


class Ticket(Generic[T]):
    """One promise. Made on the loop; ``settle`` or ``fail`` is called once, from any thread.

    ``apply`` runs on the loop with the result, before whoever waits goes on, and also when nobody
    waits any more: so memory follows the file even if the caller was cancelled.
    """

    def __init__(self, apply: Callable[[T], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[T] = self._loop.create_future()
        self._apply = apply

    async def wait(self) -> T:
        """Return the result or raise the failure. Cancelled: what was begun is still done."""
        return await self._future

    async def is_done_within(self, within_s: float) -> bool:
        """Wait for the end, but not for ever; may be asked again."""
        done, _ = await asyncio.wait([self._future], timeout=within_s)
        return bool(done)

    def settle(self, result: T) -> None:
        """Hand ``result`` to the loop."""
        self._call(self._finish, result)

    def fail(self, error: BaseException) -> None:
        """Hand the failure to the loop, translated into ours."""
        self._call(self._break, translate(error))

    def _call(self, callback: Callable[..., None], value: object) -> None:
        # A loop that is closed has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, value)

    def _finish(self, result: T) -> None:
        try:
            if self._apply is not None:
                self._apply(result)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            self._break(error)
        if not self._future.done():
            self._future.set_result(result)

    def _break(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(error)


class Job(Generic[T]):
    """Work on a connection that somebody awaits. ``alone``: not inside a batch's transaction."""

    def __init__(
        self,
        work: Callable[[sqlite3.Connection], T],
        apply: Callable[[T], None] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self.work = work
        self.alone = alone
        self.ticket: Ticket[T] = Ticket(apply)
