"""Who is being answered right now, by key: so that a key's end can end what it began.

What may live here: the register of running answers and the way to end them. Whether a key has
ended is the store's word.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from ocpd.errors import Unauthorized


class KeyEnded(Unauthorized):
    """The key was revoked while its holder was being answered."""

    def __init__(self) -> None:
        super().__init__("the key was revoked while this was being answered", code="key_revoked")
        self.kind = "auth_error"


class Presence:
    """Running answers by key. ``ends_running`` tells whether a revoked key ends them."""

    def __init__(self, ends_running: Callable[[], bool]) -> None:
        self._ends_running = ends_running
        self._scopes: dict[int, set[asyncio.Timeout]] = {}

    def __repr__(self) -> str:
        return f"Presence({sum(len(scopes) for scopes in self._scopes.values())})"

    @contextlib.asynccontextmanager
    async def enter(self, key_id: int | None) -> AsyncIterator[None]:
        """Run the block as the holder of a key; None is nobody's, and nothing ends it.

        Raises KeyEnded when ``revoked`` was told of the key meanwhile; what runs in the block is
        cancelled first.
        """
        if key_id is None:
            yield
            return
        scope = asyncio.timeout(None)
        scopes = self._scopes.setdefault(key_id, set())
        try:
            async with scope:
                scopes.add(scope)
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise KeyEnded from None
        finally:
            scopes.discard(scope)
            if not scopes and self._scopes.get(key_id) is scopes:
                del self._scopes[key_id]

    def revoked(self, key_id: int) -> None:
        """End what is being answered to the holder of a key, if the setting says so. Instant; the
        blocks end in the next steps of their tasks."""
        if not self._ends_running():
            return
        now = asyncio.get_running_loop().time()
        for scope in self._scopes.pop(key_id, set()):
            scope.reschedule(now)
