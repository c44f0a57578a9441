"""The answer to get_usage: windows are read, and whatever else stands there is passed over."""

import pytest

from ocpd.pool.allowance import Window, read_allowance

RESET = "2026-11-21T11:00:00+00:00"
RESET_S = 1_795_258_800.0


def test_windows_are_shares_with_the_moment_of_their_reset() -> None:
    answer = (
        b'{"rate_limits": {"five_hour": {"utilization": 25, "resets_at": "%s"},'
        b' "seven_day": {"utilization": 50.5, "resets_at": 1795258800}}}' % RESET.encode()
    )
    assert read_allowance(answer) == (
        Window("five_hour", 0.25, RESET_S),
        Window("seven_day", 0.505, RESET_S),
    )


def test_what_is_no_window_is_left_out_and_the_others_are_read() -> None:
    answer = (
        b'{"rate_limits": {"list": [1], "flag": true, "none": null, "empty": {},'
        b' "odd": {"utilization": "much"}, "five_hour": {"utilization": 0, "resets_at": "soon"}}}'
    )
    assert read_allowance(answer) == (Window("five_hour", 0.0, None),)


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense", b"[]", b"{}", b'{"rate_limits": null}', b'{"rate_limits": 3}', b"\xff\xfe"],
)
def test_what_cannot_be_read_is_no_window(answer: bytes) -> None:
    assert read_allowance(answer) == ()
