"""Promise: what is spelled here, h11's client side reads back; the date is that of the RFC."""

from email.utils import formatdate

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpd import aio
from ocpd.errors import Bug
from ocpd.http.answer import Answers, Letterhead, format_date
from ocpd.http.message import Response


def make_answers(request: bytes) -> tuple[Answers, h11.Connection]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request)
    connection.next_event()
    connection.next_event()
    return Answers(connection, Letterhead((("x-own", "1"),))), connection


def test_a_whole_answer_has_its_length_and_the_letterhead():
    answers, connection = make_answers(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    head, _, body = answers.whole(Response(200, (), b"hey"), False, False).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 3" in head
    assert b"x-own: 1" in head
    assert b"date: " in head
    assert b"server:" not in head.lower()
    assert body == b"hey"
    assert connection.our_state is h11.DONE


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_declares_none(status):
    answers, _ = make_answers(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    sent = answers.whole(Response(status, (), b"ignored"), False, False)
    assert sent.endswith(b"\r\n\r\n")
    assert b"content-length" not in sent


def test_a_final_answer_says_so():
    answers, connection = make_answers(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    sent = answers.whole(Response(200), False, True)
    assert b"connection: close" in sent.lower()
    assert connection.our_state is h11.MUST_CLOSE


@pytest.mark.parametrize("name", ["content-length", "Transfer-Encoding"])
def test_a_streamed_answer_must_not_declare_its_framing(name):
    answers, _ = make_answers(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    with pytest.raises(Bug):
        answers.head(200, [(name, "5")], False, False)


@pytest.mark.parametrize(
    ("request_head", "is_head", "expected"),
    [
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", False, b"b\r\nhello world\r\n0\r\n\r\n"),
        (b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", True, b""),
        (b"GET / HTTP/1.0\r\n\r\n", False, b"hello world"),
    ],
)
def test_chunks_fit_the_framing_of_the_head(request_head, is_head, expected):
    answers, _ = make_answers(request_head)
    head = answers.head(200, (), is_head, False)
    assert head.endswith(b"\r\n\r\n")
    assert answers.chunk(b"hello world") + answers.end() == expected


def test_leave_to_send_a_body_is_an_interim_answer():
    request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\nexpect: 100-continue\r\n\r\n"
    answers, connection = make_answers(request)
    assert answers.go_ahead() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert not connection.they_are_waiting_for_100_continue


def test_a_header_that_would_split_the_answer_is_never_sent():
    answers, _ = make_answers(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    with pytest.raises(h11.LocalProtocolError):
        answers.whole(Response(200, (("x", "a\r\nb: c"),)), False, False)
    assert answers.whole(Response(200), False, False)


@given(st.integers(0, 4_000_000_000))
@settings(deadline=None, database=None)
def test_dates_are_spelled_as_the_standard_library_spells_them(epoch_s):
    assert format_date(epoch_s).decode() == formatdate(epoch_s, usegmt=True)


def test_the_letterhead_is_written_anew_when_the_second_changes(monkeypatch):
    now = 1_000_000.2
    monkeypatch.setattr(aio, "wall_clock", lambda: now)
    letterhead = Letterhead()
    first = letterhead.lines()
    now = 1_000_000.9
    assert letterhead.lines() is first
    now = 1_000_001.0
    assert letterhead.lines() == [(b"date", b"Mon, 12 Jan 1970 13:46:41 GMT")]
    now = 999_999.0
    assert letterhead.lines() == [(b"date", b"Mon, 12 Jan 1970 13:46:39 GMT")]
