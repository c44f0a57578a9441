"""Park, lease, take back: carries out what ``sched.staffing`` decides.

What may live here: the set of processes and their moves. Every process is in exactly one place:
parked here, leased to an attempt, or with the reaper.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ocpd.aio import Nursery, steady_clock
from ocpd.claude.argv import build_argv
from ocpd.claude.lifecycle import State
from ocpd.claude.wire import OfferedModel, RateLimitInfo
from ocpd.errors import Overloaded, Upstream
from ocpd.pool.child import Child, Spec
from ocpd.pool.home import empty_directory
from ocpd.pool.probe import Cli, Probe
from ocpd.pool.reaper import Patience, retire
from ocpd.sched.backoff import Backoff
from ocpd.sched.staffing import ChildId, SpareLimits, SpareView, plan_spares

_log = logging.getLogger("ocpd.pool")

MAX_UNLISTED_MODELS = 2
"""How many ids that models.json does not list may hold processes at once."""

REPLACE_AFTER_S = 0.1
"""How long after a claimed process has sent its request its replacement is started."""


class PoolStatistics(msgspec.Struct, frozen=True):
    """Counts of processes; ``spawned`` and ``claimed_spares`` since the start."""

    parked: dict[str, int]
    leased: int
    retiring: int
    spawned: int
    claimed_spares: int
    failures_in_a_row: int


class _Parked(msgspec.Struct, frozen=True):
    child: Child
    cli: Cli
    environment: Mapping[str, str]


class Pool:
    """All processes of the daemon. Leaving the block ends them."""

    def __init__(
        self,
        probe: Probe,
        environment: Mapping[str, str],
        state_directory: Path,
        limits: SpareLimits,
        patience: Patience | None = None,
        on_limit: Callable[[RateLimitInfo], None] = lambda _: None,
    ) -> None:
        self._probe = probe
        self._environment = environment
        self._state_directory = state_directory
        self._limits = limits
        self._on_limit = on_limit
        self._patience = patience or Patience()
        self._nursery = Nursery("pool")
        self._backoff = Backoff()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._last_child = 0
        self._spawned = 0
        self._claimed_spares = 0
        self._parked: dict[ChildId, _Parked] = {}
        self._parking: list[str] = []
        self._leased: dict[ChildId, Child] = {}
        self._unlisted: dict[ChildId, str] = {}
        self._retiring: set[ChildId] = set()
        self._last_used: dict[str, float] = {}
        self.offered: tuple[OfferedModel, ...] = ()

    def __repr__(self) -> str:
        return f"Pool(parked {len(self._parked)}, leased {len(self._leased)})"

    async def __aenter__(self) -> "Pool":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        for child in [parked.child for parked in self._parked.values()]:
            self._retire(child)
        for child in list(self._leased.values()):
            child.interrupt()
            self._retire(child)
        while self._parking or self._retiring:
            await self._nursery.wait_idle()
        await self._nursery.cancel_all()

    def warm(self, model: str) -> None:
        """Treat ``model`` as used just now: a spare for it is started."""
        self._last_used[model] = steady_clock()
        self._replan()

    async def lease(self, model: str, *, is_listed: bool) -> Child:
        """Return a parked process for ``model``: a spare, else a new one.

        Give it back with ``give_back``, whatever happens. Raises Upstream when there is no CLI
        that may serve or it does not start, Overloaded when too many unlisted models hold
        processes already.
        """
        cli = await self._probe.current()
        if not is_listed:
            return await self._lease_unlisted(model, cli)
        self._last_used[model] = steady_clock()
        child = self._take_spare(model, cli)
        if child is None:
            child = await self._spawn_for_lease(self._next_id(), model, cli)
        self._leased[child.id] = child
        return child

    def give_back(self, child: Child) -> None:
        """Take a leased process back; its turn is over. It is ended in the background."""
        if child.session.offered:
            self.offered = child.session.offered
        if child.session.limit is not None:
            self._on_limit(child.session.limit)
        if child.id in self._leased:
            self._retire(child)
            self._replan()

    def change_limits(self, limits: SpareLimits) -> None:
        """Keep as many spares as ``limits`` says from now on."""
        self._limits = limits
        self._replan()

    def change_environment(self, environment: Mapping[str, str]) -> None:
        """Start processes with ``environment`` from now on, and replace the spares: they know the
        old login. Turns that run go on."""
        self._environment = environment
        for parked in list(self._parked.values()):
            self._retire(parked.child)
        self._replan()

    def statistics(self) -> PoolStatistics:
        """Return the counts of this moment."""
        parked: dict[str, int] = {}
        for entry in self._parked.values():
            parked[entry.child.model] = parked.get(entry.child.model, 0) + 1
        return PoolStatistics(
            parked=parked,
            leased=len(self._leased),
            retiring=len(self._retiring),
            spawned=self._spawned,
            claimed_spares=self._claimed_spares,
            failures_in_a_row=self._backoff.failures,
        )

    async def _lease_unlisted(self, model: str, cli: Cli) -> Child:
        held = set(self._unlisted.values()) | {model}
        if len(held) > MAX_UNLISTED_MODELS:
            raise Overloaded(
                f"{MAX_UNLISTED_MODELS} models that ocpd does not list are running already",
                code="too_many_unlisted_models",
                param="model",
                retry_after_s=5,
            )
        child_id = self._next_id()
        # Counted before it is there: another lease may come while this one starts.
        self._unlisted[child_id] = model
        try:
            child = await self._spawn_for_lease(child_id, model, cli)
        except BaseException:
            del self._unlisted[child_id]
            raise
        self._leased[child.id] = child
        return child

    async def _spawn_for_lease(self, child_id: ChildId, model: str, cli: Cli) -> Child:
        task = self._nursery.spawn(self._spawn(child_id, model, cli), f"spawn {child_id}")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # The caller left while the process started: nobody else knows of it.
            task.add_done_callback(self._retire_stray)
            raise

    def _retire_stray(self, task: asyncio.Task[Child]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._retire(task.result())

    def _next_id(self) -> ChildId:
        self._last_child += 1
        return ChildId(self._last_child)

    def _take_spare(self, model: str, cli: Cli) -> Child | None:
        for entry in list(self._parked.values()):
            child = entry.child
            if entry.cli.signature != cli.signature or entry.environment is not self._environment:
                # The CLI was updated on disk, or another login is in force: this one is of
                # yesterday.
                self._retire(child)
            elif child.model == model and child.session.state is State.PARKED:
                del self._parked[child.id]
                self._claimed_spares += 1
                return child
        return None

    async def _spawn(self, child_id: ChildId, model: str, cli: Cli) -> Child:
        try:
            spec = Spec(
                argv=build_argv(cli.path, model),
                environment=self._environment,
                directory=empty_directory(self._state_directory),
                model=model,
                sign_in=self._probe.sign_in,
            )
            child = await Child.spawn(child_id, spec, self._on_change)
        except OSError as error:
            self._backoff.fail(steady_clock())
            raise Upstream(
                "the Claude CLI could not be started",
                status=503,
                code="claude_cli_unusable",
                detail=f"{cli.path}: {error}",
            ) from error
        self._spawned += 1
        _log.debug("child_spawned", extra={"child": child.id, "pid": child.pid, "model": model})
        return child

    def _on_change(self, child: Child) -> None:
        if child.is_gone:
            self._parked.pop(child.id, None)
            # Also one that is not parked or leased yet: it did not live to see it.
            if not child.session.asked_upstream and child.id not in self._retiring:
                self._backoff.fail(steady_clock())
                _log.warning(
                    "child_died_early",
                    extra={
                        "child": child.id,
                        "model": child.model,
                        "stderr": child.stderr_tail[-500:],
                    },
                )
        else:
            # Its request is on its way. While the model thinks, the machine has time to start
            # the spare that takes its place; a moment later, so that it does not compete with
            # the first token on a small machine.
            self._backoff.succeed()
            asyncio.get_running_loop().call_later(REPLACE_AFTER_S, self._replan)
            return
        self._replan()

    def _replan(self) -> None:
        if self._is_closing:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        views = [SpareView(key, entry.child.model) for key, entry in self._parked.items()]
        # Those on their way count as parked; they have no number yet.
        views += [SpareView(ChildId(0), model) for model in self._parking]
        now = steady_clock()
        plan = plan_spares(
            views, self._last_used, self._limits, now=now, ready_at=self._backoff.ready_at()
        )
        for child_id in plan.stop:
            if child_id in self._parked:
                self._retire(self._parked[child_id].child)
        for model in plan.start:
            self._parking.append(model)
            self._nursery.spawn(self._park(model), f"park {model}")
        if plan.again_at is not None:
            delay_s = max(0.05, plan.again_at - now)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._replan)

    async def _park(self, model: str) -> None:
        environment = self._environment
        try:
            cli = await self._probe.current()
            child = await self._spawn(self._next_id(), model, cli)
        except Upstream as error:
            _log.warning("spare_not_started", extra={"model": model, "reason": error.message})
            # Without a CLI there is nothing to wait for here: the next lease looks again.
            self._last_used.pop(model, None)
            return
        finally:
            self._parking.remove(model)
        if not child.is_gone:
            self._parked[child.id] = _Parked(child, cli, environment)
        if self._is_closing:
            self._retire(child)
        # What was surplus while it was on its way can only be stopped now.
        self._replan()

    def _retire(self, child: Child) -> None:
        self._parked.pop(child.id, None)
        self._leased.pop(child.id, None)
        self._unlisted.pop(child.id, None)
        if child.id not in self._retiring:
            self._retiring.add(child.id)
            self._nursery.spawn(self._see_off(child), f"retire {child.id}")

    async def _see_off(self, child: Child) -> None:
        try:
            await retire(child, self._patience)
        finally:
            self._retiring.discard(child.id)
