"""Bytes become lines, wherever they were cut, and no line is ever kept beyond the limit."""

from itertools import pairwise

import pytest

from ocpd.claude.lines import Lines, LineTooLong


def feed_all(lines: Lines, *chunks: bytes) -> list[bytes]:
    return [line for chunk in chunks for line in lines.feed(chunk)]


def test_a_chunk_may_hold_several_lines_and_the_beginning_of_another() -> None:
    lines = Lines()
    assert lines.feed(b"one\ntwo\nthr") == [b"one", b"two"]
    assert lines.feed(b"") == []
    assert lines.feed(b"ee") == []
    assert lines.feed(b"\n") == [b"three"]


def test_a_line_that_never_ends_is_never_given() -> None:
    assert feed_all(Lines(), b"{", b"}") == []


def test_a_line_may_be_cut_inside_a_character() -> None:
    whole = "😀\n".encode()
    for at in range(len(whole)):
        assert feed_all(Lines(), whole[:at], whole[at:]) == ["😀".encode()]


def test_blank_lines_are_left_out() -> None:
    assert feed_all(Lines(), b"\n\n  \n", b" \r", b"\na\n\n") == [b"a"]


def test_only_a_newline_ends_a_line() -> None:
    text = "a\u2028b\u2029c\x85d\rf\0g".encode()
    assert feed_all(Lines(), text + b"\n") == [text]


def test_a_line_of_ten_megabytes_is_one_line() -> None:
    line = b"x" * 10_000_000
    edges = range(0, len(line) + 65_536, 65_536)
    chunks = [line[a:b] for a, b in pairwise(edges)]
    assert feed_all(Lines(), *chunks, b"\n", b"next\n") == [line, b"next"]


@pytest.mark.parametrize(
    "chunks",
    [
        (b"12345678\n",),
        (b"1234", b"5678\n"),
        (b"12345678", b"\n"),
    ],
)
def test_a_line_as_long_as_the_limit_fits(chunks: tuple[bytes, ...]) -> None:
    assert feed_all(Lines(limit_bytes=8), *chunks) == [b"12345678"]


@pytest.mark.parametrize(
    "chunks",
    [
        (b"123456789\n",),
        (b"1234", b"56789\n"),
        # A line may be too long before its end is in sight.
        (b"1234", b"56789"),
        (b"123456789",),
    ],
)
def test_a_line_one_byte_longer_does_not(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(LineTooLong, match="over 8 bytes"):
        feed_all(Lines(limit_bytes=8), *chunks)


@pytest.mark.parametrize("after", [b"", b"\n", b"\nthree\n"])
def test_the_lines_before_one_that_is_too_long_are_not_lost(after: bytes) -> None:
    lines = Lines(limit_bytes=8)
    assert lines.feed(b"o") == []
    with pytest.raises(LineTooLong) as caught:
        lines.feed(b"ne\ntwo\n123456789" + after)
    assert caught.value.before == [b"one", b"two"]


def test_after_a_line_that_is_too_long_nothing_is_read_or_kept() -> None:
    lines = Lines(limit_bytes=8)
    for chunk in (b"123456789", b"\n", b"one\n", b"x" * 100):
        with pytest.raises(LineTooLong) as caught:
            lines.feed(chunk)
        assert caught.value.before == []
    assert lines._tail == []
