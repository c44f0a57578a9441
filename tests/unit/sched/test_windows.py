"""Promise: what was used is in the sum until all of it is old enough, and not much longer."""

import pytest

from ocpd.sched.windows import Spent, Window, begin_of, reach_of

NOON = 1_795_262_400.0
HOUR, DAY = 3_600.0, 86_400.0
REQUESTS, TOKENS, COST = 0, 3, 4

ONE = Spent(1, 10, 5, 0.5).amounts


def used(window: Window, now: float, place: int = REQUESTS) -> float:
    window.advance(now)
    return window.used(place)


def test_what_is_spent_is_told_in_a_fixed_order():
    assert Spent(1, 10, 5, 0.5).amounts == (1, 10, 5, 15, 0.5)


@pytest.mark.parametrize(
    ("period", "span", "slack"),
    [("minute", 60.0, 1.0), ("weekly", 7 * DAY, HOUR), ("monthly", 30 * DAY, HOUR)],
)
def test_a_rolling_period_keeps_what_is_in_it_and_forgets_soon_after(period, span, slack):
    window = Window(period)
    window.add(NOON + 0.25, ONE)
    assert used(window, NOON + span) == 1
    assert used(window, NOON + span + slack + 0.25) == 0
    assert window.used(TOKENS) == window.used(COST) == 0


def test_a_day_ends_at_midnight_utc():
    window = Window("daily")
    window.add(NOON, ONE)
    assert used(window, NOON + 12 * HOUR - 0.001) == 1
    assert used(window, NOON + 12 * HOUR) == 0


def test_a_lifetime_never_ends():
    window = Window("lifetime")
    window.add(NOON, ONE)
    assert used(window, NOON + 10_000 * DAY) == 1
    assert window.frees_at(REQUESTS, 0) is None
    assert window.clears_at(REQUESTS) is None


def test_it_knows_when_enough_will_have_left():
    window = Window("weekly")
    for hours in (0, 1, 2):
        window.add(NOON + hours * HOUR, ONE)
    window.advance(NOON + 3 * HOUR)
    assert window.frees_at(REQUESTS, 0) == NOON + 7 * DAY + HOUR
    assert window.frees_at(REQUESTS, 1) == NOON + 7 * DAY + 2 * HOUR
    assert window.frees_at(REQUESTS, 3) is None
    assert window.clears_at(REQUESTS) == NOON + 7 * DAY + 3 * HOUR
    assert used(window, NOON + 7 * DAY + HOUR) == 2


def test_what_is_older_than_the_window_is_left_out():
    window = Window("minute")
    window.advance(NOON)
    window.add(NOON - 61, ONE)
    assert window.used(REQUESTS) == 0
    window.add(NOON - 60, ONE)
    assert window.used(REQUESTS) == 1


def test_what_was_counted_can_be_taken_back():
    window = Window("minute")
    window.add(NOON, ONE)
    window.add(NOON, ONE, -1)
    assert window.used(REQUESTS) == 0
    assert window.clears_at(REQUESTS) is None


def test_a_clock_that_is_set_back_forgets_nothing_and_keeps_nothing_for_ever():
    window = Window("daily")
    window.add(NOON + 100 * 365 * DAY, ONE)
    assert used(window, NOON) == 1
    assert used(window, NOON + DAY) == 0


def test_rounding_does_not_add_up():
    window = Window("minute")
    for second in range(500):
        window.add(NOON + second, (1, 0, 0, 0, 0.1))
    assert used(window, NOON + 1_000, COST) == 0.0


def test_a_period_begins_where_its_users_think_and_reaches_a_bucket_further():
    assert begin_of("daily", NOON) == NOON - 12 * HOUR == reach_of("daily", NOON)
    assert begin_of("minute", NOON) == NOON - 60 == reach_of("minute", NOON)
    assert begin_of("weekly", NOON + 1) == NOON + 1 - 7 * DAY
    assert reach_of("weekly", NOON + 1) == NOON - 7 * DAY
    assert begin_of("monthly", NOON) == NOON - 30 * DAY
    assert begin_of("lifetime", NOON) == reach_of("lifetime", NOON) == 0.0


def test_it_tells_what_is_in_it():
    window = Window("daily")
    window.add(NOON, ONE)
    assert repr(window).startswith("Window(requests 1, input_tokens 10")
