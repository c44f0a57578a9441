"""Promise: who is refused reads which limit it was, how much, and until when."""

import pytest

from ocpd.dispatch.notice import PATIENCE_S, RETRY_S, refuse, spell_span, tell_plan, tell_standing
from ocpd.errors import QuotaFacts
from ocpd.sched.quota import Denial, Limit, Standing
from ocpd.store.plan import PlanWindow

NOON = 1_795_262_400.0
DAILY = Limit("requests", "daily", 50)


def test_a_denial_says_what_how_much_and_until_when() -> None:
    told = refuse(
        Denial(DAILY, 50, 2, NOON + 22_320, waits_for_turns=False), "the key 'x'", (), NOON
    )
    assert told.message == (
        "the key 'x' has used 50 of 50 requests a day (UTC) (2 set aside for requests that run);"
        " quota requests.daily, which has room again in 6h 12m, at 2026-11-21T18:12:00Z."
    )
    assert told.quota == QuotaFacts("daily", 50, 50, "6h 12m")
    assert (told.status, told.code, told.kind) == (429, "quota_exceeded", "quota_exceeded")
    assert told.retry_after_s == 22_320
    assert told.headers == (("x-should-retry", "false"),)


def test_a_short_wait_may_be_waited() -> None:
    soon = Denial(Limit("cost", "minute", 0.5), 0.512345678, 0, NOON + 20.2, waits_for_turns=False)
    told = refuse(soon, "it", (("a", "b"),), NOON)
    assert "0.5123 of 0.5 US dollars a minute" in told.message
    assert told.quota == QuotaFacts("minute", 0.5, 0.512346, "21s")
    assert (told.retry_after_s, told.headers) == (21, (("a", "b"),))
    assert told.retry_after_s is not None
    assert told.retry_after_s <= PATIENCE_S


def test_what_never_comes_back_is_not_promised() -> None:
    blocked = Denial(Limit("requests", "lifetime", 0), 0, 0, None, waits_for_turns=False)
    told = refuse(blocked, "it", (), NOON)
    assert told.message == (
        "it may use no requests in all; quota requests.lifetime, which does not reset by itself."
    )
    assert (told.retry_after_s, told.quota and told.quota.resets_in) == (None, "never")
    assert told.headers == (("x-should-retry", "false"),)


def test_who_waits_for_his_own_turns_may_ask_again_soon() -> None:
    full = Denial(Limit("streams", "at_once", 2), 2, 2, None, waits_for_turns=True)
    told = refuse(full, "it", (), NOON)
    assert told.message == (
        "it has used 2 of 2 requests at once; quota streams.at_once, which has room again when"
        " one of its running requests ends."
    )
    assert (told.retry_after_s, told.headers) == (RETRY_S, ())


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.1, "1s"),
        (59.0, "59s"),
        (59.5, "1m"),
        (61.0, "2m"),
        (3_599.0, "1h 0m"),
        (22_320.0, "6h 12m"),
        (86_400.0, "1d 0h"),
        (180_000.0, "2d 2h"),
    ],
)
def test_spans_are_spelled_for_people_and_never_too_short(seconds: float, told: str) -> None:
    assert spell_span(seconds) == told


def test_headers_say_what_is_left() -> None:
    standing = Standing(DAILY, 12.0, NOON + 3_723)
    assert tell_standing("requests", standing, NOON) == (
        ("x-ratelimit-limit-requests", "50"),
        ("x-ratelimit-remaining-requests", "12"),
        ("x-ratelimit-reset-requests", "1h2m3s"),
    )
    assert tell_standing("tokens", None, NOON) == ()
    assert (
        dict(tell_standing("requests", Standing(DAILY, 50, None), NOON))[
            "x-ratelimit-reset-requests"
        ]
        == "0s"
    )


def window(name: str, utilization: float | None, resets_at: float | None) -> PlanWindow:
    return PlanWindow(name, utilization, NOON, resets_at, "allowed", NOON)


def test_without_a_quota_the_plan_is_told_in_percent() -> None:
    windows = [
        window("five_hour", 0.4, NOON + 90),
        window("seven_day", 0.755, NOON + 7_200),
        window("seven_day_opus", 0.9, NOON + 7_200),
    ]
    assert dict(tell_plan(windows, NOON)) == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "24",
        "x-ratelimit-reset-requests": "2h0m0s",
        "x-ratelimit-window": "seven_day",
    }
    assert dict(tell_plan(windows[:1], NOON))["x-ratelimit-reset-requests"] == "1m30s"


def test_an_old_or_unknown_plan_is_not_told() -> None:
    windows = [window("five_hour", 1.2, NOON - 1), window("seven_day", None, NOON + 1)]
    assert tell_plan(windows, NOON) == ()
    assert (
        dict(tell_plan([window("five_hour", 1.2, NOON + 1)], NOON))[
            "x-ratelimit-remaining-requests"
        ]
        == "0"
    )
