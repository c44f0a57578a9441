"""Promise: a process that holds the calls of an answer rests like any other, gives their results to
the model, and ends as softly."""

import asyncio
import signal
from pathlib import Path

import msgspec
import pytest

from ocpd.claude.lifecycle import State
from ocpd.claude.limits import Sheet
from ocpd.pool.child import Child
from ocpd.pool.pool import Pool
from ocpd.pool.reaper import retire
from ocpd.sched.affinity import Memory, Wanted
from ocpd.sched.seating import Place
from ocpd.turn.events import CallBegun, Event, Finished, StopReason
from ocpd.turn.request import Message, Role, Text, ToolResult, ToolUse, TurnId
from tests.kit.fake_script import Answer, CallTool
from tests.kit.leaks import is_alive
from tests.unit.claude.stage import LOOKUP, MODEL, ask, user
from tests.unit.http.stage import run
from tests.unit.pool.stage import LONG, hear_rest, make_pool, spawn, text_of, until

ASKED = Wanted(MODEL, key=b"key", chain=(b"", b"q"), users=frozenset({0}))
HELD = Memory(b"key", (b"", b"q", b"call"), answers=1, is_held=True)
TOLD = Wanted(
    MODEL,
    key=b"key",
    chain=(b"", b"q", b"call", b"result"),
    has_history=True,
    users=frozenset({0, 2}),
)
OTHER = Wanted(MODEL, key=b"key", chain=(b"", b"other"), users=frozenset({0}))

CALLS = Message(Role.ASSISTANT, (ToolUse("toolu_fake", "lookup", "{}"),))
RESULTS = Message(Role.USER, (ToolResult("toolu_fake", (Text("42"),)),))
AFTER = ask(user("hi there"), CALLS, RESULTS, tools=(LOOKUP,), turn_id=TurnId("f" * 32))


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[signal.Signals]:
    """The signals that children are sent."""
    sent: list[signal.Signals] = []
    plain = Child.signal_group

    def note(self: Child, number: signal.Signals) -> None:
        sent.append(number)
        plain(self, number)

    monkeypatch.setattr(Child, "signal_group", note)
    return sent


async def hear_call(child: Child) -> list[Event]:
    """Give the child a turn that ends in a call, and wait until it holds that."""
    child.claim(ask(tools=(LOOKUP,)), Sheet())
    events = await hear_rest(child)
    await child.wait_settled()
    assert isinstance(events[-1], Finished)
    assert events[-1].reason is StopReason.TOOL_USE
    assert child.session.state is State.HOLDING
    return events


async def hold(pool: Pool) -> Child:
    """Let a conversation rest whose last answer calls."""
    lease = await pool.lease(ASKED)
    await hear_call(lease.child)
    pool.give_back(lease.child, HELD)
    return lease.child


def test_an_answer_that_calls_settles_the_child(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, CallTool(arguments='{"key":1}'))
        events = await hear_call(child)
        assert [event for event in events if isinstance(event, CallBegun)] == [
            CallBegun(0, "toolu_fake", "lookup")
        ]
        await retire(child, LONG)

    run(main())


def test_a_child_that_holds_calls_ends_without_a_signal(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    """It would not notice the end of stdin, and wait for its results: it is interrupted first."""

    async def main() -> None:
        child = await spawn(tmp_path, CallTool())
        await hear_call(child)
        await retire(child, LONG)
        assert not is_alive(child.pid)
        assert signals == []

    run(main())


def test_a_child_that_was_given_its_results_does_too(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, CallTool(deltas=("42",)))
        await hear_call(child)
        child.resume(AFTER, Sheet(), 2)
        assert text_of(await hear_rest(child)) == "42"
        await child.wait_settled()
        assert child.session.state is State.RESTING
        await retire(child, LONG)
        assert signals == []

    run(main())


def test_a_conversation_that_holds_calls_rests_and_its_results_find_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, CallTool(deltas=("42",))) as pool:
            child = await hold(pool)
            assert pool.statistics().resting == 1
            lease = await pool.lease(TOLD)
            assert (lease.child, lease.keep, lease.source) == (child, 2, "continued")
            lease.child.resume(AFTER, Sheet(), 2)
            assert text_of(await hear_rest(lease.child)) == "42"
            pool.give_back(lease.child)

    run(main())


def test_results_wait_for_the_answer_that_called(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, CallTool()) as pool:
            lease = await pool.lease(ASKED)
            await hear_call(lease.child)
            pool.finishing(lease.child, HELD)
            leasing = asyncio.get_running_loop().create_task(pool.lease(TOLD))
            pool.give_back(lease.child, HELD)
            again = await leasing
            assert (again.child, again.source) == (lease.child, "continued")
            pool.give_back(again.child)

    run(main())


def test_one_that_holds_calls_is_spared_while_there_is_room(tmp_path: Path) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, CallTool()) as pool:
            child = await hold(pool)
            (seat,) = pool._roster.seats()
            assert (seat.place, seat.is_held) == (Place.RESTING, True)
            lease = await pool.lease(OTHER)
            assert (lease.child is child, lease.source) == (False, "spawned")
            pool.give_back(lease.child)
            assert (await pool.lease(TOLD)).child is child
            pool.give_back(child)

    run(main())


def test_without_room_another_conversation_takes_it(tmp_path: Path) -> None:
    async def main() -> None:
        turns = (CallTool(), Answer(("other",)))
        async with make_pool(tmp_path, turns, processes=1) as pool:
            child = await hold(pool)
            lease = await pool.lease(OTHER)
            assert (lease.child, lease.keep, lease.source) == (child, 0, "recycled")
            turn = ask(user("other"), tools=(LOOKUP,), turn_id=TurnId("f" * 32))
            lease.child.resume(turn, Sheet(), 0)
            assert text_of(await hear_rest(lease.child)) == "other"
            pool.give_back(lease.child)

    run(main())


@pytest.mark.parametrize("how", ["forgotten", "another login", "worn", "left"])
def test_one_that_holds_calls_is_interrupted_before_it_is_ended(
    tmp_path: Path, signals: list[signal.Signals], how: str
) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, CallTool()) as pool:
            child = await hold(pool)
            match how:
                case "forgotten":
                    assert pool.forget() == 1
                case "another login":
                    pool.change_environment(dict(pool._fleet.environment))
                case "worn":
                    limits = msgspec.structs.replace(pool._fleet.limits, rest_s=0.0)
                    pool.change_limits(limits)
                case _:
                    pass
            if how != "left":
                await child.ended.wait()
                await until(lambda: pool.statistics().retiring == 0)
        assert not is_alive(child.pid)
        assert signals == []

    run(main())


def test_an_answer_that_calls_and_may_not_rest_ends_the_process_softly_too(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    async def main() -> None:
        async with make_pool(tmp_path, CallTool()) as pool:
            lease = await pool.lease(ASKED)
            await hear_call(lease.child)
            pool.give_back(lease.child)
            await lease.child.ended.wait()
            assert signals == []

    run(main())
