"""Promise: places are never more than there are, and nobody who leaves takes one along."""

import asyncio

import pytest

from ocpd.dispatch.admission import Admission, Place, rank_of
from ocpd.errors import Overloaded
from ocpd.sched.queue import Rank
from ocpd.turn.caller import Caller, Kind
from tests.unit.http.stage import breathe, run


def counts(admission: Admission) -> tuple[int, int]:
    now = admission.statistics()
    return now.running, now.waiting


def enter(admission: Admission, caller: Caller | None = None) -> "asyncio.Task[Place]":
    return asyncio.get_running_loop().create_task(admission.enter(caller))


def test_a_free_place_is_had_at_once() -> None:
    async def main() -> None:
        admission = Admission(1, 0, retry_after_s=5)
        place = await admission.enter()
        assert counts(admission) == (1, 0)
        place.release()
        assert counts(admission) == (0, 0)

    run(main())


def test_releasing_twice_gives_one_place_back() -> None:
    async def main() -> None:
        admission = Admission(2, 0, retry_after_s=5)
        first, _ = await admission.enter(), await admission.enter()
        first.release()
        first.release()
        assert counts(admission) == (1, 0)

    run(main())


def test_a_full_queue_refuses_with_the_time_to_come_back() -> None:
    async def main() -> None:
        admission = Admission(1, 0, retry_after_s=5)
        await admission.enter()
        with pytest.raises(Overloaded) as caught:
            await admission.enter()
        error = caught.value
        assert (error.status, error.code, error.retry_after_s) == (429, "queue_full", 5)
        assert admission.statistics().rejections == 1

    run(main())


def test_those_who_wait_enter_in_their_order() -> None:
    async def main() -> None:
        admission = Admission(1, 5, retry_after_s=5)
        place = await admission.enter()
        waiting = [enter(admission) for _ in range(3)]
        await breathe()
        assert counts(admission) == (1, 3)
        for task in waiting:
            place.release()
            await breathe()
            assert [t.done() for t in waiting] == [t is task or t.done() for t in waiting]
            place = await task
        place.release()
        assert counts(admission) == (0, 0)

    run(main())


def test_who_leaves_the_queue_makes_room_in_it() -> None:
    async def main() -> None:
        admission = Admission(1, 1, retry_after_s=5)
        place = await admission.enter()
        leaving = enter(admission)
        await breathe()
        leaving.cancel()
        await asyncio.wait([leaving])
        assert counts(admission) == (1, 0)
        staying = enter(admission)
        await breathe()
        place.release()
        (await staying).release()
        assert counts(admission) == (0, 0)

    run(main())


def test_a_place_that_comes_in_the_moment_of_leaving_goes_to_the_next() -> None:
    async def main() -> None:
        admission = Admission(1, 2, retry_after_s=5)
        place = await admission.enter()
        leaving, next_one = enter(admission), enter(admission)
        await breathe()
        # Both before the one who leaves can look.
        place.release()
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        (await next_one).release()
        assert counts(admission) == (0, 0)

    run(main())


# Whose turn it is.


@pytest.mark.parametrize(
    ("role", "weight", "is_batch"),
    [("owner", 4, False), ("user", 2, False), ("batch", 1, True), ("of another version", 2, False)],
)
def test_the_role_of_a_key_says_where_it_stands(role: str, weight: int, is_batch: bool) -> None:
    caller = Caller("laptop", 7, role=role, kind=Kind.KEY)
    assert rank_of(caller) == Rank(caller.scope, weight, is_batch)


