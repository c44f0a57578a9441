"""Promise: no key gets more than it may, also at the start, after a crash and after a restore; and
nobody else is held up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpd.claude.limits import Sheet
from ocpd.dispatch.bookkeeping import does_count, usage_row
from ocpd.dispatch.gate import MOST_ADDRESSES, AnonymousQuota, Gate, block_of
from ocpd.dispatch.job import Job
from ocpd.errors import OcpdError, Overloaded, QuotaExceeded, Refused, Upstream
from ocpd.store.store import Store
from ocpd.turn.caller import Caller, Kind
from ocpd.turn.events import Event, Failed, TextDelta, Usage
from ocpd.turn.outcome import Outcome, TurnState
from ocpd.turn.request import TurnId
from tests.unit.claude.stage import MODEL, ask
from tests.unit.dispatch.stage import GOOD, STARTED, Puppet, Scene
from tests.unit.http.stage import breathe
from tests.unit.store.stage import DAY_S, NOON, Clock, make_row, open_store, run

LAPTOP = Caller("laptop", 1, key_stamp="then", kind=Kind.KEY)
ANYBODY = Caller("anonymous", kind=Kind.ANONYMOUS, address="203.0.113.7")


class Door:
    """A gate over a store, and the end of each turn as the house tells it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
        self._count = 0

    def job(self, caller: Caller = LAPTOP) -> Job:
        self._count += 1
        turn = msgspec.structs.replace(ask(), id=TurnId(f"turn {self._count}"))
        return Job(turn, Sheet(), caller=caller, prompt_chars=400)

    async def enter(self, caller: Caller = LAPTOP) -> Job:
        job = self.job(caller)
        await self.gate.enter(job)
        return job

    async def try_enter(self, caller: Caller = LAPTOP) -> Job | OcpdError:
        try:
            return await self.enter(caller)
        except OcpdError as error:
            return error

    def end(
        self, job: Job, state: TurnState = TurnState.FINISHED, usage: Usage | None = None
    ) -> None:
        outcome = Outcome(job.turn.id, "test", MODEL, 0.0, caller=job.caller, closed_at=1.0)
        outcome.usage = usage or Usage(input_tokens=10, output_tokens=5)
        outcome.cost_usd = 0.25
        outcome.open_attempt(1, 0.0)
        outcome.state = state
        self.store.usage.record(usage_row(outcome, self.clock.now), counted=does_count(outcome))
        self.gate.settle(outcome)


@asynccontextmanager
async def open_door(
    folder: Path, clock: Clock | None = None, **limits: float | None
) -> AsyncIterator[Door]:
    """The first time, with a key; ``requests_daily=3`` is a limit of it."""
    clock = clock or Clock()
    async with open_store(folder, clock) as store:
        if not store.keys.list():
            await store.keys.add("laptop")
        changes = {tuple(name.rsplit("_", 1)): amount for name, amount in limits.items()}
        await store.quotas.set(1, changes)  # type: ignore[arg-type]
        yield Door(store, clock)


def play(folder: Path, main: Any, **limits: float | None) -> None:
    async def whole() -> None:
        async with open_door(folder, **limits) as door:
            await main(door)

    run(whole())


