"""Promise: nothing is charged beyond the plan but what ran when that was first said, and no class
takes more of the plan than it may."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpd.claude.limits import Sheet
from ocpd.claude.wire import PlanWindow, RateLimitInfo
from ocpd.dispatch.bookkeeping import does_count
from ocpd.dispatch.gate import Gate
from ocpd.dispatch.guard import WARNING, GuardState, PlanGuard
from ocpd.dispatch.job import Job
from ocpd.errors import OcpdError, Overloaded
from ocpd.pool.child import ignore_limit
from ocpd.sched.planguard import Mode, Rules, StopAt
from ocpd.store.store import Store
from ocpd.turn.caller import Caller
from ocpd.turn.events import Event, Failed, TextDelta, Usage
from ocpd.turn.outcome import TurnState
from tests.unit.claude.stage import ask
from tests.unit.dispatch.stage import GOOD, STARTED, Puppet, Scene
from tests.unit.http.stage import breathe
from tests.unit.store.stage import NOON, Clock, open_store, run

RESET = NOON + 7_200
STOP = Rules(mode=Mode.STOP)
CHARGED = RateLimitInfo(
    status="rejected",
    resetsAt=RESET,
    rateLimitType="five_hour",
    isUsingOverage=True,
    overageStatus="allowed",
    unifiedWindows={"five_hour": PlanWindow(1.0, RESET, "rejected")},
)


def at(share: float, status: str = "allowed") -> RateLimitInfo:
    windows = {"five_hour": PlanWindow(share, RESET, status)}
    return RateLimitInfo(status, RESET, "five_hour", unifiedWindows=windows)


class Talker(Puppet):
    """A puppet that can be asked about the plan."""

    on_limit: Callable[[RateLimitInfo], None] = staticmethod(ignore_limit)

    def fail(self, error: OcpdError) -> None:
        self.say(Failed(error))


def play(folder: Path, main: Any) -> None:
    async def whole() -> None:
        clock = Clock()
        async with open_store(folder, clock) as store:
            await main(store, clock)

    run(whole())


def refused(guard: PlanGuard, caller: Caller | None = None) -> Overloaded | None:
    try:
        guard.check(caller or Caller())
    except Overloaded as error:
        return error
    return None


def test_the_state_names_the_stopped_classes_and_ends_with_the_window(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        guard = PlanGuard(store.plan, STOP, clock=clock)
        assert guard.state() == GuardState("stop", True, None, ())
        guard.hear(at(0.91))
        spelled = "2023-11-15T14:00:00Z"
        stopped = [(s.role, s.window, s.percent, s.until) for s in guard.state().stopped]
        assert stopped == [
            ("user", "five_hour", 91, spelled),
            ("batch", "five_hour", 91, spelled),
        ]
        guard.rules = Rules()
        assert guard.state().stopped == ()
        guard.hear(CHARGED)
        assert guard.state() == GuardState("warn", True, spelled, ())
        clock.now = RESET
        assert guard.state().overage_until is None

    play(tmp_path, main)


def test_a_full_window_stops_a_class_until_it_begins_anew(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        guard = PlanGuard(store.plan, STOP, clock=clock)
        assert guard.hear(at(0.6)) is None
        assert refused(guard) is None
        error = refused(guard, Caller(role="batch"))
        assert error is not None
        assert (error.status, error.code, error.retry_after_s) == (429, "plan_guard", 7_200)
        assert error.headers == (("x-should-retry", "false"),)
        assert "60 %" in error.message
        assert "planStopAtBatch" in error.message
        clock.now = RESET
        assert refused(guard, Caller(role="batch")) is None
        assert guard.headers(Caller(role="batch")) == ()

    play(tmp_path, main)


def test_percents_are_not_lost_to_binary_fractions(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        guard = PlanGuard(store.plan, Rules(mode=Mode.STOP, stop_at=StopAt(user=29)), clock=clock)
        guard.hear(at(0.29))
        assert refused(guard) is not None

    play(tmp_path, main)


def test_a_warning_is_in_the_header_and_once_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(store: Store, clock: Clock) -> None:
        gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
        gate.guard.hear(at(0.5))
        assert WARNING not in dict(gate.headers(Caller()))
        for share in (0.82, 0.829):
            gate.guard.hear(at(share, "allowed_warning"))
            assert refused(gate.guard, Caller(role="batch")) is None
            assert dict(gate.headers(Caller()))[WARNING] == "five_hour 82%"
        gate.guard.rules = Rules(mode=Mode.OFF)
        assert WARNING not in dict(gate.headers(Caller()))

    with caplog.at_level(logging.WARNING, "ocpd.plan"):
        play(tmp_path, main)
    assert [record.message for record in caplog.records] == ["plan_is_filling"]


def test_extra_usage_refuses_everybody_until_the_reset(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(store: Store, clock: Clock) -> None:
        guard = PlanGuard(store.plan, Rules(mode=Mode.OFF), clock=clock)
        for _ in range(2):
            error = guard.hear(CHARGED)
            assert error is not None
            assert (error.status, error.code) == (429, "plan_overage")
            assert error.retry_after_s == 7_200
        again = refused(guard, Caller(role="owner"))
        assert again is not None
        assert again.code == "plan_overage"
        assert "planOnly" in again.message
        # What a slower turn heard before that does not open the door again.
        guard.hear(at(0.99))
        assert refused(guard) is not None
        clock.now = RESET
        assert refused(guard) is None

    with caplog.at_level(logging.WARNING, "ocpd.plan"):
        play(tmp_path, main)
    assert [record.message for record in caplog.records] == ["plan_overage"]


def test_without_a_known_reset_it_is_asked_again_after_five_minutes(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        guard = PlanGuard(store.plan, clock=clock)
        error = guard.hear(RateLimitInfo("allowed", isUsingOverage=True))
        assert error is not None
        assert error.retry_after_s == 300
        clock.now += 299
        assert refused(guard) is not None
        clock.now += 1
        assert refused(guard) is None

    play(tmp_path, main)


def test_extra_usage_is_remembered_while_it_is_allowed_and_over_a_restart(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        guard = PlanGuard(store.plan, Rules(plan_only=False), clock=clock)
        assert guard.hear(CHARGED) is None
        assert refused(guard) is None
        guard.rules = Rules()
        assert refused(guard) is not None

    async def later(store: Store, clock: Clock) -> None:
        guard = PlanGuard(store.plan, clock=clock)
        error = refused(guard)
        assert error is not None
        assert error.retry_after_s == 7_200

    play(tmp_path, main)
    play(tmp_path, later)


def test_a_plan_that_is_used_up_without_extra_usage_is_the_upstreams_to_refuse(
    tmp_path: Path,
) -> None:
    async def main(store: Store, clock: Clock) -> None:
        guard = PlanGuard(store.plan, clock=clock)
        guard.hear(msgspec.structs.replace(at(1.0, "rejected"), overageStatus="rejected"))
        assert refused(guard) is None

    play(tmp_path, main)


# In the hall.


def job(role: str = "user") -> Job:
    return Job(ask(), Sheet(), caller=Caller(role=role))


async def collect(scene: Scene, into: list[Event]) -> None:
    async with aclosing(scene.hall.run(job(), "test")) as batches:
        async for batch in batches:
            into.extend(batch)


def test_a_turn_that_is_charged_extra_is_interrupted_and_its_process_ended(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
        puppet = Talker(1, [STARTED, TextDelta("He")])
        puppet.heard = (Usage(input_tokens=3, output_tokens=1), 2)
        scene = Scene(puppet, gate=gate)
        heard: list[Event] = []
        async with scene.hall, asyncio.TaskGroup() as group:
            group.create_task(collect(scene, heard))
            await breathe()
            puppet.on_limit(CHARGED)
            await breathe()
            puppet.settle()
        (failed,) = [event for event in heard if isinstance(event, Failed)]
        assert failed.error.code == "plan_overage"
        assert puppet.interrupts == 1
        assert puppet.on_limit is ignore_limit
        # A new process says it again; one that has said it may not.
        assert scene.puppets.memories == [None]
        (outcome,) = scene.closed
        assert outcome.state is TurnState.FAILED
        # What it said was charged, and counts.
        assert does_count(outcome)
        assert outcome.usage.prompt_tokens == 3
        scene.assert_at_rest()

    play(tmp_path, main)


def test_a_caller_that_takes_nothing_keeps_no_charged_turn_running(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
        puppet = Talker(1, [STARTED, TextDelta("He")])
        scene = Scene(puppet, gate=gate)
        async with scene.hall, aclosing(scene.hall.run(job(), "test")) as batches:
            await anext(batches)
            puppet.on_limit(CHARGED)
            assert puppet.interrupts == 1
            puppet.settle()
            (failed,) = await anext(batches)
            assert isinstance(failed, Failed)
        assert scene.puppets.memories == [None]

    play(tmp_path, main)


def test_what_is_said_after_the_answer_counts_for_the_next_turn_only(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
        puppet = Talker(1, GOOD)
        scene = Scene(puppet, Talker(2, GOOD), gate=gate)
        heard: list[Event] = []
        async with scene.hall:
            await collect(scene, heard)
            puppet.on_limit(CHARGED)
            puppet.settle()
            await scene.hall.wait_idle()
            assert heard == list(GOOD)
            with pytest.raises(Overloaded, match="planOnly"):
                await collect(scene, heard)
        assert [outcome.state for outcome in scene.closed] == [
            TurnState.FINISHED,
            TurnState.REFUSED,
        ]

    play(tmp_path, main)


def test_who_waited_in_the_queue_is_judged_again(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
        first, second = Talker(1, [STARTED, TextDelta("He")]), Talker(2, GOOD)
        scene = Scene(first, second, places=1, gate=gate)
        heard: list[Event] = []

        async def wait() -> None:
            with pytest.raises(Overloaded, match="planOnly"):
                await collect(scene, [])

        async with scene.hall, asyncio.TaskGroup() as group:
            group.create_task(collect(scene, heard))
            await breathe()
            group.create_task(wait())
            await breathe()
            first.on_limit(CHARGED)
            first.settle()
        assert len(scene.puppets.leased) == 1
        assert second.claimed == []
        scene.assert_at_rest()

    play(tmp_path, main)


def test_who_waited_for_a_process_is_judged_again(tmp_path: Path) -> None:
    async def main(store: Store, clock: Clock) -> None:
        gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
        puppet = Talker(1, GOOD)
        scene = Scene(puppet, gate=gate)
        lease = scene.puppets.lease

        async def lease_late(*args: Any, **more: Any) -> Any:
            gate.guard.hear(CHARGED)
            return await lease(*args, **more)

        scene.puppets.lease = lease_late  # type: ignore[method-assign]
        async with scene.hall:
            with pytest.raises(Overloaded, match="planOnly"):
                await collect(scene, [])
        assert puppet.claimed == []
        assert scene.puppets.returned == [puppet]
        scene.assert_at_rest()

    play(tmp_path, main)
