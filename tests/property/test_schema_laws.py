"""The laws of answers with a form.

1. Whatever a schema lets be, is accepted, however its JSON is spaced; strict refuses nothing that
   is declared. What comes out is the same value, its keys in the same order.
2. What a schema lets be goes through its outline too, and the outline is one that two drafts take.
3. Whatever a caller sends as a schema, and whatever the model answers: a verdict or a BadRequest.
"""

import contextlib
from typing import Any

import jsonschema_rs
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ocpd.errors import BadRequest
from ocpd.turn.schema import Accepted, Rejected, any_object, compile_schema

Pair = tuple[Any, Any]
"""A schema, and an instance that it lets be."""

NAMES = st.text("abcé$_/~ %", min_size=1, max_size=4)
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)


def _leaf(value: Any) -> st.SearchStrategy[Pair]:
    said: list[Any] = [{}, {"const": value}, {"enum": [value, "other"]}, {"enum": [value, value]}]
    if isinstance(value, str):
        length = len(value)
        said += [{"type": "string", "maxLength": length}, {"type": ["string", "null"]}]
        said += [{"type": "string", "pattern": "^"}, {"minLength": length, "format": "email"}]
    elif isinstance(value, bool):
        said += [{"type": "boolean"}]
    elif isinstance(value, int):
        said += [{"type": "integer", "minimum": value}, {"type": "number", "multipleOf": 1}]
    elif value is None:
        said += [{"type": "null"}, {"type": "string", "nullable": True, "enum": ["x"]}]
        said += [{"type": ["string", "null"], "enum": ["x"]}]
    else:
        said += [{"type": "number", "maximum": value}]
    return st.sampled_from(said).map(lambda schema: (schema, value))


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    parts = draw(st.dictionaries(NAMES, inner, max_size=4))
    absent = draw(st.dictionaries(NAMES, inner, max_size=2))
    schema: Any = {
        "type": "object",
        "properties": {name: pair[0] for name, pair in (absent | parts).items()},
        "required": draw(st.lists(st.sampled_from(sorted(parts)), unique=True)) if parts else [],
    }
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.sampled_from([False, True, {}]))
    if draw(st.booleans()):
        schema |= {"title": "T", "x-order": 1, "description": "said"}
    return schema, {name: pair[1] for name, pair in parts.items()}


@st.composite
def _lists(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    parts = draw(st.lists(inner, max_size=3))
    values = [pair[1] for pair in parts]
    kinds = [pair[0] for pair in parts]
    forms: list[Any] = [{}, {"minItems": len(parts), "maxItems": len(parts)}]
    if kinds:
        forms += [{"prefixItems": kinds, "items": False}, {"items": {"anyOf": kinds}}]
    form = draw(st.sampled_from(forms))
    return {"type": "array"} | form, values


@st.composite
def _combined(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    schema, value = draw(inner)
    other = draw(inner)[0]
    forms: list[Any] = [{"anyOf": [other, schema]}, {"allOf": [schema]}, {"allOf": [schema, {}]}]
    forms += [{"oneOf": [schema, False]}, {"oneOf": [schema]}, {"if": False, "else": schema}]
    return draw(st.sampled_from(forms)), value


def _grow(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    return _objects(inner) | _lists(inner) | _combined(inner)


PAIRS = st.recursive(SCALARS.flatmap(_leaf), _grow, max_leaves=12)


@st.composite
def with_reference(draw: st.DrawFn) -> Pair:
    """As often as not, the schema is somewhere else, and referred to."""
    schema, value = draw(PAIRS)
    if draw(st.booleans()):
        return schema, value
    place = draw(st.sampled_from(["$defs", "definitions"]))
    referred: Any = {"$ref": f"#/{place}/it", place: {"it": schema}}
    if draw(st.booleans()):
        return referred, value
    kept = {"type": "object", "properties": {"x": {"$ref": f"#/{place}/it"}}, place: {"it": schema}}
    return kept, {"x": value}


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        return [(name, _keys(each)) for name, each in value.items()]
    return [_keys(each) for each in value] if isinstance(value, list) else value


@given(with_reference(), st.booleans(), st.integers(0, 3))
def test_what_a_schema_lets_be_is_accepted(pair: Pair, strict: bool, indent: int) -> None:
    schema, value = pair
    checker = compile_schema(_raw(schema), strict=strict)
    text = msgspec.json.format(msgspec.json.encode(value), indent=indent or -1).decode()
    verdict = checker.check(f"\n {text}\t")
    assert isinstance(verdict, Accepted)
    assert "\n" not in verdict.text
    assert _keys(msgspec.json.decode(verdict.text)) == _keys(value)


@given(with_reference())
def test_the_outline_is_never_stronger(pair: Pair) -> None:
    schema, value = pair
    outline = compile_schema(_raw(schema), strict=False).outline
    top = msgspec.json.decode(outline.schema)
    answer = {"answer": value} if outline.wraps else value
    for kind in (jsonschema_rs.Draft7Validator, jsonschema_rs.Draft202012Validator):
        assert kind(top, validate_formats=False, offline=True).is_valid(answer)


WORDS = st.sampled_from(
    [
        *("type", "properties", "required", "items", "$ref", "$defs", "definitions", "anyOf"),
        *("allOf", "oneOf", "not", "if", "then", "const", "enum", "pattern", "$id", "id"),
        *("$schema", "$anchor", "$dynamicRef", "nullable", "minimum", "patternProperties"),
        *("additionalProperties", "dependencies", "prefixItems", "description", "default"),
        *("multipleOf", "format"),
    ]
)
ODDS: st.SearchStrategy[Any] = SCALARS | st.sampled_from(
    ["object", "string", "#", "#/$defs/a", "#/properties/b/", "#a", "http://x.example/", "(", "^a$"]
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    ODDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | NAMES, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(WORDS, ANYTHING, max_size=4), ANYTHING, st.booleans())
def test_any_schema_gives_a_check_or_a_refusal(schema: Any, value: Any, strict: bool) -> None:
    try:
        checker = compile_schema(_raw(schema), strict=strict)
    except BadRequest:
        return
    assert isinstance(checker.check(msgspec.json.encode(value).decode()), Accepted | Rejected)
    top = msgspec.json.decode(checker.outline.schema)
    jsonschema_rs.Draft7Validator(top, offline=True)
    jsonschema_rs.Draft202012Validator(top, offline=True)


@given(st.binary(max_size=40))
def test_any_bytes_give_a_check_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(BadRequest):
        compile_schema(msgspec.Raw(data), strict=False)


@given(st.text() | st.text('{}[]":,\\ \n`019eE.-truefalsn'))
def test_any_text_gives_a_verdict(text: str) -> None:
    for verdict in (any_object().check(text), any_object().check_call(text)):
        if isinstance(verdict, Accepted):
            assert isinstance(msgspec.json.decode(verdict.text), dict)
