"""Promise: one turn for equal requests, one answer for all of them, and none that is not theirs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpd.dispatch.encore import HIT, MISS, Encore
from ocpd.dispatch.gate import Gate
from ocpd.dispatch.job import Job, TimeLimits
from ocpd.errors import OcpdError, Overloaded, QuotaExceeded, Upstream
from ocpd.store.cache import Cached
from ocpd.turn.caller import Caller, Kind
from ocpd.turn.events import Event, Failed, Finished, StopReason, TextDelta
from ocpd.turn.outcome import TurnState
from tests.unit.claude.stage import user
from tests.unit.dispatch.stage import FINISHED, GOOD, STARTED, USAGE, Puppet, Scene, job
from tests.unit.http.stage import breathe, run
from tests.unit.store.stage import Clock, open_store

BROKEN = Failed(Upstream("it broke", code="broke_off"))


class Table:
    """A cache made of a dict. Cleared ``may_write`` holds up writers."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.asked: list[float] = []
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def get(self, digest: str, *, max_age_s: float) -> Cached | None:
        self.asked.append(max_age_s)
        await self.may_read.wait()
        value = self.kept.get(digest)
        return None if value is None else Cached(value, "", 0.0, 0)

    async def put(self, digest: str, value: bytes, model: str) -> bool:
        await self.may_write.wait()
        self.kept[digest] = value
        return True


class Guest:
    """One caller and what he hears."""

    def __init__(self, stage: "Stage", one: Job) -> None:
        self.notes: list[str] = []
        self.events: list[Event] = []
        self.error: OcpdError | None = None
        self._stage = stage
        self._job = one
        self.task = asyncio.get_running_loop().create_task(self._hear())

    async def _hear(self) -> None:
        try:
            async with aclosing(
                self._stage.encore.run(self._job, "test", self.notes.append)
            ) as batches:
                async for batch in batches:
                    self.events += batch
        except OcpdError as error:
            self.error = error

    async def heard(self) -> str:
        """All the text, once it is told."""
        await self.task
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


class Stage:
    """A scene with an encore, and callers in front."""

    def __init__(
        self,
        *row: Puppet | OcpdError,
        gate: Gate | None = None,
        places: int = 2,
        waiting: int = 1,
        limits: TimeLimits | None = None,
    ) -> None:
        self.scene = Scene(*row, gate=gate, places=places, waiting=waiting, limits=limits)
        self.table = Table()
        self.max_age_s = 60.0
        self.encore = Encore(self.scene.hall, self.table, lambda: self.max_age_s)

    def call(self, caller: Caller | None = None, **changes: Any) -> Guest:
        plain = job()
        turn = msgspec.structs.replace(plain.turn, **changes)
        return Guest(self, msgspec.structs.replace(plain, turn=turn, caller=caller or Caller()))

    async def idle(self) -> None:
        await self.encore.wait_idle()
        await self.scene.hall.wait_idle()

    @property
    def turns(self) -> int:
        return len(self.scene.puppets.leased)


def puppets(count: int, *batches: list[Event]) -> list[Puppet]:
    row = [Puppet(number + 1, *batches) for number in range(count)]
    for puppet in row:
        puppet.settle()
    return row


@asynccontextmanager
async def open_stage(*row: Puppet | OcpdError, **more: Any) -> AsyncIterator[Stage]:
    stage = Stage(*row, **more)
    async with stage.scene.hall, stage.encore:
        yield stage
        await stage.idle()
    stage.scene.assert_at_rest()
    assert stage.encore.crowd() == (0, 0)
    assert repr(stage.encore) == "Encore((0, 0))"


def test_an_answer_is_made_once_and_given_again() -> None:
    async def main() -> None:
        async with open_stage(*puppets(1, list(GOOD))) as stage:
            first = stage.call()
            assert await first.heard() == "Hello"
            await stage.idle()
            again = stage.call(stream=True)
            assert await again.heard() == "Hello"
            assert (first.notes, again.notes) == ([MISS], [HIT])
            assert again.events == list(GOOD)
            # In no book, and no attempt.
            assert [outcome.state for outcome in stage.scene.closed] == [TurnState.FINISHED]
            assert stage.turns == 1

    run(main())


def test_while_it_is_off_every_turn_runs_and_nothing_is_kept() -> None:
    async def main() -> None:
        async with open_stage(*puppets(2, list(GOOD))) as stage:
            stage.max_age_s = 0.0
            guests = [stage.call(), stage.call()]
            assert [await guest.heard() for guest in guests] == ["Hello"] * 2
            assert [guest.notes for guest in guests] == [[], []]
            assert stage.turns == 2
        assert (stage.table.kept, stage.table.asked) == ({}, [])

    run(main())


