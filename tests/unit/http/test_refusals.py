"""Promise: a refusal names its limit with the unit and the setting, and quotes no one."""

import h11

from ocpd.http.refusals import body_too_large, body_too_slow, head_too_slow, not_http


def test_limits_are_named_with_unit_and_setting():
    assert "1000 bytes (setting maxBodyBytes)" in body_too_large(1000).message
    assert "1.5 s (setting headerTimeout)" in head_too_slow(1.5).message
    assert "60 s (setting bodyTimeout)" in body_too_slow(60.0).message


def test_a_head_that_is_too_large_is_431_and_says_how_large_it_may_be():
    error = not_http(h11.RemoteProtocolError("Receive buffer too long", 431), 65_536)
    assert error.status == 431
    assert "65536 bytes" in error.message


def test_what_a_client_sent_is_not_quoted():
    error = not_http(h11.RemoteProtocolError("illegal header line: bytearray(b'sk-1')"), 1)
    assert error.message == "The request is not valid HTTP/1.1: illegal header line."
    assert error.status == 400
