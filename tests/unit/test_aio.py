"""Every task has a holder, and a cleanup runs to its end or to its deadline, whatever happens.

On the stock loop, one for each test.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ocpd.aio import Nursery, finish, steady_clock, wall_clock

LONG_S = 3600.0


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test of its own; one that hangs ends here."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await main()

    with asyncio.Runner() as runner:
        runner.run(bounded())


async def turn_loop() -> None:
    """Let everything run that is ready."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


async def forever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise ValueError("on purpose")


def errors_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# Nursery.


def test_leaving_a_nursery_cancels_its_tasks_and_waits_for_their_cleanup() -> None:
    ended: list[str] = []

    async def worker(started: asyncio.Event) -> None:
        try:
            started.set()
            await forever()
        finally:
            await turn_loop()
            await turn_loop()
            ended.append("ended")

    async def main() -> None:
        started = [asyncio.Event() for _ in range(3)]
        async with Nursery("house") as nursery:
            tasks = [nursery.spawn(worker(event), "worker") for event in started]
            for event in started:
                await event.wait()
            assert len(nursery) == 3
        assert all(task.cancelled() for task in tasks)
        assert (len(nursery), ended) == (0, ["ended"] * 3)

    run(main)


def test_a_nursery_that_is_left_by_an_error_holds_nothing_either() -> None:
    async def main() -> None:
        tasks: list[asyncio.Task[None]] = []

        async def visit() -> None:
            async with Nursery("house") as nursery:
                tasks.append(nursery.spawn(forever(), "worker"))
                await fail()

        with pytest.raises(ValueError, match="on purpose"):
            await visit()
        assert [task.cancelled() for task in tasks] == [True]

    run(main)


def test_a_task_that_fails_is_logged_and_takes_no_other_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with Nursery("house") as nursery:
            healthy = nursery.spawn(forever(), "healthy")
            broken = nursery.spawn(fail(), "broken")
            await asyncio.wait([broken])
            await turn_loop()
            assert (len(nursery), healthy.done()) == (1, False)

    run(main)
    (record,) = caplog.records
    assert (record.getMessage(), record.levelno) == ("task_failed", logging.ERROR)
    assert record.__dict__["task"] == "house:broken"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_a_task_that_is_cancelled_or_done_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Nursery("house") as nursery:
            nursery.spawn(turn_loop(), "done")
            nursery.spawn(forever(), "cancelled").cancel()
            await nursery.wait_idle()
            nursery.spawn(forever(), "cancelled by leaving")

    run(main)
    assert caplog.records == []


def test_a_task_that_fails_while_it_is_cancelled_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def worker() -> None:
        try:
            await forever()
        finally:
            await fail()

    async def main() -> None:
        async with Nursery("house") as nursery:
            nursery.spawn(worker(), "worker")
            await turn_loop()

    run(main)
    assert errors_of(caplog) == ["task_failed"]


def test_a_task_that_is_started_by_a_cleanup_is_cancelled_too() -> None:
    async def main() -> None:
        nursery = Nursery("house")
        late: list[asyncio.Task[None]] = []

        async def worker() -> None:
            try:
                await forever()
            finally:
                late.append(nursery.spawn(forever(), "late"))

        async with nursery:
            nursery.spawn(worker(), "worker")
            await turn_loop()
        assert [task.cancelled() for task in late] == [True]
        assert len(nursery) == 0

    run(main)


def test_a_callback_of_the_loop_may_start_a_task_and_its_result_can_be_awaited() -> None:
    async def answer() -> int:
        await turn_loop()
        return 42

    async def main() -> None:
        async with Nursery("house") as nursery:
            started: asyncio.Future[asyncio.Task[int]] = asyncio.Future()
            asyncio.get_running_loop().call_soon(
                lambda: started.set_result(nursery.spawn(answer(), "asked"))
            )
            task = await started
            assert task.get_name() == "house:asked"
            assert await task == 42

    run(main)


def test_waiting_for_idle_waits_for_those_that_come_meanwhile() -> None:
    async def main() -> None:
        ended: list[str] = []
        async with Nursery("house") as nursery:

            async def work(name: str, then: str | None) -> None:
                await turn_loop()
                if then is not None:
                    nursery.spawn(work(then, None), then)
                ended.append(name)

            nursery.spawn(work("first", "second"), "first")
            await nursery.wait_idle()
            assert (ended, len(nursery)) == (["first", "second"], 0)

    run(main)


# finish.


async def opened(gate: asyncio.Event) -> str:
    await gate.wait()
    return "done"


def test_a_cleanup_that_nobody_disturbs_returns_its_answer() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        gate.set()
        assert await finish(opened(gate), LONG_S) == "done"

    run(main)


def test_a_cleanup_that_fails_fails() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="on purpose"):
            await finish(fail(), LONG_S)

    run(main)


@pytest.mark.parametrize("times", [1, 3])
def test_a_cleanup_ends_before_any_cancellation_is_heard(times: int) -> None:
    async def main() -> None:
        gate, ended = asyncio.Event(), asyncio.Event()

        async def cleanup() -> None:
            await gate.wait()
            ended.set()

        async with Nursery("house") as nursery:
            caller = nursery.spawn(finish(cleanup(), LONG_S), "caller")
            for _ in range(times):
                await turn_loop()
                caller.cancel()
            await turn_loop()
            assert not caller.done()
            gate.set()
            await asyncio.wait([caller])
            assert ended.is_set()
            assert caller.cancelled()

    run(main)


def test_a_cleanup_is_cut_at_its_deadline() -> None:
    async def main() -> None:
        cut = asyncio.Event()

        async def cleanup() -> None:
            try:
                await forever()
            finally:
                cut.set()

        assert await finish(cleanup(), 0.0) is None
        assert cut.is_set()

    run(main)


def test_a_cleanup_of_a_cancelled_caller_is_cut_at_its_deadline_too() -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def cleanup() -> None:
            started.set()
            await forever()

        async with Nursery("house") as nursery:
            caller = nursery.spawn(finish(cleanup(), 0.05), "caller")
            await started.wait()
            caller.cancel()
            await asyncio.wait([caller])
            assert caller.cancelled()

    run(main)


def test_a_time_out_inside_the_cleanup_is_not_taken_for_the_deadline() -> None:
    async def cleanup() -> None:
        raise TimeoutError("its own")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="its own"):
            await finish(cleanup(), LONG_S)

    run(main)


def test_a_cleanup_that_fails_after_a_cancellation_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def cleanup() -> None:
            await gate.wait()
            await fail()

        async with Nursery("house") as nursery:
            caller = nursery.spawn(finish(cleanup(), LONG_S), "caller")
            await turn_loop()
            caller.cancel()
            await turn_loop()
            gate.set()
            await asyncio.wait([caller])
            assert caller.cancelled()

    run(main)
    gc.collect()
    # Once, and not a second time by asyncio, as an exception nobody retrieved.
    assert errors_of(caplog) == ["cleanup_failed"]


# Clocks.


def test_the_steady_clock_never_goes_back() -> None:
    readings = [steady_clock() for _ in range(100)]
    assert readings == sorted(readings)


def test_the_wall_clock_counts_from_the_epoch() -> None:
    assert wall_clock() > 1_600_000_000
