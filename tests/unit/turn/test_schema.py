"""An answer is checked against the schema the caller wrote, and a schema is bounded."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from ocpd.errors import BadRequest
from ocpd.turn import schema
from ocpd.turn.request import AnswerFormat, Shape
from ocpd.turn.schema import (
    Accepted,
    Checker,
    Rejected,
    any_object,
    compile_schema,
    find_checker,
)
from tests.unit.turn.schema_corpus import SAMPLES, make_object, write_call


def compiled(written: Any, *, strict: bool = False) -> Checker:
    return compile_schema(msgspec.Raw(msgspec.json.encode(written)), strict=strict)


def spell(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def refused(written: Any) -> BadRequest:
    raw = written if isinstance(written, bytes) else msgspec.json.encode(written)
    with pytest.raises(BadRequest) as caught:
        compile_schema(msgspec.Raw(raw), strict=False)
    return caught.value


@pytest.mark.parametrize("name", SAMPLES)
def test_what_has_the_form_is_accepted_and_nothing_else(name: str) -> None:
    sample = SAMPLES[name]
    checker = compiled(sample.schema, strict=sample.strict)
    assert checker.check(spell(sample.good)) == Accepted(spell(sample.good))
    assert isinstance(checker.check(spell(sample.bad)), Rejected)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_call_holds_the_answer_and_is_written_as_it_is_read(name: str) -> None:
    sample = SAMPLES[name]
    checker = compiled(sample.schema, strict=sample.strict)
    call = write_call(checker, spell(sample.good))
    assert checker.check_call(call) == Accepted(spell(sample.good))
    assert isinstance(checker.check_call(write_call(checker, spell(sample.bad))), Rejected)


@pytest.mark.parametrize(
    ("text", "compact"),
    [
        ('{"b": 1.0, "a": 1e5}', '{"b":1.0,"a":1e5}'),
        ('{\n\t"b" : [ 1 ,\r\n 2 ]\n}\n', '{"b":[1,2]}'),
        ('{"a b": " \\" : { , \\\\", "c": ""}', '{"a b":" \\" : { , \\\\","c":""}'),
        ('{"n": 123456789012345678901234567890}', '{"n":123456789012345678901234567890}'),
        ('{"n": -0, "e": 1E-2}', '{"n":-0,"e":1E-2}'),
        ('{"é": "\\u00e9 \u2028"}', '{"é":"\\u00e9 \u2028"}'),
        ('{"a": 1, "a": 2}', '{"a":2}'),
        ('```json\n{"a": 1}\n```', '{"a":1}'),
        ('\n```\n{"a": 1}\n```\n', '{"a":1}'),
    ],
)
def test_only_white_space_and_a_fence_go(text: str, compact: str) -> None:
    assert any_object().check(text) == Accepted(compact)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure!",
        'Sure: {"a": 1}',
        '{"a": 1} {"b": 2}',
        '{"a": 1}.',
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": "\ud800"}',
        '\ufeff{"a": 1}',
        '{"a": 1',
        "[1]",
        '"{}"',
        "null",
        '{"a":' * 5000 + "1" + "}" * 5000,
        '{"a":' * 250 + "1" + "}" * 250,
    ],
)
def test_what_is_not_one_object_is_no_json_object(text: str) -> None:
    assert isinstance(any_object().check(text), Rejected)


def test_the_reason_says_where_and_quotes_nothing() -> None:
    checker = compiled(make_object({"city": make_object({"zip": {"type": "integer"}})}))
    verdict = checker.check('{"city": {"zip": "secret"}}')
    assert verdict == Rejected('at /city/zip: the value is not of type "integer"')


def test_the_reason_of_a_recursive_schema_is_short() -> None:
    verdict = compiled(SAMPLES["recursive"].schema).check('{"value": 1}')
    assert verdict == Rejected("it does not match the schema")


def test_a_call_without_an_answer_is_rejected() -> None:
    verdict = compiled({"type": "array"}).check_call("[1]")
    assert verdict == Rejected("the call has no answer in it")


def test_formats_are_notes() -> None:
    checker = compiled(make_object({"when": {"type": "string", "format": "date-time"}}))
    assert isinstance(checker.check('{"when": "soon"}'), Accepted)


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (b"", "cannot be read"),
        (b'{"type": ', "cannot be read"),
        (b'{"const": 1e999}', "cannot be read"),
        (True, "expected an object"),
        ([1], "expected an object"),
        ({"type": "objekt"}, "at /type:"),
        (make_object({"a": {"minimum": "x"}}), "at /properties/a/minimum:"),
        (make_object({"a": {"pattern": "["}}), "no regular expression"),
        (make_object({"a": {"pattern": "(a{1000}){1000}"}}), "no regular expression"),
        ({"$ref": "https://example.com/x.json"}, "only references within the schema"),
        ({"$ref": "file:///etc/passwd"}, "only references within the schema"),
        ({"$ref": "other.json#/a"}, "only references within the schema"),
        ({"$dynamicRef": "https://example.com/#a"}, "only references within the schema"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#none"}, "leads nowhere"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads back to itself"),
        ({"anyOf": [{"not": {"$ref": "#"}}]}, "leads back to itself"),
        ({"$defs": {"a": {"$id": "https://example.com/a"}}}, "$id inside"),
        (b'{"not":' * 70 + b"{}" + b"}" * 70, "nested too deeply"),
        (b'{"not":' * 5000 + b"{}" + b"}" * 5000, "cannot be read"),
        (make_object({f"p{i}": {"pattern": "a"} for i in range(101)}), "more than 100 patterns"),
        ({"description": "x" * schema.MAX_BYTES}, "longer than"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_by_name(written: Any, what: str) -> None:
    error = refused(written)
    assert error.status == 400
    assert error.param == "response_format.json_schema.schema"
    assert error.code == "invalid_json_schema"
    assert error.message.startswith("response_format.json_schema.schema: ")
    assert what in error.message
    assert len(error.message) < 500


def test_a_schema_that_unfolds_without_end_is_refused() -> None:
    steps = {f"s{i}": {"anyOf": [{"$ref": f"#/$defs/s{i + 1}"}] * 2} for i in range(40)}
    assert "too complex" in refused({"$ref": "#/$defs/s0", "$defs": steps | {"s40": {}}}).message
    chain = {f"s{i}": {"$ref": f"#/$defs/s{i + 1}"} for i in range(3000)}
    assert "too deeply" in refused({"$ref": "#/$defs/s0", "$defs": chain | {"s3000": {}}}).message


def test_another_place_in_the_body_is_named() -> None:
    raw = msgspec.Raw(b'{"type":1}')
    with pytest.raises(BadRequest) as caught:
        compile_schema(raw, strict=False, path="response_format.schema")
    assert caught.value.param == "response_format.schema"


def test_a_recursive_schema_is_checked_in_a_moment_however_often_it_branches() -> None:
    inner = {"type": "object", "properties": {"x": {"$ref": "#"}}}
    checker = compiled({"anyOf": [inner | {"required": ["k"]}, inner | {"required": ["l"]}]})
    # Two ways at each of 190 levels: without a memory this would not end.
    assert isinstance(checker.check('{"x":' * 190 + "{}" + "}" * 190), Rejected)


def test_a_pattern_cannot_run_away() -> None:
    checker = compiled({"type": "string", "pattern": r"^(?=(a+)+\1$)"})
    assert isinstance(checker.check(spell("a" * 5000 + "!")), Rejected)


def test_every_form_of_answer_has_its_check() -> None:
    raw = msgspec.Raw(b'{"type":"array"}')
    assert find_checker(AnswerFormat()) is None
    assert find_checker(AnswerFormat(Shape.JSON)) is any_object()
    wanted = find_checker(AnswerFormat(Shape.SCHEMA, raw))
    assert wanted is compile_schema(raw, strict=False)
    with pytest.raises(BadRequest):
        find_checker(AnswerFormat(Shape.SCHEMA))


def test_the_same_schema_is_compiled_once() -> None:
    written = make_object({"once": {"type": "integer"}})
    assert compiled(written) is compiled(written)
    assert compiled(written) is not compiled(written, strict=True)


def test_the_library_is_not_loaded_before_the_first_schema() -> None:
    told = "import sys, ocpd.turn.schema; assert 'jsonschema_rs' not in sys.modules"
    subprocess.run([sys.executable, "-c", told], check=True)
