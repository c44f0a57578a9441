"""Promise: records keep what came, refusals have the one shape that clients read."""

import msgspec
import pytest

from ocpd.errors import (
    BadRequest,
    Bug,
    OcpdError,
    Overloaded,
    QuotaExceeded,
    QuotaFacts,
    Unauthorized,
)
from ocpd.http.message import Headers, json_response, refusal

ITEMS = [(b"host", b"here"), (b"accept", b"a"), (b"accept", b"caf\xe9")]


def test_headers_give_the_first_value_and_all_of_them():
    headers = Headers(ITEMS)
    assert headers.get("accept") == "a"
    assert headers.get("cookie") is None
    assert headers.get_all("accept") == ["a", "café"]
    assert headers.get_all("cookie") == []
    assert "host" in headers
    assert len(headers) == 3
    assert next(iter(headers)) == ("host", "here")


def test_the_repr_of_headers_keeps_their_values_secret():
    assert repr(Headers([(b"authorization", b"Bearer sk-1")])) == "<Headers authorization>"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "invalid_request_error") for status in (400, 404, 405, 408, 411, 413, 431)),
        (401, "auth_error"),
        (403, "permission_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (501, "api_error"),
        (503, "api_error"),
    ],
)
def test_every_status_has_its_type_of_error(status, kind):
    answer = refusal(OcpdError("So it is.", status=status, code="why", param="model"))
    assert answer.status == status
    assert msgspec.json.decode(answer.body) == {
        "error": {"message": "So it is.", "type": kind, "param": "model", "code": "why"}
    }
    assert ("content-type", "application/json") in answer.headers


def test_a_refusal_says_when_to_come_back_and_how_to_sign_in():
    assert ("retry-after", "5") in refusal(Overloaded("Full.", retry_after_s=5)).headers
    assert ("www-authenticate", "Bearer") in refusal(Unauthorized("Who?")).headers
    assert len(refusal(BadRequest("No.")).headers) == 1


def test_a_quota_is_told_in_the_body_and_the_headers():
    facts = QuotaFacts("daily", 5, 6, "2h 0m")
    told = refusal(QuotaExceeded("Enough.", facts, retry_after_s=7, headers=(("a", "b"),)))
    assert msgspec.json.decode(told.body)["error"] == {
        "message": "Enough.",
        "type": "quota_exceeded",
        "param": None,
        "code": "quota_exceeded",
        "quota": {"period": "daily", "limit": 5, "used": 6, "resetsIn": "2h 0m"},
    }
    assert told.headers[1:] == (("retry-after", "7"), ("a", "b"))


def test_a_refusal_never_tells_the_detail():
    assert b"secret" not in refusal(Bug("secret")).body


def test_a_json_response_keeps_its_bytes():
    answer = json_response(201, b'{"a": 1}', [("x-more", "1")])
    assert answer.body == b'{"a": 1}'
    assert answer.headers == (("content-type", "application/json"), ("x-more", "1"))
