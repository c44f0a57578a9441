"""Where schemas stand in schemas, and what strict and nullable make of them."""

from typing import Any

import pytest

from ocpd.turn.keywords import Tree, Unfit, allow_nulls, close_objects, forget_ids
from tests.unit.turn.schema_corpus import make_object

OPEN = make_object({"a": {}})
CLOSED = OPEN | {"additionalProperties": False}


def grown(root: Any, max_size: int = 1000) -> Tree:
    return Tree(root, max_size)


def closed(root: Any) -> Any:
    close_objects(grown(root))
    return root


@pytest.mark.parametrize(
    ("root", "size"),
    [
        ({}, 1),
        ({"properties": {"a": {}, "b": {"items": {}}}}, 4),
        ({"properties": {"a": True}, "const": {"items": {}}}, 1),
        ({"allOf": [{}, {}], "$defs": {"a": {}}}, 3),
        ({"allOf": [{"$ref": "#/$defs/a"}] * 3, "$defs": {"a": {"items": {}}}}, 10),
        ({"properties": {"a": {"$ref": "#/%24defs/x~1y"}}, "$defs": {"x/y": {}}}, 3),
        ({"items": {"$ref": "#/parts/0"}, "parts": [{"not": {}}]}, 4),
    ],
)
def test_the_size_counts_what_references_unfold_to(root: Any, size: int) -> None:
    assert grown(root).size == size
    assert not grown(root).is_recursive


def test_a_recursion_counts_once() -> None:
    tree = grown({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}})
    assert tree.is_recursive
    assert tree.size == 5


def test_too_large_is_unfit() -> None:
    with pytest.raises(Unfit, match="too complex"):
        grown({"properties": {str(i): {} for i in range(20)}}, max_size=20)


@pytest.mark.parametrize(
    "root",
    [
        OPEN | {"additionalProperties": True},
        OPEN | {"additionalProperties": {}},
        OPEN | {"patternProperties": {}},
        OPEN | {"anyOf": [{"required": ["a"]}]},
        {"type": "object"},
        {"allOf": [OPEN, make_object({"b": {}})]},
        {"allOf": [{"$ref": "#/$defs/O"}, OPEN], "$defs": {"O": {"allOf": [OPEN]}}},
        {"properties": {"a": {}}, "anyOf": [OPEN, make_object({"b": {}})]},
        {"not": OPEN},
        {"if": OPEN, "then": OPEN},
    ],
)
def test_objects_that_others_speak_of_too_stay_open(root: Any) -> None:
    before = repr(root)
    assert repr(closed(root)) == before


def test_strict_closes_the_others() -> None:
    assert closed({"properties": {"x": OPEN}})["properties"]["x"] == CLOSED
    assert closed({"items": {"anyOf": [OPEN, {"type": "null"}]}})["items"]["anyOf"][0] == CLOSED
    assert closed({"allOf": [dict(OPEN)]})["allOf"][0] == CLOSED
    root = {"items": {"allOf": [{"$ref": "#/$defs/O"}]}, "$defs": {"O": dict(OPEN)}}
    assert closed(root)["$defs"]["O"] == CLOSED
    assert closed({"$ref": "#/$defs/O", "$defs": {"O": dict(OPEN)}})["$defs"]["O"] == CLOSED


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"type": ["string", "null"], "enum": ["a"]}, {"enum": ["a", None]}),
        ({"type": "null", "enum": ["a"]}, {"enum": ["a", None]}),
        ({"type": ["string", "null"], "enum": [None]}, {"enum": [None]}),
        ({"type": "string", "enum": ["a"]}, {"enum": ["a"]}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        ({"type": ["string"], "nullable": True, "enum": ["a"]}, {"enum": ["a", None]}),
        ({"nullable": True}, {"nullable": True}),
    ],
)
def test_null_is_valid_where_the_type_has_it(before: Any, after: Any) -> None:
    allow_nulls(grown({"items": before}))
    assert {key: before[key] for key in after} == after


def test_ids_are_forgotten_but_not_properties_of_that_name() -> None:
    root: Any = {"properties": {"id": {"id": "Id", "type": "string"}}, "id": "root"}
    forget_ids(grown(root))
    assert root == {"properties": {"id": {"type": "string"}}}