@pytest.mark.parametrize(
    "changes", [{"session": "mine"}, {"has_cache_control": True}, {"own_tools": ("Read",)}]
)
def test_what_is_for_once_runs_each_time(
    changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def main() -> None:
        async with open_stage(*puppets(2, list(GOOD))) as stage:
            for guest in (stage.call(**changes), stage.call(**changes)):
                assert await guest.heard() == "Hello"
                assert guest.notes == []
            assert stage.turns == 2
        assert stage.table.kept == {}

    run(main())
    skipped = [record for record in caplog.records if record.message == "cache_skipped"]
    assert len(skipped) == (2 if "has_cache_control" in changes else 0)


def test_another_caller_gets_an_answer_of_his_own() -> None:
    async def main() -> None:
        one, other = puppets(2)
        one.say(STARTED, TextDelta("One."), FINISHED)
        other.say(STARTED, TextDelta("Other."), FINISHED)
        async with open_stage(one, other) as stage:
            first = stage.call(Caller("a", 1, kind=Kind.KEY))
            second = stage.call(Caller("b", 2, kind=Kind.KEY))
            assert [await first.heard(), await second.heard()] == ["One.", "Other."]

    run(main())


@pytest.mark.parametrize(
    "batch",
    [
        [STARTED, TextDelta("Hel"), Finished(StopReason.MAX_TOKENS, USAGE)],
        [STARTED, TextDelta("No."), Finished(StopReason.REFUSAL, USAGE)],
        [STARTED, FINISHED],
        [STARTED, TextDelta("Hel"), BROKEN],
    ],
)
def test_what_is_no_whole_success_is_not_kept(batch: list[Event]) -> None:
    async def main() -> None:
        async with open_stage(*puppets(1, batch)) as stage:
            guest = stage.call()
            await guest.heard()
            assert guest.notes == [MISS]
        assert stage.table.kept == {}

    run(main())


def test_what_was_kept_and_cannot_be_read_is_made_again() -> None:
    async def main() -> None:
        async with open_stage(*puppets(2, list(GOOD))) as stage:
            await stage.call().heard()
            await stage.idle()
            (key,) = stage.table.kept
            stage.table.kept[key] = b"{}"
            again = stage.call()
            assert await again.heard() == "Hello"
            assert (again.notes, stage.turns) == ([MISS], 2)

    run(main())


def test_equal_requests_at_once_are_one_turn() -> None:
    async def main() -> None:
        puppet = Puppet(1, [STARTED], [TextDelta("Hel")])
        async with open_stage(puppet) as stage:
            guests = [stage.call(stream=number % 2 == 0) for number in range(20)]
            await breathe()
            assert stage.encore.crowd() == (1, 19)
            # Only the one who has the turn hears it as it comes.
            assert guests[0].events
            assert not any(guest.events for guest in guests[1:])
            puppet.say(TextDelta("lo"), FINISHED)
            puppet.settle()
            assert {await guest.heard() for guest in guests} == {"Hello"}
            assert [guest.notes for guest in guests] == [[MISS], *[[HIT]] * 19]
            assert stage.turns == 1

    run(main())


def test_until_it_is_written_an_answer_is_found_all_the_same() -> None:
    async def main() -> None:
        async with open_stage(*puppets(1, list(GOOD))) as stage:
            stage.table.may_write.clear()
            await stage.call().heard()
            assert stage.table.kept == {}
            assert stage.encore.crowd() == (0, 0)
            late = stage.call()
            assert (await late.heard(), late.notes) == ("Hello", [HIT])
            stage.table.may_write.set()
            await stage.idle()
            last = stage.call()
            assert (await last.heard(), last.notes) == ("Hello", [HIT])

    run(main())


def test_who_comes_while_the_store_is_asked_shares_what_is_found() -> None:
    async def main() -> None:
        async with open_stage(*puppets(1, list(GOOD))) as stage:
            await stage.call().heard()
            await stage.idle()
            stage.table.may_read.clear()
            guests = [stage.call(), stage.call()]
            await breathe()
            stage.table.may_read.set()
            assert [await guest.heard() for guest in guests] == ["Hello"] * 2
            assert [guest.notes for guest in guests] == [[HIT]] * 2
            assert len(stage.table.asked) == 2

    run(main())


@pytest.mark.parametrize("at_once", [True, False])
def test_a_failure_is_everybodys(at_once: bool) -> None:
    async def main() -> None:
        puppet = Puppet(1)
        row: Puppet | OcpdError = Overloaded("no process") if at_once else puppet
        async with open_stage(row, *puppets(1, list(GOOD))) as stage:
            stage.table.may_read.clear()
            guests = [stage.call() for _ in range(3)]
            await breathe()
            stage.table.may_read.set()
            puppet.say(STARTED, TextDelta("Hel"), BROKEN)
            puppet.settle()
            for guest in guests:
                await guest.task
            if at_once:
                assert isinstance(guests[0].error, Overloaded)
            else:
                assert BROKEN in guests[0].events
            expected = Failed(guests[0].error) if guests[0].error else BROKEN
            assert all(guest.events == [expected] for guest in guests[1:])
            assert stage.turns == 1
            # It is over: who comes now has another try.
            assert await stage.call().heard() == "Hello"

    run(main())


def test_if_the_leader_leaves_the_next_one_leads_and_nobody_else_runs() -> None:
    async def main() -> None:
        first, second = Puppet(1, [STARTED, TextDelta("Half of")]), Puppet(2)
        async with open_stage(first, second) as stage:
            leader, heir, *others = [stage.call() for _ in range(5)]
            await breathe()
            first.settle()
            await leader.leave()
            await breathe()
            assert (first.interrupts, stage.turns) == (1, 2)
            assert stage.encore.crowd() == (1, 3)
            second.say(*GOOD)
            second.settle()
            assert {await guest.heard() for guest in (heir, *others)} == {"Hello"}
            assert heir.notes == [MISS]
            assert all(guest.notes == [HIT] for guest in others)

    run(main())


def test_an_heir_has_a_place_where_no_queue_would_have_let_him_wait_for_one() -> None:
    async def main() -> None:
        first, second = Puppet(1, [STARTED]), Puppet(2, list(GOOD))
        async with open_stage(first, second, places=1, waiting=0) as stage:
            leader, heir = stage.call(), stage.call()
            await breathe()
            await leader.leave()
            await breathe()
            # The place is not free yet: the turn that had it is being settled.
            assert stage.turns == 1
            stranger = stage.call(Caller("other", 2, kind=Kind.KEY))
            await stranger.task
            assert isinstance(stranger.error, Overloaded)
            first.settle()
            second.settle()
            assert await heir.heard() == "Hello"
            assert stage.turns == 2

    run(main())


def test_nobody_waits_for_ever_for_a_leader_that_takes_nothing() -> None:
    async def main() -> None:
        first, second = Puppet(1, [STARTED, TextDelta("Hel")]), Puppet(2, list(GOOD))
        async with open_stage(first, second, limits=TimeLimits(0.02, 0.02)) as stage:
            stage.scene.admission.wait_s = 0.02
            first.settle()
            second.settle()
            plain = job()
            async with aclosing(stage.encore.run(plain, "test")) as batches:
                await anext(batches)
                # He is busy with that, and his turn is over long since.
                other = stage.call()
                await other.task
                assert isinstance(other.error, Upstream)
                assert (other.error.status, other.error.code) == (504, "timeout")
                # Who comes now has a turn of his own.
                assert await stage.call().heard() == "Hello"

    run(main())


def test_those_who_leave_while_they_wait_lead_nothing() -> None:
    async def main() -> None:
        first, second = Puppet(1, [STARTED]), Puppet(2, list(GOOD))
        async with open_stage(first, second) as stage:
            leader, gone, heir = (stage.call() for _ in range(3))
            await breathe()
            await gone.leave()
            assert stage.encore.crowd() == (1, 1)
            first.settle()
            second.settle()
            await leader.leave()
            assert await heir.heard() == "Hello"

    run(main())


def test_a_lead_that_comes_while_its_heir_leaves_goes_on_to_the_next() -> None:
    async def main() -> None:
        first, second = Puppet(1, [STARTED]), Puppet(2, list(GOOD))
        async with open_stage(first, second) as stage:
            leader, gone, heir = (stage.call() for _ in range(3))
            await breathe()
            first.settle()
            second.settle()
            # The first step tells the second to lead, who would hear it in the third.
            leader.task.cancel()
            asyncio.get_running_loop().call_soon(gone.task.cancel)
            assert await heir.heard() == "Hello"
            await asyncio.wait([gone.task])
            assert gone.task.cancelled()
            assert stage.turns == 2

    run(main())


def test_if_all_leave_nothing_is_left() -> None:
    async def main() -> None:
        puppet = Puppet(1, [STARTED])
        async with open_stage(puppet) as stage:
            guests = [stage.call() for _ in range(3)]
            await breathe()
            puppet.settle()
            for guest in reversed(guests):
                await guest.leave()
        assert stage.turns == 1

    run(main())


def test_who_has_used_up_his_quota_gets_no_answer_of_any_kind(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        async with open_store(tmp_path, clock) as store:
            await store.keys.add("laptop")
            await store.quotas.set(1, {("requests", "daily"): 2})
            gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
            holder = Caller("laptop", 1, key_stamp="then", kind=Kind.KEY)
            async with open_stage(*puppets(1, list(GOOD)), gate=gate) as stage:
                made = stage.call(holder)
                assert await made.heard() == "Hello"
                await stage.idle()
                for _ in range(3):
                    # It was used up by none of these.
                    kept = stage.call(holder)
                    assert (await kept.heard(), kept.notes) == ("Hello", [HIT])
                assert gate.count_running(1) == 0
                await store.quotas.set(1, {("requests", "daily"): 1})
                refused = stage.call(holder)
                await refused.task
                assert isinstance(refused.error, QuotaExceeded)
                assert refused.notes == []
                # That one is in the books, as ever.
                assert stage.scene.closed[-1].state is TurnState.REFUSED
                assert stage.turns == 1

    run(main())


def test_a_turn_of_other_words_is_another_one() -> None:
    async def main() -> None:
        async with open_stage(*puppets(2, list(GOOD))) as stage:
            guests = [stage.call(), stage.call(messages=(user("something else"),))]
            for guest in guests:
                await guest.heard()
                assert guest.notes == [MISS]
            assert stage.turns == 2

    run(main())
