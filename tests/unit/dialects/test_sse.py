"""Frames."""

import msgspec

from ocpd.dialects.sse import DONE, KEEPALIVE, data_frame, escape_breaks


def test_a_frame_is_one_line_and_an_empty_one() -> None:
    assert data_frame(b'{"a":1}') == b'data: {"a":1}\n\n'
    assert DONE == b"data: [DONE]\n\n"


def test_what_keeps_a_stream_alive_is_a_comment() -> None:
    assert KEEPALIVE == b": keepalive\n\n"


def test_line_ends_of_unicode_are_escaped_and_mean_the_same() -> None:
    text = "a\u2028b\u2029c\u0085d\u200bü\n"
    payload = escape_breaks(msgspec.json.encode(text))
    assert len(payload.decode().splitlines()) == 1
    assert msgspec.json.decode(payload) == text
