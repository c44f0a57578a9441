"""Task manners: the only place that makes a bare task, shields a cleanup or sets a deadline.

What may live here: small wrappers over asyncio that keep every lifetime bounded.
"""

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger("ocpd.aio")


def wall_clock() -> float:
    """Seconds since the epoch; may jump."""
    return time.time()  # noqa: TID251 - the edge's one door to this clock


def steady_clock() -> float:
    """Seconds of a clock that never jumps; only differences mean anything."""
    return time.monotonic()


class Nursery:
    """Tasks with a holder: all are cancelled and awaited when the block is left.

    A task that fails does not take the others with it; its exception is logged. ``spawn`` may be
    called from plain callbacks of the loop.
    """

    def __init__(self, name: str, *, is_detached: bool = False) -> None:
        """``is_detached``: tasks begin with an empty context. They outlive the turn that caused
        them, and their log lines must not carry its id."""
        self._name = name
        self._is_detached = is_detached
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Nursery":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cancel_all()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Start ``coroutine`` as a task that this nursery holds until it is done."""
        context = contextvars.Context() if self._is_detached else None
        label = f"{self._name}:{name}"
        task = asyncio.get_running_loop().create_task(coroutine, name=label, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_failed", exc_info=error, extra={"task": task.get_name()})

    async def cancel_all(self) -> None:
        """Cancel every task and wait until all are done."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def wait_idle(self) -> None:
        """Wait until no task is left. New ones that come meanwhile are waited for too."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))


async def finish(cleanup: Awaitable[T], within_s: float) -> T | None:
    """Run ``cleanup`` to its end even if the caller is cancelled, for ``within_s`` at most.

    Returns None when the deadline cut it. A cancellation that arrives meanwhile is delivered
    after the cleanup.
    """
    task = asyncio.get_running_loop().create_task(_bounded(cleanup, within_s))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # More of them may come; the deadline bounds this loop.
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("cleanup_failed", exc_info=error)
        raise


async def _bounded(cleanup: Awaitable[T], within_s: float) -> T | None:
    try:
        async with asyncio.timeout(within_s) as limit:
            return await cleanup
    except TimeoutError:
        if not limit.expired():
            raise
        return None
