"""Processes come and go: starts, spares, retirement, crash loops.

What may live here: the two ends of a process's life, and how many spares there are. What happens in
between is ``pool``'s.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ocpd.aio import Nursery, steady_clock
from ocpd.claude.argv import build_argv
from ocpd.errors import Died, OcpdError, Upstream
from ocpd.pool.child import Child, Spec
from ocpd.pool.home import empty_directory
from ocpd.pool.probe import Probe
from ocpd.pool.reaper import Patience, retire
from ocpd.pool.roster import Entry, Roster
from ocpd.sched.backoff import Backoff
from ocpd.sched.seating import Place, Room, find_victim, has_room, is_crowded
from ocpd.sched.staffing import ChildId, SpareLimits, SpareView, plan_spares

_log = logging.getLogger("ocpd.pool")

REPLACE_AFTER_S = 0.1
"""How long after a claimed process has sent its request its replacement is started."""


class PoolLimits(msgspec.Struct, frozen=True):
    """How many processes there may be: spares, all in all; for how long a conversation rests
    (seconds), and after how many turns, or with how much memory (MB), a process is worn."""

    spares: SpareLimits
    room: Room
    rest_s: float = 3600.0
    worn_turns: int = 200
    worn_mb: int = 400


class Hooks(msgspec.Struct, frozen=True):
    """Who wants to know: ``on_change`` that a process has come, gone or can be had; ``on_failure``
    that one of a model did not start, True if somebody had waited for it."""

    on_change: Callable[[], None]
    on_failure: Callable[[str, OcpdError], bool]


class Fleet:
    """All processes, wherever they are. ``close`` ends them. ``limits`` and ``environment`` may
    change at any time; call ``replan`` then."""

    def __init__(
        self,
        probe: Probe,
        environment: Mapping[str, str],
        state_directory: Path,
        limits: PoolLimits,
        patience: Patience,
        hooks: Hooks,
    ) -> None:
        self._probe = probe
        self._state_directory = state_directory
        self._patience = patience
        self._hooks = hooks
        self._backoff = Backoff()
        self._timer: asyncio.TimerHandle | None = None
        self._last_child = 0
        self._last_used: dict[str, float] = {}
        self.environment = environment
        self.limits = limits
        self.nursery = Nursery("pool", is_detached=True)
        self.roster = Roster()
        self.retiring: set[ChildId] = set()
        self.spawned = 0
        self.is_closing = False

    @property
    def failures(self) -> int:
        """Processes that died early, in a row."""
        return self._backoff.failures

    async def close(self) -> None:
        """End every process and wait until they are gone."""
        self.is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        for entry in self.roster:
            if entry.child is not None:
                if entry.place is Place.BUSY:
                    entry.child.interrupt()
                self.retire(entry)
        while self.roster.at(Place.STARTING) or self.retiring:
            await self.nursery.wait_idle()
        await self.nursery.cancel_all()

    def note_use(self, model: str) -> None:
        """``model`` is used just now: it deserves a spare."""
        self._last_used[model] = steady_clock()

    def make_entry(self, model: str, *, is_listed: bool) -> Entry:
        """Count a process in before it is there."""
        self._last_child += 1
        entry = Entry(ChildId(self._last_child), model, self.environment, is_listed=is_listed)
        self.roster.add(entry)
        return entry

    def start(self, model: str) -> None:
        """Start a process in the background; it is parked when it is there."""
        entry = self.make_entry(model, is_listed=True)
        self.nursery.spawn(self._park(entry), f"park {entry.id}")

    async def spawn(self, entry: Entry) -> Child:
        """Start the process of ``entry``. Raises Upstream (503) if there is no CLI that may serve,
        or it does not start."""
        cli = await self._probe.current()
        try:
            scratch = self._make_scratch(entry)
            spec = Spec(
                argv=build_argv(cli.path, entry.model),
                environment={**entry.environment, **scratch},
                directory=empty_directory(self._state_directory),
                model=entry.model,
                sign_in=self._probe.sign_in,
            )
            child = await Child.spawn(entry.id, spec, self._on_change)
        except OSError as error:
            self._backoff.fail(steady_clock())
            raise Upstream(
                "the Claude CLI could not be started",
                status=503,
                code="claude_cli_unusable",
                detail=f"{cli.path}: {error}",
            ) from error
        self.spawned += 1
        entry.child, entry.signature, entry.used_at = child, cli.signature, steady_clock()
        told = {"child": child.id, "pid": child.pid, "model": entry.model}
        _log.debug("child_spawned", extra=told)
        return child

    def _make_scratch(self, entry: Entry) -> dict[str, str]:
        """Give a process a folder of its own for temporary files: one that is killed leaves its
        socket behind."""
        place = entry.environment.get("TMPDIR")
        if place is None:
            return {}
        entry.scratch = Path(place) / str(entry.id)
        entry.scratch.mkdir(mode=0o700, exist_ok=True)
        return {"TMPDIR": str(entry.scratch)}

    def retire(self, entry: Entry) -> None:
        """Forget the process and end it in the background."""
        self.roster.remove(entry.id)
        child = entry.child
        if child is not None and child.id not in self.retiring:
            self.retiring.add(child.id)
            self.nursery.spawn(self._see_off(entry, child), f"retire {child.id}")

    def drop_outdated(self) -> None:
        """End those that wait and are of yesterday: the CLI was updated on disk, or another login
        is in force."""
        latest = self._probe.latest
        for entry in self.roster:
            if entry.place in (Place.PARKED, Place.RESTING) and (
                entry.environment is not self.environment
                or (latest is not None and entry.signature != latest.signature)
            ):
                self.retire(entry)

    def replan(self) -> None:
        """See to the spares, and to conversations that have rested for long enough."""
        if self.is_closing:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = steady_clock()
        moments = self._expire(now)
        self._thin_out(now)
        # Those on their way count as parked.
        coming = (*self.roster.at(Place.PARKED), *self.roster.at(Place.STARTING))
        plan = plan_spares(
            [SpareView(entry.id, entry.model) for entry in coming if entry.is_listed],
            self._last_used,
            self.limits.spares,
            now=now,
            ready_at=self._backoff.ready_at(),
        )
        for child_id in plan.stop:
            entry = self.roster.get(child_id)
            if entry is not None and entry.place is Place.PARKED:
                self.retire(entry)
        for model in plan.start:
            if has_room(self.roster.seats(), self.limits.room):
                self.start(model)
        if plan.again_at is not None:
            moments.append(plan.again_at)
        if moments:
            delay_s = max(0.05, min(moments) - now)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.replan)

    def _thin_out(self, now: float) -> None:
        """End what is too many, as far as it is idle."""
        while is_crowded(seats := self.roster.seats(), self.limits.room):
            victim = find_victim(seats, now)
            entry = None if victim is None else self.roster.get(victim)
            if entry is None:
                return
            self.retire(entry)

    def _expire(self, now: float) -> list[float]:
        """End conversations that nobody went on with; return when the others are due."""
        due: list[float] = []
        for entry in self.roster.at(Place.RESTING):
            ends_at = entry.used_at + self.limits.rest_s
            if ends_at <= now:
                self.retire(entry)
            else:
                due.append(ends_at)
        return due

    async def _park(self, entry: Entry) -> None:
        try:
            child = await self.spawn(entry)
        except OcpdError as error:
            self._fail(entry, error)
        else:
            if self.is_closing:
                self.retire(entry)
            elif child.is_gone:
                self._fail(entry, Died("the Claude CLI ended as soon as it was started"))
            else:
                entry.place = Place.PARKED
        self._hooks.on_change()
        if entry.place is not Place.BUSY:
            # What was surplus while it was on its way can only be stopped now.
            self.replan()

    def _fail(self, entry: Entry, error: OcpdError) -> None:
        self.roster.remove(entry.id)
        if not self._hooks.on_failure(entry.model, error):
            told = {"model": entry.model, "reason": error.message}
            _log.warning("spare_not_started", extra=told)
            if not isinstance(error, Died):
                # Without a CLI there is nothing to wait for here: the next lease looks again.
                self._last_used.pop(entry.model, None)

    def _on_change(self, child: Child) -> None:
        if not child.is_gone:
            # Its request is on its way. While the model thinks, the machine has time to start
            # the spare that takes its place; a moment later, so that it does not compete with
            # the first token on a small machine.
            self._backoff.succeed()
            asyncio.get_running_loop().call_later(REPLACE_AFTER_S, self.replan)
            return
        # One that we killed before it could ask did nothing wrong.
        is_ours = child.session.must_kill or child.id in self.retiring
        is_early = not child.session.asked_upstream and not is_ours
        entry = self.roster.get(child.id)
        # One that is leased goes when it is given back, one that starts when it has.
        if entry is not None and entry.place in (Place.PARKED, Place.RESTING):
            self.retire(entry)
        if is_early:
            self._backoff.fail(steady_clock())
            told = {"child": child.id, "model": child.model, "stderr": child.stderr_tail[-500:]}
            _log.warning("child_died_early", extra=told)
        self._hooks.on_change()
        self.replan()

    async def _see_off(self, entry: Entry, child: Child) -> None:
        try:
            await retire(child, self._patience)
        finally:
            self.retiring.discard(child.id)
            if entry.scratch is not None:
                shutil.rmtree(entry.scratch, ignore_errors=True)
