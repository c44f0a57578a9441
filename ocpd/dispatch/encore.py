"""Answers that are given again: from the store, or from an equal turn that runs at the same time.

What may live here: who makes an answer and who waits for it. Which turns are equal is the word of
``cachekey``, what is kept of an answer that of ``recording``.

Equal turns are one flight. Its first caller leads: it looks into the store, and if there is nothing
runs the turn. The others wait for the end, and are told the same: the answer, or the failure. A
leader that leaves takes its turn along; then the next one leads, from the start, which is why
nobody is told anything of an answer before its end. The others hear of an answer as fast as its
leader takes it, and wait no longer than a turn of their own could take.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec

from ocpd.aio import Nursery
from ocpd.dispatch.hall import Hall
from ocpd.dispatch.job import Job
from ocpd.errors import OcpdError, Upstream
from ocpd.store.cache import Cached
from ocpd.turn.cachekey import find_key
from ocpd.turn.events import Event, Failed
from ocpd.turn.recording import Recorder, Recording, decode_recording, encode_recording

_log = logging.getLogger("ocpd.turn")

HIT = "hit"
MISS = "miss"

Ending = Recording | Failed

Note = Callable[[str], None]
"""Is told ``HIT`` or ``MISS`` once it is known, before the first event; nothing if neither."""


def note_nothing(_: str) -> None:
    """Let nobody know."""


class Table(Protocol):
    """What is needed of the store's cache."""

    async def get(self, digest: str, *, max_age_s: float) -> Cached | None:
        """Return what is kept and still good, and count that."""
        ...

    async def put(self, digest: str, value: bytes, model: str) -> bool:
        """Keep a value; False if that cannot be."""
        ...


