"""The shared spelling: bodies and queries are read strictly, moments both ways."""

import msgspec
import pytest

from ocpd.admin import answers
from ocpd.admin.wire import ImportOcp, NewKey, Nothing, TokenToStore
from ocpd.errors import BadRequest, Refused, Unauthorized
from ocpd.http.body import Body
from ocpd.http.exchange import Exchange
from ocpd.http.message import Headers, Request


def asking(query: str) -> Exchange:
    request = Request("GET", f"/x?{query}", "/x", query, Headers(), "1.1", "127.0.0.1")
    return Exchange(request, Body(0), None)


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b" { } "])
def test_no_body_is_an_empty_object(body):
    assert answers.convert(body, Nothing) == Nothing()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"null", "not_an_object"),
        (b"[]", "not_an_object"),
        (b"true", "not_an_object"),
        (b"1.5", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"[" * 5_000, "not_an_object"),
        (b"{", "invalid_json"),
        (b"{} {}", "invalid_json"),
        (b"{'a': 1}", "invalid_json"),
        (b'{"name": \xff}', "invalid_json"),
        (b'{"name": "\xff"}', "invalid_json"),
        (b"name=x", "invalid_json"),
        (b'{"name": ' + b"[" * 5_000, "invalid_json"),
    ],
)
def test_what_is_no_object_is_refused(body, code):
    with pytest.raises(BadRequest) as caught:
        answers.convert(body, NewKey)
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    ("kind", "body", "param", "code"),
    [
        (NewKey, {"nome": 1}, "nome", "unknown_field"),
        (Nothing, {"x": 1}, "x", "unknown_field"),
        (TokenToStore, {}, "token", "missing_field"),
        (NewKey, {"name": 5}, "name", None),
        (NewKey, {"models": ["a", 5]}, "models[1]", None),
        (ImportOcp, {"db": "not base64!"}, "db", None),
        (ImportOcp, {"db": "YQ==", "dry_run": "yes"}, "dry_run", None),
    ],
)
def test_a_field_that_does_not_fit_is_named(kind, body, param, code):
    with pytest.raises(BadRequest) as caught:
        answers.convert(msgspec.json.encode(body), kind)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert param in caught.value.message


def test_a_query_is_read_and_decoded():
    assert answers.read_query(asking("a=1&b=x%20y+z&&c="), "a", "b", "c") == {
        "a": "1",
        "b": "x y z",
        "c": "",
    }


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("x=1", "x"),
        ("a=1&a=2", "a"),
        ("a=%zz", None),
        ("a=%ff", None),
        ("%ff=1", None),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(query, param):
    with pytest.raises(BadRequest) as caught:
        answers.read_query(asking(query), "a")
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(None, 30), ("0", 1), ("1", 1), ("200", 200), ("501", 500), ("9" * 5_000, 500), ("007", 7)],
)
def test_a_count_is_brought_into_its_range(raw, expected):
    query = {} if raw is None else {"n": raw}
    assert answers.read_count(query, "n", 30, 1, 500) == expected


@pytest.mark.parametrize("raw", ["", "x", "-1", "1.5", "1e3", "%", " 5", "٣", "0x10", "+5"])
def test_a_count_that_is_none_is_refused_by_name(raw):
    with pytest.raises(BadRequest, match=r"n: .* is not a whole number"):
        answers.read_count({"n": raw}, "n", 30, 1, 500)


def test_a_flag_is_yes_or_no():
    for raw in ("1", "true", "TRUE", "yes", "on"):
        assert answers.read_flag({"all": raw}, "all", default=False)
    for raw in ("0", "false", "no", "off"):
        assert not answers.read_flag({"all": raw}, "all", default=True)
    assert answers.read_flag({}, "all", default=True)
    with pytest.raises(BadRequest) as caught:
        answers.read_flag({"all": "maybe"}, "all", default=True)
    assert caught.value.param == "all"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T11:00:00Z",
        "2026-11-21 11:00:00",
        "2026-11-21T12:00:00+01:00",
        "2026-11-21T12:00:00 01:00",
        "2026-11-21T11:00",
    ],
)
def test_a_moment_is_read_as_utc_unless_it_says_otherwise(text):
    at = answers.read_moment(text, "since")
    assert answers.spell_iso(at) == "2026-11-21T11:00:00Z"
    assert answers.spell_moment(at) == "2026-11-21 11:00:00"


def test_a_date_alone_is_its_first_moment():
    assert answers.spell_iso(answers.read_moment("2026-11-21", "x")) == "2026-11-21T00:00:00Z"


@pytest.mark.parametrize("text", ["", "yesterday", "24h", "2026-13-01", "1700000000.5"])
def test_a_moment_that_is_none_is_refused_by_name(text):
    with pytest.raises(BadRequest) as caught:
        answers.read_moment(text, "since")
    assert caught.value.param == "since"


@pytest.mark.parametrize("at", [-1e300, float("nan"), float("inf"), 1e300])
def test_a_moment_out_of_range_is_still_spelled(at):
    assert len(answers.spell_moment(at)) == 19


def test_spans_are_spelled_in_hours_and_minutes():
    assert answers.spell_uptime(0) == "0h 0m"
    assert answers.spell_uptime(23_520_000) == "6h 32m"
    assert answers.spell_uptime(360_000_000) == "100h 0m"


def test_a_401_says_what_would_help_and_a_403_does_not():
    headers = dict(answers.spell_refusal(Unauthorized("no")).headers)
    assert headers["www-authenticate"].startswith("Bearer ")
    assert "admin key" in headers["www-authenticate"]
    assert "loopbackAdmin" in headers["www-authenticate"]
    assert headers["cache-control"] == "no-store"
    assert "www-authenticate" not in dict(answers.spell_refusal(Refused("no")).headers)


def test_a_text_refusal_keeps_status_and_headers():
    spelled = answers.spell_text_refusal(BadRequest("Key not found", status=404))
    assert spelled.status == 404
    assert msgspec.json.decode(spelled.body) == {"error": "Key not found"}
