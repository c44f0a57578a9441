"""Who is being answered right now with a key: so that a key's end can end what it began.

What may live here: the register of running answers and the way to end them. Whether somebody still
holds the key he came with is the doorkeeper's word.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable

from ocpd.errors import Unauthorized
from ocpd.http.message import Request
from ocpd.turn.caller import Caller, Kind

TimeLeft = Callable[[Request, Caller], float]
"""For how many seconds who came with a request will hold its key; 0: no more, inf: no end."""

LONGEST_S = 86_400.0
"""The clock that keys end by may be set: nobody is believed for longer than that."""


def without_end(_request: Request, _caller: Caller) -> float:
    """Let keys hold for ever."""
    return math.inf


class KeyEnded(Unauthorized):
    """The key ended while its holder was being answered."""

    def __init__(self) -> None:
        super().__init__(
            "the key was revoked, replaced or taken away, or it ran out, while this was being"
            " answered",
            code="key_revoked",
        )
        self.kind = "auth_error"


class _Visit:
    def __init__(self, request: Request, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.scope = asyncio.timeout(None)
        self.timer: asyncio.TimerHandle | None = None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Presence:
    """Running answers to holders of keys. ``ends_running`` tells whether a key that ended ends
    them."""

    def __init__(self, time_left: TimeLeft, ends_running: Callable[[], bool]) -> None:
        self._time_left = time_left
        self._ends_running = ends_running
        self._visits: dict[_Visit, None] = {}

    def __repr__(self) -> str:
        return f"Presence({len(self._visits)})"

    @contextlib.asynccontextmanager
    async def enter(self, request: Request, caller: Caller) -> AsyncIterator[None]:
        """Run the block for ``caller``, who came with ``request``. Without a key nothing ends it.

        Raises KeyEnded when the key ends meanwhile; what runs in the block is cancelled first.
        """
        if caller.kind in (Kind.LOCAL, Kind.REMOTE):
            yield
            return
        visit = _Visit(request, caller)
        try:
            async with visit.scope:
                self._visits[visit] = None
                self._look(visit)
                yield
        except TimeoutError:
            if not visit.scope.expired():
                raise
            raise KeyEnded from None
        finally:
            visit.stop_timer()
            self._visits.pop(visit, None)

    def review(self, key_id: int | None = None) -> None:
        """A key may have ended, or whatever else decides over keys has changed (None): end what is
        being answered to those who hold one no more, if the setting says so. Instant; the blocks
        end in the next steps of their tasks."""
        for visit in tuple(self._visits):
            if key_id is None or visit.caller.key_id == key_id:
                self._look(visit)

    def _look(self, visit: _Visit) -> None:
        visit.stop_timer()
        if not self._ends_running():
            return
        left_s = self._time_left(visit.request, visit.caller)
        loop = asyncio.get_running_loop()
        if left_s <= 0:
            del self._visits[visit]
            visit.scope.reschedule(loop.time())
        elif left_s < math.inf:
            visit.timer = loop.call_later(min(left_s, LONGEST_S), self._look, visit)
