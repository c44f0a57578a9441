"""Bodies that are no JSON, or not the JSON that was wanted."""

import msgspec
import pytest

from ocpd.dialects.body import is_given, read_body
from ocpd.errors import BadRequest


class Inner(msgspec.Struct):
    role: str
    size: int | None = None
    kind: str | list[int] | None = None


class Outer(msgspec.Struct):
    items: list[Inner] | None = None
    rest: msgspec.Raw = msgspec.Raw()
    map: dict[str, float] | None = None


DECODER: msgspec.json.Decoder[Outer] = msgspec.json.Decoder(Outer)


def refuse(body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        read_body(body, DECODER)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b'{"items":[{"role":3}]}', "items[0].role: expected string, got integer", "items[0].role"),
        (b'{"items":[{}]}', "items[0].role: required, but missing", "items[0].role"),
        (b'{"items":[null]}', "items[0]: expected object, got null", "items[0]"),
        (
            b'{"items":[{"role":"a","size":1.5}]}',
            "items[0].size: expected integer, got number",
            "items[0].size",
        ),
        (
            b'{"items":[{"role":"a","kind":true}]}',
            "items[0].kind: expected string or array, got boolean",
            "items[0].kind",
        ),
        (b'{"map":{"k":"v"}}', "map[...]: expected number, got string", "map[...]"),
        (b'{"map":{"k":1e999}}', "map[...]: number out of range", "map[...]"),
        (b"[]", "the body must be a JSON object, got array", None),
        (b"null", "the body must be a JSON object, got null", None),
        (b'"x"', "the body must be a JSON object, got string", None),
    ],
)
def test_a_value_of_the_wrong_type_is_named_by_its_path(
    body: bytes, message: str, param: str | None
) -> None:
    refusal = refuse(body)
    assert (refusal.message, refusal.param) == (message, param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{} x",
        b"\xef\xbb\xbf{}",
        b'{"items":NaN}',
        b'{"x":"\xff"}',
        b'{"rest":"\xff"}',
        b'{"x":"\xed\xa0\x80"}',
        b'{"items":[{"role":"\\ud800"}]}',
        b'{"x":"' + b"a" * 65_530 + b'\xc3"}',
        b'{"x":"\xc3',
        b'{"x":' + b"[" * 200_000,
        b'{"rest":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}",
    ],
)
def test_what_is_no_json_is_refused_without_a_param(body: bytes) -> None:
    refusal = refuse(body)
    assert refusal.message.startswith("the body is not valid JSON: ")
    assert refusal.param is None


def test_a_character_may_lie_across_two_slices_of_the_check() -> None:
    body = b'{"x":"' + b"a" * 65_529 + "ü".encode() * 70_000 + b'"}'
    assert read_body(body, DECODER) == Outer()


def test_a_missing_field_of_the_whole_body_is_named() -> None:
    decoder: msgspec.json.Decoder[Inner] = msgspec.json.Decoder(Inner)
    with pytest.raises(BadRequest) as caught:
        read_body(b"{}", decoder)
    assert caught.value.param == "role"


def test_a_piece_of_a_body_is_named_below_its_root() -> None:
    decoder: msgspec.json.Decoder[list[Inner]] = msgspec.json.Decoder(list[Inner])
    with pytest.raises(BadRequest) as caught:
        read_body(msgspec.Raw(b'[{"role":1}]'), decoder, "input")
    assert caught.value.param == "input[0].role"
    with pytest.raises(BadRequest) as caught:
        read_body(msgspec.Raw(b"7"), decoder, "input")
    assert caught.value.message == "input: expected array, got integer"


def test_absent_and_null_are_both_not_given() -> None:
    assert not is_given(msgspec.Raw())
    assert not is_given(msgspec.Raw(b"null"))
    assert is_given(msgspec.Raw(b"0"))
