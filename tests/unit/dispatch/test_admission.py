"""Promise: places are never more than there are, and nobody who leaves takes one along."""

import asyncio

import pytest

from ocpd.dispatch.admission import Admission, Place
from ocpd.errors import Overloaded
from tests.unit.http.stage import breathe, run


def counts(admission: Admission) -> tuple[int, int]:
    now = admission.statistics()
    return now.running, now.waiting


def enter(admission: Admission) -> "asyncio.Task[Place]":
    return asyncio.get_running_loop().create_task(admission.enter())


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
