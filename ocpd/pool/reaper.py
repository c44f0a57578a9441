"""Ending a child: interrupt, wait, close, wait, term, wait, kill. Never a zombie.

What may live here: this ladder. Each rung has its deadline. SIGKILL comes last because a CLI that
is just renewing its login must be allowed to finish writing it.
"""

import asyncio
import contextlib
import logging
import signal

import msgspec

from ocpd.pool.child import Child

_log = logging.getLogger("ocpd.pool")


class Patience(msgspec.Struct, frozen=True):
    """How long each rung may take, in seconds."""

    interrupt_s: float = 2.0
    close_s: float = 2.0
    term_s: float = 3.0


async def settle(child: Child, patience: Patience) -> bool:
    """Wait until the child has nothing more to say about its turn; False when it took too long.

    Send the interrupt before, if the turn is to be dropped.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience.interrupt_s):
            await child.wait_settled()
            return True
    return False


async def retire(child: Child, patience: Patience) -> None:
    """End the process and wait until it is gone.

    If cancelled it kills the process group at once and goes.
    """
    try:
        child.close_stdin()
        if await _exits(child, patience.close_s):
            return
        child.signal_group(signal.SIGTERM)
        if await _exits(child, patience.term_s):
            return
        _log.warning("child_killed", extra={"child": child.id, "pid": child.pid})
    finally:
        if not child.is_gone:
            child.signal_group(signal.SIGKILL)
    await child.ended.wait()


async def _exits(child: Child, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await child.ended.wait()
    return child.is_gone
