"""Promise: the last word on each window is kept with its time, and survives a restart."""

import pytest

from ocpd.store.plan import PlanWindow
from tests.unit.store.stage import NOON, open_store, run


def test_the_last_word_on_each_window_survives(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            assert store.plan.latest() == {}
            store.plan.note("five_hour", 0.25, NOON + 100, "allowed", NOON)
            store.plan.note("seven_day", 0.5, NOON + 900, "allowed", NOON)
            store.plan.note("five_hour", 0.75, NOON + 100, "allowed_warning", NOON + 1)
            latest = store.plan.latest()
            assert latest["five_hour"] == PlanWindow(
                "five_hour", 0.75, NOON + 1, NOON + 100, "allowed_warning", NOON + 1
            )
        async with open_store(tmp_path) as store:
            assert store.plan.latest() == latest

    run(main())


def test_what_is_left_out_stays_as_it_was_told_with_its_own_time(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            store.plan.note("five_hour", 0.25, NOON + 100, "allowed", NOON)
            store.plan.note("five_hour", None, NOON + 101, "allowed", NOON + 5)
            window = store.plan.latest()["five_hour"]
            assert (window.utilization, window.utilization_at) == (0.25, NOON)
            assert (window.resets_at, window.at) == (NOON + 101, NOON + 5)
            store.plan.note("five_hour", 0.5, None, "allowed", NOON + 6)
            window = store.plan.latest()["five_hour"]
            assert (window.utilization, window.resets_at) == (0.5, NOON + 101)

    run(main())


def test_a_window_that_began_anew_has_no_old_utilization(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            store.plan.note("five_hour", 0.9, NOON + 100, "allowed", NOON)
            store.plan.note("five_hour", None, NOON + 18_100, "allowed", NOON + 200)
            window = store.plan.latest()["five_hour"]
            assert (window.utilization, window.utilization_at) == (None, None)

    run(main())


@pytest.mark.parametrize(
    ("utilization", "resets_at", "at"),
    [
        (0.5, NOON, NOON - 1),
        (float("nan"), NOON, NOON + 1),
        (0.5, float("inf"), NOON + 1),
        (0.5, NOON, float("nan")),
    ],
)
def test_older_news_and_nonsense_are_dropped(tmp_path, utilization, resets_at, at):
    async def main():
        async with open_store(tmp_path) as store:
            store.plan.note("five_hour", 0.25, NOON + 100, "allowed", NOON)
            before = store.plan.latest()
            store.plan.note("five_hour", utilization, resets_at, "rejected", at)
            assert store.plan.latest() == before

    run(main())


def test_the_number_of_windows_is_bounded(tmp_path):
    async def main():
        async with open_store(tmp_path) as store:
            for number in range(100):
                store.plan.note(f"w{number}", 0.5, None, "allowed", NOON)
            store.plan.note("x" * 65, 0.5, None, "allowed", NOON)
            assert len(store.plan.latest()) == 32

    run(main())
