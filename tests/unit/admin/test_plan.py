"""The plan's body: what is known is shown with its age, what is not known says so."""

from datetime import UTC, timedelta, timezone

import msgspec
import pytest

from ocpd.admin.plan import (
    FRESH_S,
    last_told,
    spell_local,
    spell_plan,
    spell_span,
    spell_status,
    spell_window,
)
from ocpd.store.plan import PlanWindow

NOW = 1_795_262_400.0  # 2026-11-21 12:00:00 UTC, a Saturday
NEW_YORK = timezone(timedelta(hours=-5))
M, H, D = 60.0, 3_600.0, 86_400.0


def window(name="five_hour", used=0.214, resets_in=3 * H + 12 * M, age=10.0, status="allowed"):
    return PlanWindow(
        window=name,
        utilization=used,
        utilization_at=None if used is None else NOW - age,
        resets_at=None if resets_in is None else NOW + resets_in,
        status=status,
        at=NOW - age,
    )


def body(*windows: PlanWindow):
    known = {window.window: window for window in windows}
    return msgspec.json.decode(msgspec.json.encode(spell_plan(known, NOW, NEW_YORK)))


def test_the_plan_unknown_is_the_body_every_client_survives():
    plan = body()
    for part in (plan["currentSession"], plan["weeklyLimits"]["allModels"]):
        assert part == {
            "utilization": None,
            "percent": "?",
            "resetsIn": "unknown",
            "resetsAt": None,
            "resetsAtHuman": "",
            "stale": True,
            "fetchedAt": None,
        }
    assert plan["extraUsage"] == {"status": "unknown"}
    assert plan["representativeClaim"] is None
    assert plan["stale"] is True


def test_a_known_window_is_spelled_exactly():
    plan = body(window(), window("seven_day", 0.455, 4 * D + 2 * H))
    assert plan["currentSession"] == {
        "utilization": 0.214,
        "percent": "21%",
        "resetsIn": "3h 12m",
        "resetsAt": "2026-11-21T15:12:00Z",
        "resetsAtHuman": "Sat, Nov 21, 10:12 AM",
        "stale": False,
        "fetchedAt": "2026-11-21T11:59:50Z",
    }
    week = plan["weeklyLimits"]["allModels"]
    assert (week["percent"], week["resetsIn"]) == ("46%", "4d 2h")
    assert plan["stale"] is False


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (None, "unknown"),
        (-1.0, "now"),
        (0.0, "now"),
        (30.0, "0m"),
        (59 * M, "59m"),
        (H, "1h 0m"),
        (24 * H + 59 * M, "24h 59m"),
        (25 * H, "1d 1h"),
        (6 * D + 23 * H + 59 * M, "6d 23h"),
    ],
)
def test_spans_are_spelled_as_ever(left, expected):
    assert spell_span(None if left is None else NOW + left, NOW) == expected


@pytest.mark.parametrize(
    ("hour", "expected"),
    [(0, "12:07 AM"), (1, "1:07 AM"), (11, "11:07 AM"), (12, "12:07 PM"), (23, "11:07 PM")],
)
def test_the_clock_has_twelve_hours(hour, expected):
    midnight = NOW - 12 * H
    assert spell_local(midnight + hour * H + 7 * M, UTC) == f"Sat, Nov 21, {expected}"


def test_the_zone_is_the_servers_unless_told():
    assert spell_local(NOW) in {
        spell_local(NOW, timezone(timedelta(hours=h))) for h in range(-12, 15)
    }
    assert spell_local(1e300) == ""


@pytest.mark.parametrize(
    ("used", "expected"), [(0.0, "0%"), (0.005, "1%"), (0.125, "13%"), (1.0, "100%"), (1.2, "120%")]
)
def test_half_a_percent_goes_up(used, expected):
    assert spell_window(window(used=used), NOW).percent == expected


def test_an_old_value_is_shown_and_called_stale():
    told = spell_window(window(age=FRESH_S + 1), NOW)
    assert (told.percent, told.stale) == ("21%", True)
    assert not spell_window(window(age=FRESH_S - 1), NOW).stale


def test_what_was_used_of_a_window_that_is_over_is_not_known_any_more():
    told = spell_window(window(resets_in=-5.0), NOW)
    assert (told.utilization, told.percent, told.resets_in) == (None, "?", "now")
    assert told.stale


def test_a_window_without_a_number_is_unknown_but_for_its_reset():
    told = spell_window(window(used=None), NOW)
    assert (told.utilization, told.percent, told.resets_in) == (None, "?", "3h 12m")


def test_extra_usage_and_weeks_of_families_are_shown():
    plan = body(
        window(), window("seven_day_opus", 0.1), window("overage", None, None, status="rejected")
    )
    assert plan["extraUsage"] == {"status": "rejected"}
    assert plan["weeklyLimits"]["others"]["opus"]["percent"] == "10%"


def test_the_status_is_the_worst_of_the_plans_own_windows():
    def status_of(*told: PlanWindow) -> str:
        return spell_status({one.window: one for one in told})

    assert status_of() == "unknown"
    assert status_of(window()) == "allowed"
    assert status_of(window(), window("seven_day", status="allowed_warning")) == "allowed_warning"
    assert status_of(window(status="rejected"), window("seven_day")) == "rejected"
    assert status_of(window(), window("overage", status="rejected")) == "allowed"
    assert status_of(window(), window("seven_day", status="odd")) == "odd"


def test_the_claim_is_the_window_that_limits():
    plan = body(window(), window("seven_day", status="allowed_warning"))
    assert plan["representativeClaim"] == "seven_day"


def test_the_plan_was_told_when_its_newest_window_was():
    assert last_told({}) is None
    assert last_told({"a": window(age=5), "b": window("b", age=50)}) == NOW - 5
