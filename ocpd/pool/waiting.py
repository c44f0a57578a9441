"""Whoever waits for a process, in the order they came.

What may live here: the line and its futures. Who gets what is decided in ``sched``.
"""

import asyncio
from collections.abc import Iterator

import msgspec

from ocpd.errors import Died, OcpdError
from ocpd.pool.child import Child
from ocpd.sched.affinity import Wanted
from ocpd.sched.seating import Line


class Lease(msgspec.Struct, frozen=True):
    """A process that was given out. ``keep`` is how many of the request's messages it has already;
    None for one that was parked: nothing was ever said to it. ``source`` says where it came
    from."""

    child: Child
    keep: int | None
    source: str


class Waiter:
    """One request in the line. ``lease`` ends its waiting."""

    def __init__(self, wanted: Wanted, since: float) -> None:
        self.wanted = wanted
        self.since = since
        self.has_lost_one = False
        self.has_alarm = False
        self.lease: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()


class Waiting:
    """The line."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(list(self._waiters))

    def enter(self, waiter: Waiter) -> None:
        """Go to the end of the line."""
        self._waiters.append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Go away; of no effect for one who is not there any more."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def serve(self, waiter: Waiter, lease: Lease) -> None:
        """Give ``lease`` to one in the line."""
        self._waiters.remove(waiter)
        waiter.lease.set_result(lease)

    def fail_first(self, model: str, error: OcpdError) -> bool:
        """Tell the first who waits for ``model`` that none came; False if nobody does. One that
        died at once is worth another try."""
        for waiter in self._waiters:
            if waiter.wanted.model == model:
                if isinstance(error, Died) and not waiter.has_lost_one:
                    waiter.has_lost_one = True
                    return True
                self._waiters.remove(waiter)
                waiter.lease.set_exception(error)
                return True
        return False

    def before(self, waiter: Waiter) -> Line:
        """Count those who stand before ``waiter``."""
        ahead = self._waiters[: self._waiters.index(waiter)]
        same = [other for other in ahead if other.wanted.model == waiter.wanted.model]
        own = [other for other in same if other.wanted.key == waiter.wanted.key]
        return Line(len(same), len(own))
