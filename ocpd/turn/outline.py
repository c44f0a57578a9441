"""What the Claude CLI is told of a schema: the parameters of the tool that takes the answer.

What may live here: that translation. It is weaker than the schema, never stronger: what it lets
through is checked against the schema itself (``schema``).

The CLI and the API behind it are narrow in what they take, and the CLI says nothing when it does
not take a schema: it just offers no tool (seen on 2.1.330). So:

* The CLI compiles for draft-07, strictly: an unknown keyword, ``$schema`` of another draft,
  ``prefixItems``, a pattern that JavaScript refuses, an empty or repeating ``enum`` each lose the
  tool. The API wants draft 2020-12. Only what means the same in both is written.
* The API wants an object at the top, without ``anyOf`` and the like beside it, and plain names.
  And a model that is asked for an object of unknown properties tends to give an empty one. Any
  other schema becomes the one property of such an object.
* The CLI's arithmetic is JavaScript's: fractions of ``multipleOf`` would be refused at random.

If something that matters had to be left out, the whole schema stands in the description: the model
reads it there.
"""

import re

import msgspec

from ocpd.turn.keywords import LIBRARIES, Json, Node, is_node

ANSWER = "answer"
"""The property that holds an answer whose schema could not stand at the top."""

_MAX_QUOTED = 16_384
_PLAIN_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_ALL_OF_IT = "The whole answer."
_WITH_FIELDS = "The whole answer: one JSON object with all its fields in it."

_TEXTS = frozenset({"description", "format", "title"})
_NUMBERS = frozenset(
    {
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
    }
)
_AS_IS = frozenset({"const", "default", "examples", "required", "type", "uniqueItems"})
_NOTES = frozenset({"default", "description", "examples", "title"})
_MATTERS = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "$ref",
        "additionalItems",
        "additionalProperties",
        "allOf",
        "anyOf",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "enum",
        "if",
        "items",
        "maxContains",
        "minContains",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "patternProperties",
        "prefixItems",
        "properties",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        *_NUMBERS,
        *_AS_IS,
    }
)
"""Leaving one of these out is told."""


class Outline(msgspec.Struct, frozen=True):
    """``schema`` is the JSON to hand over; ``wraps`` says that the answer is its one property."""

    schema: msgspec.Raw
    wraps: bool


class _Wrapped(msgspec.Struct):
    answer: msgspec.Raw


_encode = msgspec.json.Encoder().encode
_wrapped: msgspec.json.Decoder[_Wrapped] = msgspec.json.Decoder(_Wrapped)


def write_outline(root: Node) -> Outline:
    """Write the outline of ``root``, a schema that is known to be valid."""
    draft = _Draft()
    inner = draft.copy(root)
    wraps = not _can_stand_at_top(inner)
    top: Node = inner
    if wraps:
        top = {
            "type": "object",
            "properties": {ANSWER: inner},
            "required": [ANSWER],
            "additionalProperties": False,
        }
    draft.mend_references(top, f"#/properties/{ANSWER}" if wraps else "#")
    _describe(inner, root, wraps=wraps, is_whole=not draft.left_out)
    return Outline(msgspec.Raw(_encode(top)), wraps)


def unwrap(outline: Outline, arguments: str) -> str | None:
    """Return the answer in the ``arguments`` of a call, as the model spelled it; None if there is
    none in them."""
    if not outline.wraps:
        return arguments
    try:
        return bytes(_wrapped.decode(arguments).answer).decode()
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


class _Draft:
    """One outline in the making. ``left_out``: the schema says more than the outline."""

    def __init__(self) -> None:
        self.left_out = False
        self._referring: list[Node] = []

    def copy(self, node: Node) -> Node:
        """Return what can be said of ``node``."""
        said = set(node)
        if "$ref" in node:
            # Draft-07 forbids what stands beside a reference to count; later ones do not.
            said &= {"$ref", *_NOTES, *LIBRARIES}
        copied: Node = {}
        for keyword, value in node.items():
            if keyword in said:
                self._copy_keyword(keyword, value, node, copied)
        told = set(copied) | ({"oneOf"} if "anyOf" in copied and "anyOf" not in node else set())
        self.left_out = self.left_out or not (_MATTERS & set(node) <= told)
        return copied

    def _copy_keyword(self, keyword: str, value: Json, node: Node, to: Node) -> None:
        match keyword:
            case "properties" | "$defs" | "definitions" if is_node(value):
                to[keyword] = {name: self._copy_any(part) for name, part in value.items()}
            case "items" if "prefixItems" not in node and not isinstance(value, list):
                to[keyword] = self._copy_any(value)
            case "additionalProperties" if "patternProperties" not in node:
                to[keyword] = self._copy_any(value)
            case "allOf" | "anyOf" if isinstance(value, list):
                to[keyword] = [self._copy_any(part) for part in value]
            case "oneOf" if isinstance(value, list) and "anyOf" not in node:
                # What is left out may make two of them match.
                to["anyOf"] = [self._copy_any(part) for part in value]
            case "$ref":
                to[keyword] = value
                self._referring.append(to)
            case _:
                _copy_plain(keyword, value, to)

    def _copy_any(self, value: Json) -> Json:
        if is_node(value):
            return self.copy(value)
        # What a draft does not know, it does not check either.
        return value if isinstance(value, bool) else {}

    def mend_references(self, top: Node, prefix: str) -> None:
        """Let the references lead to where things are now, or go."""
        for node in self._referring:
            target = node["$ref"]
            node["$ref"] = f"{prefix}{target[1:]}" if isinstance(target, str) else None
            if not _leads_somewhere(top, node["$ref"]):
                del node["$ref"]
                self.left_out = True


def _copy_plain(keyword: str, value: Json, to: Node) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if keyword == "enum" and isinstance(value, list):
        # By their spelling: 1 and true are equal in Python.
        kinds = {_encode(each): each for each in value}
        if kinds:
            to[keyword] = list(kinds.values())
    elif (
        keyword in _AS_IS
        or (keyword in _TEXTS and isinstance(value, str))
        or (keyword in _NUMBERS and is_number)
        or (keyword == "multipleOf" and isinstance(value, int))
    ):
        to[keyword] = value


def _can_stand_at_top(node: Node) -> bool:
    properties = node.get("properties")
    return (
        node.get("type") == "object"
        and is_node(properties)
        and bool(properties)
        and all(_PLAIN_NAME.fullmatch(name) for name in properties)
        and not {"$ref", "allOf", "anyOf"} & set(node)
    )


def _describe(node: Node, root: Node, *, wraps: bool, is_whole: bool) -> None:
    told = [str(node["description"])] if node.get("description") else []
    is_open = not node.get("properties") and node.get("additionalProperties", True) is True
    if node.get("type") == "object" and is_open:
        told.append(_WITH_FIELDS)
    elif wraps and not told:
        told.append(_ALL_OF_IT)
    if not is_whole:
        quoted = _encode(root).decode()
        if len(quoted) <= _MAX_QUOTED:
            told.append(f"It must match this JSON Schema: {quoted}")
    if told:
        node["description"] = "\n".join(told)


def _leads_somewhere(top: Node, target: Json) -> bool:
    place: Json = top
    if not isinstance(target, str) or (target != "#" and not target.startswith("#/")):
        return False
    for step in target.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and name in place:
            place = place[name]
        elif isinstance(place, list) and name.isdigit() and int(name) < len(place):
            place = place[int(name)]
        else:
            return False
    return is_node(place)
