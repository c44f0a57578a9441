"""The outline of a schema is what the CLI and the API take, and is never stronger than it."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from ocpd.turn.outline import unwrap
from ocpd.turn.schema import any_object, compile_schema
from tests.unit.turn.schema_corpus import SAMPLES, make_object

# What the CLI knows, compiling strictly for draft-07 (seen on 2.1.330), and is the same in 2020-12.
KNOWN = {
    *("$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "definitions"),
    *("description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "items"),
    *("maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength"),
    *("minProperties", "minimum", "multipleOf", "properties", "required", "title", "type"),
    "uniqueItems",
}


def drawn(written: Any, *, strict: bool = False) -> tuple[Any, bool]:
    raw = msgspec.Raw(msgspec.json.encode(written))
    outline = compile_schema(raw, strict=strict).outline
    return msgspec.json.decode(outline.schema), outline.wraps


def assert_known(node: Any) -> None:
    if isinstance(node, bool):
        return
    assert set(node) <= KNOWN
    assert "multipleOf" not in node or isinstance(node["multipleOf"], int)
    assert node.get("enum", [1])
    for keyword in ("properties", "$defs", "definitions"):
        for part in node.get(keyword, {}).values():
            assert_known(part)
    for part in [*node.get("anyOf", []), *node.get("allOf", [])]:
        assert_known(part)
    for keyword in ("items", "additionalProperties"):
        assert_known(node.get(keyword, True))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_outline_is_what_everybody_takes(name: str) -> None:
    top, _ = drawn(SAMPLES[name].schema, strict=SAMPLES[name].strict)
    assert_known(top)
    assert top["type"] == "object"
    assert top["properties"]
    assert not {"$ref", "anyOf", "allOf"} & set(top)
    for kind in (jsonschema_rs.Draft7Validator, jsonschema_rs.Draft202012Validator):
        kind(top, offline=True)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_outline_lets_every_good_answer_through(name: str) -> None:
    sample = SAMPLES[name]
    top, wraps = drawn(sample.schema, strict=sample.strict)
    answer = {"answer": sample.good} if wraps else sample.good
    assert jsonschema_rs.Draft7Validator(top, validate_formats=False).is_valid(answer)


def test_a_plain_object_stays_as_it_is() -> None:
    schema = SAMPLES["plain"].schema
    assert drawn(schema) == (schema, False)


def test_what_is_no_plain_object_becomes_the_one_property_of_one() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "description": "Primes."}
    assert drawn(schema) == (
        make_object({"answer": schema}, required=["answer"], additionalProperties=False),
        True,
    )


def test_references_lead_to_where_things_are_now() -> None:
    top, _ = drawn({"type": "array", "items": {"$ref": "#/$defs/A"}, "$defs": {"A": {}}})
    assert top["properties"]["answer"]["items"] == {"$ref": "#/properties/answer/$defs/A"}
    top, _ = drawn({"type": "array", "items": {"$ref": "#"}})
    assert top["properties"]["answer"]["items"] == {"$ref": "#/properties/answer"}


def test_what_had_to_be_left_out_is_told_in_words() -> None:
    schema = make_object({"a": {"type": "string", "pattern": "^x"}}, description="Said first.")
    top, _ = drawn(schema)
    assert top["properties"] == {"a": {"type": "string"}}
    assert top["description"].startswith("Said first.\nIt must match this JSON Schema: {")
    assert '"pattern":"^x"' in top["description"]


def test_words_that_mean_nothing_here_are_left_out_in_silence() -> None:
    top, _ = drawn(SAMPLES["words of other tools"].schema)
    assert top == make_object({"a": {"type": "integer"}})


def test_a_schema_too_long_to_be_told_is_not() -> None:
    schema = make_object({"a": {"pattern": "^x", "title": "t" * 20_000}})
    assert "description" not in drawn(schema)[0]


def test_json_mode_asks_for_one_object_with_its_fields() -> None:
    outline = any_object().outline
    (answer,) = msgspec.json.decode(outline.schema)["properties"].values()
    assert outline.wraps
    assert "one JSON object" in answer["description"]


def test_what_is_wrapped_comes_out_as_it_was_spelled() -> None:
    outline = any_object().outline
    assert unwrap(outline, '{ "answer" : {"b": 1.0, "a" : 1e2} }') == '{"b": 1.0, "a" : 1e2}'
    for broken in ("", "{}", "[]", '{"answer": 1', '{"answer": "\ud800"}'):
        assert unwrap(outline, broken) is None
