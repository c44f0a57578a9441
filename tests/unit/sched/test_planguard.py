"""Promise: each class is stopped at its own percent and nobody by an old window; the log has every
level once; extra usage ends when the plan has room again."""

import pytest

from ocpd.sched.planguard import (
    LONGEST_S,
    UNKNOWN_RESET_S,
    Lines,
    Mode,
    Rules,
    WindowUse,
    find_overage_end,
    find_stop,
    find_warnings,
)
from ocpd.turn.caller import Caller

NOW = 1_000_000.0
STOP = Rules(mode=Mode.STOP)


def five(percent: float, **more: bool) -> WindowUse:
    return WindowUse("five_hour", percent, NOW + 3_600, **more)


def week(percent: float, **more: bool) -> WindowUse:
    return WindowUse("seven_day", percent, NOW + 90_000, **more)


@pytest.mark.parametrize(
    ("role", "most"), [("owner", 100), ("user", 90), ("batch", 60), ("something new", 90)]
)
def test_each_class_is_stopped_at_its_own_percent(role: str, most: int) -> None:
    caller = Caller(role=role)
    assert find_stop(STOP, caller, [five(most - 0.5), week(most - 1)]) is None
    assert find_stop(STOP, caller, [five(most)]) == five(most)


def test_of_two_full_windows_the_one_that_ends_last_is_told() -> None:
    assert find_stop(STOP, Caller(), [five(99), week(91)]) == week(91)
    assert find_stop(STOP, Caller(), [five(99), week(89)]) == five(99)


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.WARN])
def test_nobody_is_stopped_without_stop(mode: Mode) -> None:
    assert find_stop(Rules(mode=mode), Caller(role="batch"), [five(100)]) is None


def test_a_warning_of_the_upstream_stops_nobody() -> None:
    near = five(40, is_near=True)
    assert find_stop(STOP, Caller(role="batch"), [near]) is None
    assert find_warnings(STOP, Caller(), [near]) == [near]


@pytest.mark.parametrize(("role", "least"), [("owner", 80), ("user", 80), ("batch", 60)])
def test_everybody_is_warned_before_or_where_he_is_stopped(role: str, least: int) -> None:
    caller = Caller(role=role)
    assert find_warnings(Rules(), caller, [five(least - 1)]) == []
    assert find_warnings(Rules(), caller, [five(least), week(95)]) == [week(95), five(least)]
    assert find_warnings(Rules(mode=Mode.OFF), caller, [five(100)]) == []


def test_the_log_has_each_level_of_a_window_once() -> None:
    lines = Lines()
    said = [lines.reach(Rules(), five(p)) for p in (59, 60, 61, 80, 82, 79, 100, 100)]
    assert said == [None, 60, None, 80, None, None, 100, None]
    assert lines.reach(Rules(), week(82)) == 80


def test_a_window_that_begins_anew_is_told_anew() -> None:
    lines = Lines()
    assert lines.reach(Rules(), five(92)) == 90
    assert lines.reach(Rules(), WindowUse("five_hour", 92, NOW + 3_601)) is None
    assert lines.reach(Rules(), WindowUse("five_hour", 10, NOW + 21_600)) is None
    assert lines.reach(Rules(), WindowUse("five_hour", 92, NOW + 21_600)) == 90


def test_the_log_has_the_upstreams_own_warning_once_and_nothing_when_off() -> None:
    lines = Lines()
    assert lines.reach(Rules(mode=Mode.OFF), five(99)) is None
    assert lines.reach(Rules(), five(40, is_near=True)) == 60
    assert lines.reach(Rules(), five(41, is_near=True)) is None


def test_extra_usage_ends_with_the_window_that_was_told() -> None:
    assert find_overage_end(NOW + 77, [five(100)], NOW) == NOW + 77


@pytest.mark.parametrize("told", [None, NOW, NOW - 1, NOW + LONGEST_S + 1])
def test_else_with_the_first_window_that_is_used_up_and_else_after_five_minutes(
    told: float | None,
) -> None:
    uses = [five(20, is_used_up=True), week(100)]
    assert find_overage_end(told, uses, NOW) == NOW + 3_600
    assert find_overage_end(told, [five(99)], NOW) == NOW + UNKNOWN_RESET_S