def test_a_lane_is_a_key_or_a_network_and_nothing_that_can_be_made_up() -> None:
    def lane(kind: Kind, **fields: str) -> str:
        return rank_of(Caller("x", kind=kind, **fields)).lane  # type: ignore[arg-type]

    # Everybody has that key.
    everybody = [lane(Kind.ANONYMOUS, place=f"192.0.2.{n}", address=f"192.0.2.{n}") for n in (1, 2)]
    made_up = [
        lane(Kind.REMOTE, place=f"127.0.0.1 via {n}", address="127.0.0.1") for n in ("a", "b")
    ]
    own_half = [lane(Kind.REMOTE, place=f"2001:db8::{n}", address=f"2001:db8::{n}") for n in (1, 2)]
    for same in (everybody, made_up, own_half):
        assert len(set(same)) == 1
    others = [
        lane(Kind.REMOTE, place="192.0.2.1", address="192.0.2.1"),
        lane(Kind.REMOTE, place="2001:db9::1", address="2001:db9::1"),
        lane(Kind.LOCAL, place="uid 1000"),
        lane(Kind.LOCAL, place="uid 1001"),
        lane(Kind.SHARED, key_stamp="a"),
        lane(Kind.SHARED, key_stamp="b"),
        lane(Kind.ADMIN),
    ]
    assert len({*everybody, *made_up, *own_half, *others}) == 3 + len(others)


def test_callers_take_turns_and_batch_comes_last() -> None:
    async def main() -> None:
        admission = Admission(1, 10, retry_after_s=5)
        place = await admission.enter()
        batch = Caller(place="c", role="batch")
        callers = [batch, Caller(place="a"), Caller(place="a"), Caller(place="b")]
        waiting = [enter(admission, caller) for caller in callers]
        await breathe()
        order = []
        for _ in callers:
            place.release()
            await breathe()
            (number,) = (n for n, task in enumerate(waiting) if task.done() and n not in order)
            order.append(number)
            place = await waiting[number]
        assert order == [1, 3, 2, 0]
        place.release()

    run(main())


def test_who_loses_its_room_in_the_queue_is_told_so() -> None:
    async def main() -> None:
        admission = Admission(1, 2, retry_after_s=7)
        place = await admission.enter()
        flood = [enter(admission, Caller(place="a")) for _ in range(2)]
        await breathe()
        late = enter(admission, Caller(place="b"))
        await breathe()
        with pytest.raises(Overloaded) as caught:
            await flood[1]
        assert (caught.value.code, caught.value.retry_after_s) == ("queue_full", 7)
        assert "maxQueue" in caught.value.message
        assert counts(admission) == (1, 2)
        for task in (flood[0], late):
            place.release()
            place = await task
        place.release()
        assert counts(admission) == (0, 0)

    run(main())


# How long it takes.


def test_who_waits_too_long_is_told_what_for() -> None:
    async def main() -> None:
        admission = Admission(1, 5, retry_after_s=7, wait_s=0.01)
        place = await admission.enter()
        with pytest.raises(Overloaded) as caught:
            await admission.enter()
        error = caught.value
        assert (error.status, error.code, error.retry_after_s) == (429, "queue_timeout", 7)
        assert "0.01 s" in error.message
        assert "queueTimeout" in error.message
        assert "1 of 1 turns run" in error.message
        assert counts(admission) == (1, 0)
        place.release()

    run(main())


def test_a_place_that_comes_with_the_deadline_is_not_lost() -> None:
    async def main() -> None:
        admission = Admission(1, 5, retry_after_s=7, wait_s=0.0)
        place = await admission.enter()
        late = enter(admission)
        admission.wait_s = 60.0
        other = enter(admission)
        await breathe()
        # Its time is up, and before it can leave the place is given to it.
        while not late.done():
            place.release()
            await breathe()
        if late.exception() is None:
            (await late).release()
        (await other).release()
        assert counts(admission) == (0, 0)

    run(main())


def test_who_is_displaced_while_leaving_leaves() -> None:
    async def main() -> None:
        admission = Admission(1, 2, retry_after_s=7)
        place = await admission.enter()
        flood = [enter(admission, Caller(place="a")) for _ in range(2)]
        await breathe()
        flood[1].cancel()
        late = enter(admission, Caller(place="b"))
        await asyncio.wait([flood[1]])
        assert flood[1].cancelled()
        await breathe()
        place.release()
        (await flood[0]).release()
        (await late).release()
        assert counts(admission) == (0, 0)

    run(main())
