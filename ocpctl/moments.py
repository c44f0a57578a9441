"""Moments as people write them, and as the daemon's query parameters want them.

What may live here: reading a text against a clock that is handed in.
"""

from datetime import UTC, datetime, timedelta

from ocpctl.failures import Misuse

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

WHEN_HELP = "30m, 12h, 7d, 2w, today, yesterday, or a date such as 2026-11-01 or 2026-11-01T08:30"


def read_moment(text: str, now: datetime) -> str:
    """Return the moment ``text`` means as "YYYY-MM-DD HH:MM:SS" in UTC.

    ``now`` carries the user's time zone; a date without one is meant in it. Raises Misuse.
    """
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdecimal() and unit in _UNITS and len(number) < 6:
        moment = now - timedelta(**{_UNITS[unit]: int(number)})
    elif text in ("today", "yesterday"):
        midnight = now.replace(hour=0, minute=0, second=0)
        moment = midnight - timedelta(days=text == "yesterday")
    else:
        moment = _read_date(text)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _read_date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise Misuse(f"{text!r} is no moment", (f"known are {WHEN_HELP}",)) from None


def local_now() -> datetime:
    """Return this moment in the user's time zone."""
    return datetime.now(UTC).astimezone()
