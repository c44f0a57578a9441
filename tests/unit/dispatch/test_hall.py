"""Promise: one Outcome per turn whatever happens, one retry and only of silence, nothing kept."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from ocpd.claude.limits import Sheet
from ocpd.dispatch.bookkeeping import does_count
from ocpd.dispatch.gate import Gate
from ocpd.dispatch.hall import MAX_ATTEMPTS
from ocpd.dispatch.job import Job, TimeLimits
from ocpd.errors import Bug, HistoryRefused, Overloaded, Upstream
from ocpd.turn.events import Event, Failed, Finished, TextDelta, Usage
from ocpd.turn.outcome import TurnState
from tests.unit.claude.stage import ask, assistant, user
from tests.unit.dispatch.stage import (
    FINISHED,
    GOOD,
    SETTLED,
    STARTED,
    STILLBORN,
    USAGE,
    Puppet,
    Scene,
    job,
)
from tests.unit.http.stage import breathe, run
from tests.unit.store.stage import Clock, open_store

BROKEN = Failed(Upstream("it broke"))


async def hear(scene: Scene) -> list[Event]:
    async with aclosing(scene.hall.run(job(), "test")) as batches:
        return [event async for batch in batches for event in batch]


def states(scene: Scene) -> list[TurnState]:
    return [outcome.state for outcome in scene.closed]


def test_a_good_turn_is_heard_in_order_and_settled_behind_the_callers_back() -> None:
    async def main() -> None:
        puppet = Puppet(1, [STARTED], [TextDelta("Hello")], [FINISHED])
        scene = Scene(puppet)
        async with scene.hall:
            assert await hear(scene) == list(GOOD)
            # The caller has all he wanted; the place is still held.
            assert scene.admission.statistics().running == 1
            puppet.settle(SETTLED)
            await scene.hall.wait_idle()
        scene.assert_at_rest()
        (outcome,) = scene.closed
        assert (outcome.state, outcome.usage, outcome.cost_usd) == (
            TurnState.FINISHED,
            USAGE,
            0.25,
        )
        assert outcome.admitted_at is not None
        assert puppet.interrupts == 0
        assert scene.puppets.returned == [puppet]

    run(main())


def test_a_finished_turn_stays_finished_whatever_comes_after() -> None:
    async def main() -> None:
        puppet = Puppet(1, GOOD)
        scene = Scene(puppet)
        async with scene.hall:
            await hear(scene)
            puppet.settle(BROKEN, SETTLED)
            await scene.hall.wait_idle()
        assert states(scene) == [TurnState.FINISHED]
        assert scene.closed[0].cost_usd == SETTLED.cost_usd
        assert scene.closed[0].error is None

    run(main())


def test_a_child_that_dies_in_silence_is_replaced_once() -> None:
    async def main() -> None:
        first, second = Puppet(1, [STILLBORN]), Puppet(2, GOOD)
        scene = Scene(first, second)
        async with scene.hall:
            assert await hear(scene) == list(GOOD)
            second.settle()
        scene.assert_at_rest()
        (outcome,) = scene.closed
        assert [attempt.child for attempt in outcome.attempts] == [1, 2]
        assert scene.puppets.returned == [first, second]
        assert scene.ledger.statistics().attempts == 2

    run(main())


def test_a_message_that_began_and_said_nothing_is_silence_too() -> None:
    async def main() -> None:
        first, second = Puppet(1, [STARTED], [STILLBORN]), Puppet(2, GOOD)
        scene = Scene(first, second)
        async with scene.hall:
            assert await hear(scene) == list(GOOD)
            second.settle()
        assert scene.puppets.afresh == [False, True]

    run(main())


def test_a_caller_that_takes_nothing_does_not_hold_a_place_when_the_answer_is_there() -> None:
    async def main() -> None:
        puppet = Puppet(1, GOOD)
        scene = Scene(puppet)
        async with scene.hall, aclosing(scene.hall.run(job(), "test")) as batches:
            assert await anext(batches) == list(GOOD)
            # He has it, and goes on being busy with it.
            puppet.settle(SETTLED)
            await scene.hall.wait_idle()
            scene.assert_at_rest()
            with pytest.raises(StopAsyncIteration):
                await anext(batches)
        assert states(scene) == [TurnState.FINISHED]

    run(main())


def test_a_caller_that_takes_nothing_cannot_stretch_the_time() -> None:
    async def main() -> None:
        puppet = Puppet(1, [STARTED, TextDelta("a")])
        scene = Scene(puppet, limits=TimeLimits(60, 0.01))
        async with scene.hall, aclosing(scene.hall.run(job(), "test")) as batches:
            await anext(batches)
            async with asyncio.timeout(5):
                while not puppet.interrupts:
                    await breathe()
            puppet.settle()
            await scene.hall.wait_idle()
            scene.assert_at_rest()
            (failed,) = await anext(batches)
            assert isinstance(failed, Failed)
            assert failed.error.status == 504
        assert states(scene) == [TurnState.FAILED]

    run(main())


def test_a_history_that_is_refused_goes_in_as_one_message() -> None:
    async def main() -> None:
        refused = Failed(HistoryRefused("no history"))
        first, second = Puppet(1, [refused]), Puppet(2, GOOD)
        scene = Scene(first, second)
        turn = ask(user("one"), assistant("eins"), user("two"))
        async with (
            scene.hall,
            aclosing(scene.hall.run(Job(turn, Sheet()), "test")) as batches,
        ):
            assert [event async for batch in batches for event in batch] == list(GOOD)
            second.settle()
        (told,) = second.claimed
        (message,) = told.messages
        assert message.parts[0].text.count("eins") == 1
        # What it was told is not what the caller has.
        assert scene.puppets.memories[-1] is None

    run(main())


def test_a_second_death_is_the_answer() -> None:
    async def main() -> None:
        row = [Puppet(at, [STILLBORN]) for at in range(MAX_ATTEMPTS + 1)]
        scene = Scene(*row)
        async with scene.hall:
            assert await hear(scene) == [STILLBORN]
        scene.assert_at_rest()
        assert len(scene.puppets.leased) == MAX_ATTEMPTS == 2
        assert states(scene) == [TurnState.FAILED]

    run(main())


@pytest.mark.parametrize(
    "batches",
    [[[STARTED, TextDelta("a"), STILLBORN]], [[BROKEN]]],
    ids=["after text", "of another kind"],
)
def test_a_failure_that_is_no_silent_death_is_not_tried_again(batches: list[list[Event]]) -> None:
    async def main() -> None:
        puppet = Puppet(1, *batches)
        scene = Scene(puppet, Puppet(2, GOOD))
        async with scene.hall:
            events = await hear(scene)
            assert events == [event for batch in batches for event in batch]
        scene.assert_at_rest()
        assert len(scene.puppets.leased) == 1
        assert states(scene) == [TurnState.FAILED]
        # A turn that failed left things in the process: it is not to go on by itself.
        assert puppet.interrupts == 1

    run(main())


def test_a_lease_that_fails_is_raised_and_counted() -> None:
    async def main() -> None:
        scene = Scene(Upstream("no CLI", status=503))
        async with scene.hall:
            with pytest.raises(Upstream, match="no CLI"):
                await hear(scene)
        scene.assert_at_rest()
        assert states(scene) == [TurnState.FAILED]
        assert scene.closed[0].error is not None
        assert scene.closed[0].attempts == []

    run(main())


def test_a_retry_that_finds_no_child_is_raised_and_counted() -> None:
    async def main() -> None:
        scene = Scene(Puppet(1, [STILLBORN]), Upstream("no CLI any more", status=503))
        async with scene.hall:
            with pytest.raises(Upstream, match="any more"):
                await hear(scene)
        scene.assert_at_rest()
        assert states(scene) == [TurnState.FAILED]
        assert len(scene.closed[0].attempts) == 1

    run(main())


def test_a_bug_of_ours_is_a_failure_in_the_books_and_keeps_nothing() -> None:
    async def main() -> None:
        puppet = Puppet(1)
        puppet.refuses = RuntimeError("a slip")
        scene = Scene(puppet)
        async with scene.hall:
            with pytest.raises(RuntimeError, match="a slip"):
                await hear(scene)
        scene.assert_at_rest()
        assert states(scene) == [TurnState.FAILED]
        assert isinstance(scene.closed[0].error, Bug)
        assert scene.puppets.returned == [puppet]

    run(main())


def test_a_full_queue_is_a_refusal_without_an_attempt() -> None:
    async def main() -> None:
        scene = Scene(Puppet(1), places=1, waiting=0)
        async with scene.hall:
            talking = scene.hall.run(job(), "test")
            going = asyncio.get_running_loop().create_task(anext(talking))
            await breathe()
            with pytest.raises(Overloaded):
                await hear(scene)
            assert states(scene) == [TurnState.REFUSED]
            await leave(going, talking)
            await scene.hall.wait_idle()
        scene.assert_at_rest()

    run(main())


async def leave(
    task: "asyncio.Task[list[Event]]", talking: AsyncGenerator[list[Event], None]
) -> None:
    task.cancel()
    await asyncio.wait([task])
    await talking.aclose()


def test_a_caller_that_leaves_in_the_queue_gets_no_attempt() -> None:
    async def main() -> None:
        first = Puppet(1)
        scene = Scene(first, Puppet(2, GOOD), places=1, waiting=1)
        loop = asyncio.get_running_loop()
        async with scene.hall:
            running, waiting = scene.hall.run(job(), "test"), scene.hall.run(job(), "test")
            going = loop.create_task(anext(running))
            await breathe()
            queued = loop.create_task(anext(waiting))
            await breathe()
            assert scene.admission.statistics().waiting == 1
            await leave(queued, waiting)
            assert states(scene) == [TurnState.CANCELLED]
            assert len(scene.puppets.leased) == 1
            await leave(going, running)
            first.settle()
            await scene.hall.wait_idle()
        scene.assert_at_rest()

    run(main())


@pytest.mark.parametrize(
    "batches", [[], [[STARTED, TextDelta("a")]]], ids=["before the first event", "after it"]
)
def test_a_caller_that_leaves_interrupts_before_anything_else(batches: list[list[Event]]) -> None:
    async def main() -> None:
        puppet = Puppet(1, *batches)
        scene = Scene(puppet)
        async with scene.hall:
            talking = scene.hall.run(job(), "test")
            for _ in batches:
                await anext(talking)
            going = asyncio.get_running_loop().create_task(anext(talking))
            await breathe()
            going.cancel()
            await asyncio.wait([going])
            # Nothing was waited for: the interrupt is out, the rest goes on behind.
            assert puppet.interrupts == 1
            assert scene.closed == []
            puppet.settle()
            await scene.hall.wait_idle()
        scene.assert_at_rest()
        assert states(scene) == [TurnState.CANCELLED]
        assert scene.puppets.returned == [puppet]

    run(main())


def test_a_caller_that_stops_pulling_interrupts_too() -> None:
    async def main() -> None:
        puppet = Puppet(1, [STARTED], [TextDelta("a")], [FINISHED])
        scene = Scene(puppet)
        async with scene.hall:
            async with aclosing(scene.hall.run(job(), "test")) as batches:
                await anext(batches)
            assert puppet.interrupts == 1
            puppet.settle()
            await scene.hall.wait_idle()
        assert states(scene) == [TurnState.CANCELLED]

    run(main())


def test_who_leaves_before_the_end_pays_for_what_came_also_if_the_books_stay_open(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        clock = Clock()
        async with open_store(tmp_path, clock) as store:
            gate = Gate(store.quotas, store.usage, store.plan, clock=clock)
            whole, cut = Puppet(1, GOOD), Puppet(2, [STARTED, TextDelta("Hello")])
            scene = Scene(whole, cut, gate=gate)
            async with scene.hall:
                await hear(scene)
                # Eight tokens for a quarter of a dollar.
                whole.settle(SETTLED)
                await scene.hall.wait_idle()
                cut.heard = (Usage(input_tokens=3, output_tokens=1), 20)
                async with aclosing(scene.hall.run(job(), "test")) as batches:
                    await anext(batches)
                # It is killed, and says nothing more.
                await scene.hall.wait_idle()
        cancelled = scene.closed[-1]
        assert cancelled.state is TurnState.CANCELLED
        assert cancelled.usage == Usage(input_tokens=3, output_tokens=5)
        assert cancelled.cost_usd == pytest.approx(0.25)
        assert does_count(cancelled)

    run(main())


def test_a_child_that_never_settles_does_not_keep_its_place() -> None:
    async def main() -> None:
        # SHORT, the patience of the scene, runs out.
        scene = Scene(Puppet(1, GOOD))
        async with scene.hall:
            await hear(scene)
            await scene.hall.wait_idle()
        scene.assert_at_rest()
        assert states(scene) == [TurnState.FINISHED]

    run(main())


def test_leaving_the_hall_closes_what_is_still_being_settled() -> None:
    async def main() -> None:
        puppet = Puppet(1, GOOD)
        scene = Scene(puppet)
        async with scene.hall:
            await hear(scene)
        scene.assert_at_rest()
        assert states(scene) == [TurnState.FINISHED]
        assert scene.puppets.returned == [puppet]

    run(main())


def test_time_spent_in_the_queue_is_not_counted_against_a_turn() -> None:
    async def main() -> None:
        first, second = Puppet(1), Puppet(2)
        scene = Scene(first, second, places=1, limits=TimeLimits(60, 0.2))
        loop = asyncio.get_running_loop()
        async with scene.hall:
            going = loop.create_task(hear(scene))
            await breathe()
            queued = loop.create_task(hear(scene))
            # The first one's time ends it; only then the second one's begins.
            (failed,) = await going
            assert isinstance(failed, Failed)
            first.settle()
            while not second.claimed:
                await breathe()
            second.say(*GOOD)
            assert isinstance((await queued)[-1], Finished)
            second.settle()

    run(main())
