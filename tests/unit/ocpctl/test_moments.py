"""Moments as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ocpctl.failures import Misuse
from ocpctl.moments import local_now, read_moment

NOW = datetime(2026, 11, 21, 11, 30, 15, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", "2026-11-21 09:00:15"),
        ("12h", "2026-11-20 21:30:15"),
        ("7d", "2026-11-14 09:30:15"),
        ("2w", "2026-11-07 09:30:15"),
        ("today", "2026-11-20 22:00:00"),
        ("yesterday", "2026-11-19 22:00:00"),
        ("2026-11-01T08:30:00+02:00", "2026-11-01 06:30:00"),
        ("2026-11-01T08:30:00Z", "2026-11-01 08:30:00"),
    ],
)
def test_a_moment_becomes_utc(text, moment):
    assert read_moment(text, NOW) == moment


def test_a_date_without_a_zone_is_the_users(monkeypatch):
    local = datetime(2026, 11, 1, 8, 30).astimezone().astimezone(UTC)
    assert read_moment("2026-11-01T08:30", NOW) == f"{local:%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize("text", ["", "h", "-1h", "soon", "12", "2026-13-01", "9999999d", "1y"])
def test_what_is_no_moment_is_refused_with_examples(text):
    with pytest.raises(Misuse, match="is no moment") as told:
        read_moment(text, NOW)
    assert "yesterday" in told.value.advice[0]


def test_now_knows_its_zone():
    assert local_now().tzinfo is not None
