"""Lease, rest, rewind, recycle: carries out what ``sched.affinity`` and ``sched.seating`` decide.

What may live here: giving processes out and taking them back. Their coming and going is
``fleet``'s. Every process is in exactly one place of the roster, or with the reaper.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

import msgspec

from ocpd.aio import steady_clock, wall_clock
from ocpd.claude.wire import OfferedModel
from ocpd.errors import Overloaded
from ocpd.pool.child import Child
from ocpd.pool.fleet import Fleet, Hooks, PoolLimits
from ocpd.pool.footprint import private_mb
from ocpd.pool.probe import Probe
from ocpd.pool.reaper import Patience, settle
from ocpd.pool.roster import Entry
from ocpd.pool.waiting import Lease, Waiter, Waiting
from ocpd.sched.affinity import Memory, Wanted, find_match
from ocpd.sched.seating import Begin, Place, Take, Wait, choose, find_victim, has_room
from ocpd.sched.staffing import ChildId

_log = logging.getLogger("ocpd.pool")

MAX_UNLISTED_MODELS = 2
"""How many ids that models.json does not list may hold processes at once."""

FINISHING_S = 0.5
"""How long a request waits for the conversation it continues, while that finishes its last turn.
Usually that takes some milliseconds: the answer is complete before the CLI has closed its books."""


LOGIN_LEFT_S = 300.0
"""A process whose login's token runs out sooner is not kept: several that renew one login at the
same time have been seen to log each other out."""


class PoolStatistics(msgspec.Struct, frozen=True):
    """Counts of processes. ``sources`` says since the start how requests got theirs, ``misses``
    why those with a history did not continue a conversation; ``rebuilt_messages`` is what had to
    be written again for those."""

    parked: dict[str, int]
    resting: int
    leased: int
    retiring: int
    waiting: int
    memory_mb: int
    spawned: int
    sources: dict[str, int]
    misses: dict[str, int]
    rebuilt_messages: int
    failures_in_a_row: int


class Pool:
    """All processes of the daemon. Leaving the block ends them."""

    def __init__(
        self,
        probe: Probe,
        environment: Mapping[str, str],
        state_directory: Path,
        limits: PoolLimits,
        patience: Patience | None = None,
    ) -> None:
        self._probe = probe
        self._patience = patience or Patience()
        self._waiting = Waiting()
        hooks = Hooks(self._serve, self._waiting.fail_first)
        self._fleet = Fleet(probe, environment, state_directory, limits, self._patience, hooks)
        self._roster = self._fleet.roster
        self._rebuilt_messages = 0
        self._sources: Counter[str] = Counter()
        self._misses: Counter[str] = Counter()
        self.offered: tuple[OfferedModel, ...] = ()

    def __repr__(self) -> str:
        return f"Pool({self._roster}, {len(self._waiting)} waiting)"

    async def __aenter__(self) -> "Pool":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._fleet.close()

    def warm(self, model: str) -> None:
        """Treat ``model`` as used just now: a spare for it is started."""
        self._fleet.note_use(model)
        self._fleet.replan()

    # Giving out.

    async def lease(self, wanted: Wanted, *, is_listed: bool = True, afresh: bool = False) -> Lease:
        """Return a process for ``wanted``: the conversation that it continues, else one that can
        begin it. ``afresh``: none that has served before.

        Give it back with ``give_back``, whatever happens. Raises Upstream when there is no CLI
        that may serve or it does not start, Overloaded when too many unlisted models hold
        processes already.
        """
        await self._probe.current()
        if not is_listed:
            return await self._lease_unlisted(wanted.model)
        self._fleet.note_use(wanted.model)
        own = msgspec.structs.replace(wanted, key=b"") if afresh else wanted
        waiter = Waiter(own, steady_clock())
        self._waiting.enter(waiter)
        self._serve()
        try:
            return await asyncio.shield(waiter.lease)
        except asyncio.CancelledError:
            self._waiting.leave(waiter)
            if waiter.lease.done() and waiter.lease.exception() is None:
                # It came in the same moment, and nothing was said to it: back where it was.
                self._put_back(waiter.lease.result())
            raise

    def finishing(self, child: Child, memory: Memory) -> None:
        """The turn of a leased process is over for its caller; it will rest with ``memory``. A
        request that continues it waits for that."""
        entry = self._roster.get(child.id)
        if entry is not None and entry.place is Place.BUSY and entry.is_listed:
            entry.place, entry.memory = Place.FINISHING, memory

    def give_back(self, child: Child, memory: Memory | None = None) -> None:
        """Take a leased process back; its turn is over.

        With ``memory`` it rests, as soon as it has taken back what goes beyond that; without it,
        or if it cannot be trusted with another turn, it is ended in the background.
        """
        session = child.session
        if session.offered:
            self.offered = session.offered
        entry = self._roster.get(child.id)
        if entry is None:
            return
        entry.memory_mb = private_mb(child.pid)
        if memory is None or not session.is_reusable or self._is_worn(entry):
            self._fleet.retire(entry)
            self._serve()
        else:
            entry.place, entry.memory = Place.FINISHING, memory
            child.rewind(len(memory.chain) - 1)
            if session.is_settled:
                self._rest(entry)
            else:
                self._fleet.nursery.spawn(self._finish_rewind(entry, child), f"rewind {child.id}")
        self._fleet.replan()

    def forget(self) -> int:
        """End every conversation that rests; return how many there were. Turns that run go on, and
        what they leave does not rest."""
        for entry in (*self._roster.at(Place.BUSY), *self._roster.at(Place.FINISHING)):
            entry.is_doomed = True
        resting = self._roster.at(Place.RESTING)
        for entry in resting:
            self._fleet.retire(entry)
        self._fleet.replan()
        return sum(entry.memory is not None and entry.memory.answers > 0 for entry in resting)

    # Following the settings.

    def change_limits(self, limits: PoolLimits) -> None:
        """Keep as many processes as ``limits`` says from now on."""
        self._fleet.limits = limits
        self._fleet.replan()
        self._serve()

    def change_environment(self, environment: Mapping[str, str]) -> None:
        """Start processes with ``environment`` from now on, and replace those that wait: they know
        the old login. Turns that run go on."""
        self._fleet.environment = environment
        self._fleet.drop_outdated()
        self._fleet.replan()

    def statistics(self) -> PoolStatistics:
        """Return the counts of this moment."""
        roster, fleet = self._roster, self._fleet
        return PoolStatistics(
            parked=dict(Counter(entry.model for entry in roster.at(Place.PARKED))),
            resting=len(roster.at(Place.RESTING)),
            leased=len(roster.at(Place.BUSY)) + len(roster.at(Place.FINISHING)),
            retiring=len(fleet.retiring),
            waiting=len(self._waiting),
            memory_mb=sum(entry.memory_mb for entry in roster),
            spawned=fleet.spawned,
            sources=dict(self._sources),
            misses=dict(self._misses),
            rebuilt_messages=self._rebuilt_messages,
            failures_in_a_row=fleet.failures,
        )

    # Deciding.

    def _serve(self) -> None:
        """Look who of those that wait can be served now, in their order."""
        if self._fleet.is_closing:
            return
        self._fleet.drop_outdated()
        for waiter in self._waiting:
            self._serve_one(waiter)

    def _serve_one(self, waiter: Waiter) -> None:
        wanted, now = waiter.wanted, steady_clock()
        match = find_match(self._roster.memories(Place.RESTING), wanted)
        if match is not None:
            self._hand_over(waiter, match.child, match.keep, match.way.value)
            return
        if self._is_worth_waiting(waiter, now):
            return
        line, room = self._waiting.before(waiter), self._fleet.limits.room
        choice = choose(self._roster.seats(), wanted.model, wanted.key, room, line=line, now=now)
        match choice:
            case Take(child_id):
                self._note_miss(wanted)
                entry = self._roster.get(child_id)
                if entry is not None and entry.place is Place.PARKED:
                    # One that came after the request was started for it.
                    is_spare = entry.used_at < waiter.since
                    self._hand_over(waiter, child_id, None, "spare" if is_spare else "spawned")
                else:
                    self._hand_over(waiter, child_id, 0, "recycled")
            case Begin(instead):
                victim = None if instead is None else self._roster.get(instead)
                if victim is not None:
                    self._fleet.retire(victim)
                self._fleet.start(wanted.model)
            case Wait():
                pass
            case _:
                assert_never(choice)

    def _is_worth_waiting(self, waiter: Waiter, now: float) -> bool:
        """Whether the conversation it continues will rest in a moment."""
        left_s = waiter.since + FINISHING_S - now
        if left_s <= 0:
            return False
        if find_match(self._roster.memories(Place.FINISHING), waiter.wanted) is None:
            return False
        if not waiter.has_alarm:
            # One for each: it serves all, and that must not set new ones for the others.
            waiter.has_alarm = True
            asyncio.get_running_loop().call_later(left_s + 0.001, self._serve)
        return True

    def _hand_over(self, waiter: Waiter, child_id: ChildId, keep: int | None, source: str) -> None:
        entry = self._roster.get(child_id)
        if entry is None or entry.child is None:
            return
        entry.place, entry.used_at = Place.BUSY, steady_clock()
        entry.turns += 1
        self._sources[source] += 1
        self._waiting.serve(waiter, Lease(entry.child, keep, source))

    def _note_miss(self, wanted: Wanted) -> None:
        if not wanted.has_history:
            return
        is_busy = find_match(self._roster.memories(Place.BUSY), wanted) is not None
        self._misses["busy" if is_busy else "unknown"] += 1
        self._rebuilt_messages += len(wanted.chain) - 1

    def _put_back(self, lease: Lease) -> None:
        entry = self._roster.get(lease.child.id)
        if entry is None:
            return
        if lease.child.is_gone:
            self._fleet.retire(entry)
        entry.place = Place.PARKED if lease.keep is None else Place.RESTING
        entry.turns -= 1
        self._serve()

    def _is_worn(self, entry: Entry) -> bool:
        limits = self._fleet.limits
        return (
            self._fleet.is_closing
            or entry.is_doomed
            or not entry.is_listed
            or entry.environment is not self._fleet.environment
            or entry.turns >= limits.worn_turns
            or entry.memory_mb > limits.worn_mb
            or _login_ends_soon(entry)
        )

    async def _lease_unlisted(self, model: str) -> Lease:
        held = {entry.model for entry in self._roster if not entry.is_listed} | {model}
        if len(held) > MAX_UNLISTED_MODELS:
            raise Overloaded(
                f"{MAX_UNLISTED_MODELS} models that ocpd does not list are running already",
                code="too_many_unlisted_models",
                param="model",
                retry_after_s=5,
            )
        self._make_room()
        # Counted before it is there: another lease may come while this one starts.
        entry = self._fleet.make_entry(model, is_listed=False)
        task = self._fleet.nursery.spawn(self._fleet.spawn(entry), f"spawn {entry.id}")
        try:
            child = await asyncio.shield(task)
        except asyncio.CancelledError:
            # The caller left while the process started: nobody else knows of it.
            task.add_done_callback(lambda _: self._fleet.retire(entry))
            raise
        except BaseException:
            self._roster.remove(entry.id)
            raise
        entry.place = Place.BUSY
        self._sources["spawned"] += 1
        return Lease(child, None, "spawned")

    def _make_room(self) -> None:
        seats, room = self._roster.seats(), self._fleet.limits.room
        if has_room(seats, room):
            return
        victim = find_victim(seats, steady_clock())
        entry = None if victim is None else self._roster.get(victim)
        if entry is None:
            raise Overloaded(
                f"{len(seats)} processes are running already (setting maxProcesses)",
                code="too_many_processes",
                retry_after_s=5,
            )
        self._fleet.retire(entry)

    async def _finish_rewind(self, entry: Entry, child: Child) -> None:
        await settle(child, self._patience)
        if child.session.is_reusable and not self._is_worn(entry):
            self._rest(entry)
        else:
            _log.info("conversation_not_taken_back", extra={"child": child.id})
            self._fleet.retire(entry)
            self._serve()
        self._fleet.replan()

    def _rest(self, entry: Entry) -> None:
        entry.place, entry.used_at = Place.RESTING, steady_clock()
        self._serve()


def _login_ends_soon(entry: Entry) -> bool:
    ends_at = None if entry.child is None else entry.child.session.login_ends_at
    return ends_at is not None and ends_at - wall_clock() < LOGIN_LEFT_S