class _Flight:
    """One answer on its way. In ``waiting`` a result of None means: lead."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.ending: Ending | None = None
        self.waiting: dict[asyncio.Future[Ending | None], None] = {}


class Encore:
    """Runs turns, and spares those whose answer is there. ``max_age_s`` tells how long an answer is
    good; while it is 0 every turn runs. Enter before use; leaving gives up what is being
    written."""

    def __init__(self, hall: Hall, table: Table, max_age_s: Callable[[], float]) -> None:
        self._hall = hall
        self._table = table
        self._max_age_s = max_age_s
        self._flights: dict[str, _Flight] = {}
        # A write outlives the turn that it is of.
        self._nursery = Nursery("encore", is_detached=True)

    async def __aenter__(self) -> "Encore":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._nursery.cancel_all()

    def __repr__(self) -> str:
        return f"Encore({self.crowd()})"

    def crowd(self) -> tuple[int, int]:
        """Return how many answers are being made now, and how many callers wait for one that
        another makes."""
        making = [flight for flight in self._flights.values() if flight.ending is None]
        return len(making), sum(len(flight.waiting) for flight in making)

    async def wait_idle(self) -> None:
        """Wait until nothing is being written."""
        await self._nursery.wait_idle()

    async def run(
        self, job: Job, dialect: str, note: Note = note_nothing
    ) -> AsyncGenerator[list[Event], None]:
        """Do what ``Hall.run`` does, under its rules, or tell again what was told before.

        That is no turn: it is in no book, and costs no quota. But who has used up his quota gets
        nothing here either.
        """
        key = self._find_key(job)
        # Who is not let in is turned away in the hall, where that is written down.
        if key is None or not await self._hall.is_open_to(job):
            source = self._hall.run(job, dialect)
        else:
            source = self._share(key, job, dialect, note)
        async with aclosing(source) as batches:
            async for batch in batches:
                yield batch

    def _find_key(self, job: Job) -> str | None:
        if self._max_age_s() <= 0:
            return None
        key = find_key(job.turn, job.caller.scope, job.sheet)
        if key is None and job.turn.has_cache_control:
            _log.info("cache_skipped", extra={"model": job.turn.model})
        return key

    async def _share(
        self, key: str, job: Job, dialect: str, note: Note
    ) -> AsyncGenerator[list[Event], None]:
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(key)
            ending = None
        else:
            ending = flight.ending or await self._wait_in_time(flight, self._hall.longest_s(job))
            job = msgspec.structs.replace(job, is_heir=True)
        if ending is None:
            async with aclosing(self._lead(flight, job, dialect, note)) as batches:
                async for batch in batches:
                    yield batch
            return
        for batch in _tell(ending, job, "shared", note):
            yield batch

    async def _lead(
        self, flight: _Flight, job: Job, dialect: str, note: Note
    ) -> AsyncGenerator[list[Event], None]:
        recorder = Recorder()
        try:
            kept = await self._look_up(flight.key)
            if kept is not None:
                self._land(flight, kept)
                for batch in _tell(kept, job, "kept", note):
                    yield batch
                return
            note(MISS)
            async with aclosing(self._hall.run(job, dialect)) as batches:
                async for batch in batches:
                    recorder.hear(batch)
                    if recorder.ending is not None:
                        # Before the last words are handed out: the others need not wait until
                        # this caller has taken them, and who asks again finds the answer.
                        self._land(flight, recorder.ending, job)
                    yield batch
        except OcpdError as error:
            self._land(flight, Failed(error))
            raise
        finally:
            self._pass_on(flight)

    async def _look_up(self, key: str) -> Recording | None:
        found = await self._table.get(key, max_age_s=self._max_age_s())
        return None if found is None else decode_recording(found.value)

    async def _wait_in_time(self, flight: _Flight, within_s: float) -> Ending | None:
        try:
            async with asyncio.timeout(within_s):
                return await self._wait(flight)
        except TimeoutError as error:
            # Whoever leads takes his answer so slowly that nobody else should wait for it.
            self._forget(flight)
            raise Upstream(
                "the equal request that this one waited for did not come to its end within"
                f" {within_s:g} s (settings timeout, queueTimeout, cacheTTL)",
                status=504,
                code="timeout",
            ) from error

    async def _wait(self, flight: _Flight) -> Ending | None:
        """Wait for the end of a flight; None if it is ours to lead now."""
        future: asyncio.Future[Ending | None] = asyncio.get_running_loop().create_future()
        flight.waiting[future] = None
        try:
            return await future
        except asyncio.CancelledError:
            flight.waiting.pop(future, None)
            if not future.cancelled() and future.result() is None:
                # The lead came in the same moment; it goes to the next one.
                self._pass_on(flight)
            raise

    def _land(self, flight: _Flight, ending: Ending, job: Job | None = None) -> None:
        """End a flight, once. With the ``job`` whose answer it is, that is kept if it is good."""
        if flight.ending is not None:
            return
        flight.ending = ending
        for future in flight.waiting:
            if not future.done():
                future.set_result(ending)
        flight.waiting.clear()
        if job is None or not isinstance(ending, Recording) or not ending.is_good:
            self._forget(flight)
            return
        # Until it is in the store, it is found here.
        value = encode_recording(ending)
        writing = self._nursery.spawn(self._table.put(flight.key, value, job.turn.model), "write")
        writing.add_done_callback(lambda _: self._forget(flight))

    def _pass_on(self, flight: _Flight) -> None:
        """Whoever leads is going: make the next one the leader, unless the flight has ended."""
        if flight.ending is not None:
            return
        while flight.waiting:
            future = next(iter(flight.waiting))
            del flight.waiting[future]
            if not future.done():
                future.set_result(None)
                return
        self._forget(flight)

    def _forget(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]


def _tell(ending: Ending, job: Job, origin: str, note: Note) -> list[list[Event]]:
    if isinstance(ending, Failed):
        return [[ending]]
    note(HIT)
    _log.info("cache_hit", extra={"model": job.turn.model, "origin": origin})
    return list(ending.replay())
