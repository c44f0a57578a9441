"""Schemas as clients write them, each with an answer that has the form and one that has not.

What may live here: the list. The pydantic and zod ones are what those libraries make.
"""

from typing import Any

from msgspec import Struct

from ocpd.turn.outline import ANSWER
from ocpd.turn.schema import Checker

Schema = dict[str, Any]


def make_object(properties: Schema, **more: Any) -> Schema:
    """A schema of an object."""
    return {"type": "object", "properties": properties, **more}


def write_call(checker: Checker, answer: str) -> str:
    """The arguments of a call that gives ``answer``, a JSON text."""
    return f'{{"{ANSWER}":{answer}}}' if checker.outline.wraps else answer


class Sample(Struct, frozen=True):
    """One schema; ``good`` and ``bad`` are instances."""

    schema: Schema
    good: Any
    bad: Any
    strict: bool = False


_STEP = make_object(
    {"explanation": {"type": "string"}, "output": {"type": "string"}},
    title="Step",
    required=["explanation", "output"],
)
_TREE = make_object(
    {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    required=["value", "next"],
)
_CAT = make_object({"kind": {"const": "cat"}, "lives": {"type": "integer"}}, required=["kind"])
_DOG = make_object({"kind": {"const": "dog"}, "good": {"type": "boolean"}}, required=["kind"])

SAMPLES: dict[str, Sample] = {
    "plain": Sample(
        make_object({"a": {"type": "integer"}}, required=["a"], additionalProperties=False),
        {"a": 1},
        {"a": "1"},
    ),
    "pydantic": Sample(
        {
            "$defs": {"Step": _STEP},
            **make_object(
                {
                    "steps": {"items": {"$ref": "#/$defs/Step"}, "title": "Steps", "type": "array"},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                },
                title="Answer",
                required=["steps"],
            ),
        },
        {"steps": [{"explanation": "x", "output": "y"}], "note": None},
        {"steps": [{"explanation": "x", "output": "y", "more": 1}]},
        strict=True,
    ),
    "pydantic recursive": Sample(
        {"$defs": {"Node": make_object({"n": {"$ref": "#/$defs/Node"}})}, "$ref": "#/$defs/Node"},
        {"n": {"n": {}}},
        {"n": 1},
    ),
    "pydantic tuple": Sample(
        make_object(
            {
                "pair": {
                    "maxItems": 2,
                    "minItems": 2,
                    "prefixItems": [{"type": "integer"}, {"type": "string"}],
                    "type": "array",
                }
            }
        ),
        {"pair": [1, "x"]},
        {"pair": ["x", 1]},
    ),
    "pydantic union": Sample(
        make_object(
            {
                "pet": {
                    "discriminator": {"mapping": {"cat": "#/$defs/C"}, "propertyName": "kind"},
                    "oneOf": [{"$ref": "#/$defs/C"}, {"$ref": "#/$defs/D"}],
                }
            },
            **{"$defs": {"C": _CAT, "D": _DOG}},
        ),
        {"pet": {"kind": "dog", "good": True}},
        {"pet": {"kind": "bird"}},
    ),
    "zod": Sample(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **make_object(
                {
                    "mail": {
                        "type": "string",
                        "format": "email",
                        "pattern": r"^(?!\.)(?!.*\.\.)([a-z.]*)[a-z]@([a-z][a-z-]*\.)+[a-z]{2,}$",
                    },
                    "user": {"id": "User", "type": "object", "properties": {}},
                },
                required=["mail"],
                additionalProperties=False,
            ),
        },
        {"mail": "a@b.example"},
        {"mail": "a..b@b.example"},
    ),
    "draft 7": Sample(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"A": {"type": "integer"}},
            **make_object({"a": {"$ref": "#/definitions/A"}, "b": {"items": [{"type": "null"}]}}),
        },
        {"a": 1, "b": [None, 1]},
        {"a": 1, "b": [1]},
    ),
    "draft 4": Sample(
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "id": "thing",
            **make_object({"a": {"type": "integer", "minimum": 1, "exclusiveMinimum": True}}),
        },
        {"a": 2},
        {"a": 1},
    ),
    "lists of items without a draft": Sample(
        make_object({"a": {"items": [{"type": "string"}], "additionalItems": False}}),
        {"a": ["x"]},
        {"a": ["x", 1]},
    ),
    "recursive": Sample(_TREE, {"value": 1, "next": {"value": 2, "next": None}}, {"value": 1}),
    "array at the top": Sample({"type": "array", "items": {"type": "integer"}}, [1, 2], ["x"]),
    "array at the top, with references": Sample(
        {"type": "array", "items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"type": "integer"}}},
        [1],
        ["x"],
    ),
    "string at the top": Sample({"type": "string", "maxLength": 3}, "abc", "abcd"),
    "one of several at the top": Sample({"anyOf": [_CAT, _DOG]}, {"kind": "cat"}, {"kind": "cow"}),
    "or null at the top": Sample(make_object({}, type=["object", "null"]), None, 1),
    "any object": Sample({"type": "object"}, {"x": {"y": [1]}}, [1]),
    "anything but null": Sample({"not": {"type": "null"}}, 5, None),
    "a map": Sample(
        {"type": "object", "additionalProperties": {"type": "number"}}, {"x": 1.5}, {"x": "y"}
    ),
    "names that are no names": Sample(
        make_object({"größe": {"type": "integer"}, "__proto__": {}, "a b": {}}),
        {"größe": 3},
        {"größe": "x"},
    ),
    "nullable": Sample(
        make_object({"a": {"type": "string", "nullable": True, "enum": ["x", "y"]}}),
        {"a": None},
        {"a": "z"},
    ),
    "an enum that forgets null": Sample(
        make_object({"a": {"type": ["string", "null"], "enum": ["x"]}}), {"a": None}, {"a": "y"}
    ),
    "an enum that repeats itself": Sample(
        make_object({"a": {"enum": [1, 1, True, "1"]}}), {"a": True}, {"a": 2}
    ),
    "words of other tools": Sample(
        make_object(
            {"a": {"type": "integer", "example": 3, "x-order": 1, "readOnly": True}},
            propertyOrdering=["a"],
            strict=True,
        ),
        {"a": 1},
        {"a": None},
    ),
    "conditions": Sample(
        make_object(
            {"a": {"type": "integer"}, "b": {"type": "integer"}},
            **{"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}},
        ),
        {"a": 1, "b": 2},
        {"a": 1},
    ),
    "patterns of names": Sample(
        make_object(
            {"ab": {"type": "integer"}},
            patternProperties={"^a": {"type": "integer"}},
            additionalProperties=False,
        ),
        {"ab": 1, "ac": 2},
        {"b": 1},
    ),
    "fractions": Sample(
        make_object({"price": {"type": "number", "multipleOf": 0.01}}),
        {"price": 0.07},
        {"price": 0.075},
    ),
    "an anchor": Sample(
        make_object({"a": {"$ref": "#it"}}, **{"$defs": {"A": {"$anchor": "it", "type": "null"}}}),
        {"a": None},
        {"a": 1},
    ),
    "a reference into a component": Sample(
        {"components": {"schemas": {"A": {"type": "null"}}}}
        | make_object({"a": {"$ref": "#/components/schemas/A"}}),
        {"a": None},
        {"a": 1},
    ),
    "a reference with company": Sample(
        make_object(
            {"a": {"$ref": "#/$defs/A", "minimum": 3, "description": "three or more"}},
            **{"$defs": {"A": {"type": "integer"}}},
        ),
        {"a": 3},
        {"a": 2},
    ),
    "never": Sample(make_object({"a": False, "b": True, "c": {"enum": []}}), {"b": 1}, {"a": 1}),
    "strict": Sample(
        make_object({"a": make_object({"b": {"type": "integer"}})}),
        {"a": {"b": 1}},
        {"a": {"b": 1, "c": 2}},
        strict=True,
    ),
}