def test_two_hundred_at_once_get_exactly_what_there_is(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        door.store.usage.record(make_row(at=NOON, key_id=1, key_name="laptop"))
        told = await asyncio.gather(*(door.try_enter() for _ in range(200)))
        got = [one for one in told if isinstance(one, Job)]
        assert len(got) == 49
        assert all(isinstance(one, Job | QuotaExceeded) for one in told)
        assert door.gate.count_running(1) == 49
        for number, job in enumerate(got):
            door.end(job, TurnState.FINISHED if number % 2 else TurnState.FAILED)
        assert door.gate.count_running(1) == 0
        more = await asyncio.gather(*(door.try_enter() for _ in range(200)))
        assert sum(isinstance(one, Job) for one in more) == 25

    play(tmp_path, main, requests_daily=50)


def test_a_crash_forgets_what_ran_and_nothing_else(tmp_path: Path) -> None:
    async def before(door: Door) -> None:
        jobs = [await door.enter() for _ in range(10)]
        for job in jobs[:4]:
            door.end(job)

    async def after(door: Door) -> None:
        told = [await door.try_enter() for _ in range(10)]
        assert sum(isinstance(one, Job) for one in told) == 6

    play(tmp_path, before, requests_daily=10)
    play(tmp_path, after)


def test_a_restore_brings_another_past_and_keeps_what_runs(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        backup = await door.store.backup()
        door.end(await door.enter())
        door.end(await door.enter())
        running = await door.enter()
        assert isinstance(await door.try_enter(), QuotaExceeded)
        await door.store.restore(backup)
        await door.enter()
        await door.enter()
        assert isinstance(await door.try_enter(), QuotaExceeded)
        door.end(running)
        assert isinstance(await door.try_enter(), QuotaExceeded)

    play(tmp_path, main, requests_daily=3)


def test_limits_count_from_the_moment_they_are_set(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        door.end(await door.enter())
        running = await door.enter()
        await door.store.quotas.set(1, {("requests", "weekly"): 2})
        assert isinstance(await door.try_enter(), QuotaExceeded)
        door.end(running)
        assert isinstance(await door.try_enter(), QuotaExceeded)
        await door.store.quotas.set(1, {("requests", "weekly"): None})
        await door.enter()

    play(tmp_path, main)


def test_a_turn_that_ends_while_the_past_is_read_counts_once(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        running = await door.enter()
        await door.store.quotas.set(1, {("requests", "daily"): 2})
        first = asyncio.get_running_loop().create_task(door.try_enter())
        await breathe()
        door.end(running)
        assert isinstance(await first, Job)
        assert isinstance(await door.try_enter(), QuotaExceeded)

    play(tmp_path, main)


def test_who_leaves_while_the_past_is_read_holds_up_nobody(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        may_read, read = asyncio.Event(), door.store.usage.history

        async def read_later(*asked: Any) -> Any:
            await may_read.wait()
            return await read(*asked)

        door.store.usage.history = read_later  # type: ignore[method-assign]
        first, second = (asyncio.get_running_loop().create_task(door.try_enter()) for _ in range(2))
        await breathe()
        first.cancel()
        may_read.set()
        assert isinstance(await second, Job)
        assert door.gate.count_running(1) == 1

    play(tmp_path, main, requests_daily=1)


def test_an_unreadable_past_is_no_leave_to_pass(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_door(tmp_path, requests_daily=1) as door:
            pass
        no = await door.try_enter()
        assert isinstance(no, Overloaded)
        assert (no.status, no.code) == (503, "store_unavailable")

    run(main())


def test_what_failed_gives_its_place_back_and_what_was_cut_short_does_not(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        door.end(await door.enter(), TurnState.FAILED)
        door.end(await door.enter(), TurnState.REFUSED)
        door.end(await door.enter(), TurnState.CANCELLED, Usage())
        door.end(await door.enter(), TurnState.CANCELLED)
        no = await door.try_enter()
        assert isinstance(no, QuotaExceeded)
        assert no.quota is not None
        assert (no.quota.used, no.quota.limit, no.quota.resets_in) == (1, 1, "12h 0m")

    play(tmp_path, main, requests_daily=1)


def test_a_prompt_and_its_answer_are_set_aside_together(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        running = await door.enter()
        no = await door.try_enter()
        assert isinstance(no, QuotaExceeded)
        assert no.quota is not None
        assert no.quota.used == 100 + 4_096
        door.end(running)
        await door.enter()

    play(tmp_path, main, tokens_lifetime=1_000)


def test_a_refusal_and_an_answer_have_headers(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        assert door.gate.headers(LAPTOP) == ()
        door.end(await door.enter())
        await door.enter()
        told = dict(door.gate.headers(LAPTOP))
        assert told["x-ratelimit-limit-requests"] == "2"
        assert told["x-ratelimit-remaining-requests"] == "0"
        assert told["x-ratelimit-reset-requests"] == "12h0m0s"
        assert told["x-ratelimit-limit-tokens"] == "90000"
        no = await door.try_enter()
        assert isinstance(no, QuotaExceeded)
        assert set(told) <= {name for name, _ in no.headers}

    play(tmp_path, main, requests_daily=2, tokens_monthly=90_000)


def test_who_has_no_quota_reads_how_the_plan_stands(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        door.store.plan.note("five_hour", 0.25, NOON + 60, "allowed", NOON)
        for caller in (LAPTOP, Caller(), ANYBODY):
            await door.enter(caller)
            assert dict(door.gate.headers(caller))["x-ratelimit-remaining-requests"] == "75"

    play(tmp_path, main)


def test_a_model_that_a_key_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        other = msgspec.structs.replace(LAPTOP, models=("claude-other",))
        no = await door.try_enter(other)
        assert isinstance(no, Refused)
        assert (no.status, no.code, no.param) == (403, "model_not_allowed", "model")
        assert repr(MODEL) in no.message
        assert "claude-other" in no.message
        await door.enter(msgspec.structs.replace(LAPTOP, models=(MODEL,)))

    play(tmp_path, main)


def test_who_has_no_key_has_no_quota(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        for caller in (Caller(), Caller("admin", kind=Kind.ADMIN), ANYBODY):
            for _ in range(3):
                await door.enter(caller)
        assert repr(door.gate) == "Gate(Meter(0 accounts, 0 open))"

    play(tmp_path, main, requests_lifetime=0)


def test_the_anonymous_share_one_quota_that_outlives_a_restart(tmp_path: Path) -> None:
    async def before(door: Door) -> None:
        door.gate.anonymous = AnonymousQuota(3)
        door.end(await door.enter(ANYBODY))
        door.end(await door.enter(msgspec.structs.replace(ANYBODY, address="::1")))

    async def after(door: Door) -> None:
        door.gate.anonymous = AnonymousQuota(3)
        await door.enter(ANYBODY)
        no = await door.try_enter(ANYBODY)
        assert isinstance(no, QuotaExceeded)
        assert "anonymousQuota" in no.message
        door.gate.anonymous = None
        await door.enter(ANYBODY)

    play(tmp_path, before)
    play(tmp_path, after)


def test_addresses_can_have_their_own_and_are_forgotten_on_the_next_day(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        door.gate.anonymous = AnonymousQuota(1, each=True)
        other = msgspec.structs.replace(ANYBODY, address="198.51.100.1")
        for caller in (ANYBODY, other):
            door.end(await door.enter(caller))
            assert isinstance(await door.try_enter(caller), QuotaExceeded)
        door.clock.now += DAY_S
        door.end(await door.enter(ANYBODY))
        assert repr(door.gate) == "Gate(Meter(1 accounts, 0 open))"

    play(tmp_path, main)


def test_a_crowd_of_addresses_fills_no_memory(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        door.gate.anonymous = AnonymousQuota(1, each=True)
        for number in range(MOST_ADDRESSES + 5):
            await door.try_enter(msgspec.structs.replace(ANYBODY, address=f"place {number}"))
        assert f"{MOST_ADDRESSES + 1} accounts" in repr(door.gate)

    play(tmp_path, main)


def test_a_hall_gives_back_whatever_becomes_of_a_turn(tmp_path: Path) -> None:
    async def hear(scene: Scene, job: Job) -> list[Event]:
        async with aclosing(scene.hall.run(job, "test")) as batches:
            return [event async for batch in batches for event in batch]

    async def main(door: Door) -> None:
        good, cut = Puppet(1, GOOD), Puppet(4, [STARTED, TextDelta("a")])
        broken = Puppet(2, [STARTED, Failed(Upstream("it broke"))])
        row = (good, broken, Overloaded("no process"), cut)
        for puppet in (good, broken, cut):
            puppet.settle()
        scene = Scene(*row, places=1, waiting=0, gate=door.gate)
        loop = asyncio.get_running_loop()
        async with scene.hall:
            for _ in range(2):
                await hear(scene, door.job())
                await scene.hall.wait_idle()
            with pytest.raises(Overloaded, match="no process"):
                await hear(scene, door.job())
            await scene.hall.wait_idle()
            going = loop.create_task(hear(scene, door.job()))
            await breathe()
            # The queue is full.
            with pytest.raises(Overloaded, match="waiting"):
                await hear(scene, door.job())
            assert door.gate.count_running(1) == 1
            going.cancel()
            await asyncio.wait([going])
            await scene.hall.wait_idle()
            # One was answered, one was begun.
            told = dict(scene.hall.quota_headers(door.job()))
            assert told["x-ratelimit-remaining-requests"] == "1"
            await door.enter()
            with pytest.raises(QuotaExceeded):
                await hear(scene, door.job())
        assert door.gate.count_running(1) == 1
        scene.assert_at_rest()
        assert scene.closed[-1].state is TurnState.REFUSED

    play(tmp_path, main, requests_daily=3)


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("uid 1000", "uid 1000"),
    ],
)
def test_a_household_is_told_by_half_of_a_long_address(address: str, block: str) -> None:
    assert block_of(address) == block


def test_a_check_says_what_an_entrance_would_and_sets_nothing_aside(tmp_path: Path) -> None:
    async def main(door: Door) -> None:
        for _ in range(5):
            await door.gate.check(door.job())
        assert door.gate.count_running(1) == 0
        for _ in range(2):
            door.end(await door.enter())
        with pytest.raises(QuotaExceeded):
            await door.gate.check(door.job())
        wanting = msgspec.structs.replace(LAPTOP, models=("another",))
        with pytest.raises(Refused, match="may not use the model"):
            await door.gate.check(door.job(wanting))

    play(tmp_path, main, requests_daily=2, requests_minute=2)
