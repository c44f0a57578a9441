"""Promise: a body is all of its bytes, or the reason why not; and it stays bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpd.errors import BadRequest, Gone
from ocpd.http.body import REST_LOW, UNREAD_HIGH, Body
from tests.unit.http.stage import run


@given(st.lists(st.binary(max_size=9)), st.integers(0, 40))
@settings(deadline=None, database=None)
def test_cuts_do_not_matter_to_a_body_or_its_limit(pieces, limit):
    async def main():
        body = Body(None)
        body.admit(limit)
        for piece in pieces:
            body.feed(piece)
        body.end()
        await body.wait()
        if len(whole := b"".join(pieces)) <= limit:
            assert body.take() == whole
        else:
            with pytest.raises(BadRequest) as caught:
                body.take()
            assert caught.value.status == 413

    run(main(), debug=False)


def test_a_body_that_is_known_to_be_too_large_is_dropped_at_once():
    for body in (Body(11), Body(None)):
        body.feed(b"x" * 11)
        with pytest.raises(BadRequest):
            body.admit(10)
        assert body.is_settled
        assert not body.is_complete
        assert not body.has_short_rest


def test_an_unread_body_gets_overfull_and_a_spoiled_one_does_not():
    body = Body(UNREAD_HIGH * 2)
    body.feed(b"x" * UNREAD_HIGH)
    assert not body.is_overfull
    body.feed(b"x")
    assert body.is_overfull
    body.fail(BadRequest("no"))
    assert not body.is_overfull
    body.feed(b"x" * UNREAD_HIGH)
    assert not body.is_overfull


def test_a_short_rest_must_be_known():
    assert Body(REST_LOW).has_short_rest
    assert not Body(None).has_short_rest
    long = Body(REST_LOW + 10)
    assert not long.has_short_rest
    long.feed(b"x" * 10)
    assert long.has_short_rest


def test_the_first_failure_stays_and_a_complete_body_cannot_fail():
    body = Body(5)
    body.fail(BadRequest("first"))
    body.fail(Gone("second"))
    with pytest.raises(BadRequest, match="first"):
        body.take()
    whole = Body(1)
    whole.feed(b"x")
    whole.end()
    whole.fail(Gone("late"))
    assert whole.take() == b"x"
