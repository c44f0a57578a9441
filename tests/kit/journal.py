"""What arrived at the scripted API and how each answer ended, readable from any thread.

What may live here: the record of one request and the list of them, with its waits.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any


class Received:
    """One request as it arrived. ``body`` is the decoded JSON object, empty if it was not one.

    Times are of the monotonic clock. ``answered`` turns true when the last byte of the answer was
    handed to the socket; ``gone_at`` is set when the client left before that; ``cut`` says that the
    script ended the connection itself. ``probe`` marks the CLI's own check of a model id (it asks
    for one token), which never uses up a scripted reply. ``refusal`` says why ``checks`` refused.
    """

    def __init__(
        self, request_line: str, headers: Mapping[str, str], *, raw: bytes, body: Any, at: float
    ) -> None:
        self.at = at
        self.method, _, self.target = request_line.partition(" ")
        self.headers = headers
        self.raw = raw
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}
        self.answered = False
        self.cut = False
        self.gone_at: float | None = None
        self.refusal: str | None = None

    @property
    def probe(self) -> bool:
        """Whether this only asks if the model exists: one token, neither stream nor thinking."""
        return self.body.get("max_tokens") == 1 and not {"stream", "thinking"} & self.body.keys()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the body, as sent."""
        found = self.body.get("messages")
        return found if isinstance(found, list) else []

    def __repr__(self) -> str:
        how = "refused" if self.refusal else "answered" if self.answered else "open"
        how = "gone" if self.gone_at is not None else "cut" if self.cut else how
        return f"Received({self.body.get('model')}, {len(self.messages)} messages, {how})"


class Journal:
    """The last ``keep`` requests, in order of arrival."""

    def __init__(self, keep: int = 100_000) -> None:
        self._changed = threading.Condition()
        self._records: deque[Received] = deque(maxlen=keep)
        self._strays: deque[Received] = deque(maxlen=keep)

    def add(self, record: Received, *, stray: bool = False) -> None:
        """Write down a request; ``stray`` if it is none for the Messages API."""
        with self._changed:
            (self._strays if stray else self._records).append(record)
            self._changed.notify_all()

    def close(
        self, record: Received, *, answered: bool = False, cut: bool = False, gone_at: float | None
    ) -> None:
        """Write down how the answer to ``record`` ended."""
        with self._changed:
            record.answered = answered
            record.cut = cut
            record.gone_at = gone_at
            self._changed.notify_all()

    @property
    def records(self) -> tuple[Received, ...]:
        """Everything asked of the Messages API so far."""
        with self._changed:
            return tuple(self._records)

    @property
    def strays(self) -> tuple[Received, ...]:
        """Everything asked of other paths so far."""
        with self._changed:
            return tuple(self._strays)

    def clear(self) -> None:
        """Forget all that came so far. Answers that are still open stay open."""
        with self._changed:
            self._records.clear()
            self._strays.clear()

    def wait_for(
        self, wanted: Callable[[Received], bool], count: int, within_s: float, what: str
    ) -> tuple[Received, ...]:
        """Block until ``count`` requests are as ``wanted``; returns those.

        Raises TimeoutError after ``within_s`` seconds, naming what was there instead.
        """

        def found() -> tuple[Received, ...]:
            return tuple(record for record in self._records if wanted(record))

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count, within_s):
                raise TimeoutError(
                    f"waited {within_s} s for {count} {what}; there were {[*self._records]}"
                )
            return found()
