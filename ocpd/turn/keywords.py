"""A JSON schema as a tree: where schemas stand in schemas, how large they grow, what they mean.

What may live here: facts about keywords, and changes of a schema that follow from them. Checking an
answer is ``schema``'s; what the model is shown is ``outline``'s.

Only references that begin with ``#`` are followed, so all of a schema is in hand before anything
is compiled. A bound on how far the references unfold is a bound on the time a check takes: the
library evaluates what is not recursive as often as it is referred to.
"""

from collections.abc import Iterator
from typing import TypeAlias, TypeGuard
from urllib.parse import unquote

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Node: TypeAlias = dict[str, Json]

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
LIBRARIES = ("$defs", "definitions")
"""Hold schemas that apply nowhere by themselves."""

_ONE = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_MANY = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_NAMED = frozenset(
    {"dependencies", "dependentSchemas", "patternProperties", "properties", *LIBRARIES}
)
_IN_PLACE = frozenset(
    {"allOf", "anyOf", "dependencies", "dependentSchemas", "else", "if", "not", "oneOf", "then"}
)
"""Apply to the same value as the schema they stand in."""

_ANCHORS = ("$anchor", "$dynamicAnchor")
_MAX_HOPS = 200


class Unfit(ValueError):
    """A schema that cannot be used; the text says why."""


def is_node(value: Json) -> TypeGuard[Node]:
    """Whether ``value`` is a schema with keywords: not a bare true or false."""
    return isinstance(value, dict)


def list_parts(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield each schema that stands in ``node``, with its keyword."""
    for keyword, value in node.items():
        if keyword in _ONE and is_node(value):
            yield keyword, value
        elif keyword in _MANY and isinstance(value, list):
            yield from ((keyword, part) for part in value if is_node(part))
        elif keyword in _NAMED and is_node(value):
            yield from ((keyword, part) for part in value.values() if is_node(part))


class Tree:
    """A schema with its references resolved. ``nodes`` are all schemas in it that can apply;
    ``size`` is how many there are once every reference is replaced by what it refers to, with a
    recursion counted once; ``is_recursive`` says that there is one.

    Raises Unfit for a reference that leads out of the schema, to nothing, or back to itself
    before any part of the value was taken, and beyond ``max_size``.
    """

    def __init__(self, root: Node, max_size: int) -> None:
        self.root = root
        self.nodes: list[Node] = []
        self.is_recursive = False
        self._max_size = max_size
        self._anchors: dict[str, Node] = {}
        self._seen: set[int] = set()
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()
        self._collect(root)
        self._forbid_loops()
        self.size = self._measure(root, 0)

    def refer(self, node: Node) -> Iterator[Node]:
        """Yield the schemas that ``node`` refers to."""
        for keyword in REFERENCES:
            target = node.get(keyword)
            if isinstance(target, str):
                found = self._resolve(target)
                if is_node(found):
                    yield found

    def list_in_place(self, node: Node) -> Iterator[Node]:
        """Yield the schemas that apply to the same value as ``node``, through it."""
        yield from (part for keyword, part in list_parts(node) if keyword in _IN_PLACE)
        yield from self.refer(node)

    def _collect(self, root: Node) -> None:
        waiting, found = [root], []
        while waiting:
            node = waiting.pop()
            if id(node) in self._seen:
                continue
            self._seen.add(id(node))
            if node is not root and isinstance(node.get("$id"), str):
                raise Unfit("$id inside the schema is not supported")
            for keyword in _ANCHORS:
                name = node.get(keyword)
                if isinstance(name, str):
                    self._anchors.setdefault(name, node)
            found.append(node)
            waiting.extend(part for _, part in list_parts(node))
            if not waiting:
                # Last of all: a reference may lead to a place that no keyword leads to.
                waiting.extend(target for each in found for target in self.refer(each))
                self.nodes += found
                found = []

    def _resolve(self, target: str) -> Json:
        if not target.startswith("#"):
            raise Unfit(f"$ref {target[:80]!r}: only references within the schema (#...) work")
        place = unquote(target[1:])
        if place == "":
            return self.root
        if not place.startswith("/"):
            if place in self._anchors:
                return self._anchors[place]
            raise Unfit(f"$ref {target[:80]!r} leads nowhere")
        found: Json = self.root
        for step in place[1:].split("/"):
            found = _descend(found, step.replace("~1", "/").replace("~0", "~"), target)
        return found

    def _forbid_loops(self) -> None:
        """No value would ever get smaller on such a way: evaluation might not end."""
        done: set[int] = set()
        for start in self.nodes:
            self._follow(start, done, set(), 0)

    def _follow(self, node: Node, done: set[int], way: set[int], hops: int) -> None:
        if id(node) in way:
            raise Unfit("a $ref leads back to itself")
        if id(node) in done:
            return
        _check_hops(hops)
        way.add(id(node))
        for part in self.list_in_place(node):
            self._follow(part, done, way, hops + 1)
        way.remove(id(node))
        done.add(id(node))

    def _measure(self, node: Node, hops: int) -> int:
        if id(node) in self._open:
            self.is_recursive = True
            return 1
        if id(node) in self._sizes:
            return self._sizes[id(node)]
        _check_hops(hops)
        self._open.add(id(node))
        size = 1
        for keyword, part in list_parts(node):
            if keyword not in LIBRARIES:
                size += self._measure(part, hops + 1)
        for part in self.refer(node):
            size += self._measure(part, hops + 1)
        self._open.remove(id(node))
        if size > self._max_size:
            raise Unfit("it is too complex: its references unfold too far")
        self._sizes[id(node)] = size
        return size


def forget_ids(tree: Tree) -> None:
    """Let ``#`` mean the whole schema everywhere. In all but the oldest draft ``id`` means nothing;
    some libraries write it to name a type."""
    for node in tree.nodes:
        if isinstance(node.get("id"), str):
            del node["id"]


def allow_nulls(tree: Tree) -> None:
    """Let null be valid wherever the type has it, also where ``enum`` forgets it. ``nullable`` is
    OpenAPI's way to give a type null."""
    for node in tree.nodes:
        kind, values = node.get("type"), node.get("enum")
        if node.get("nullable") is True and isinstance(kind, str | list):
            kinds = [kind] if isinstance(kind, str) else kind
            node["type"] = kind = [*kinds, *([] if "null" in kinds else ["null"])]
        has_null = kind == "null" or (isinstance(kind, list) and "null" in kind)
        if has_null and isinstance(values, list) and None not in values:
            node["enum"] = [*values, None]


def close_objects(tree: Tree) -> None:
    """Let objects have no other properties than those they declare, unless they say something about
    others, or other schemas apply to the same value: those may declare more."""
    shared: set[int] = set()
    for node in tree.nodes:
        if not _passes_on(node):
            for part in tree.list_in_place(node):
                _share(tree, part, shared)
    for node in tree.nodes:
        speaks = {"additionalProperties", "patternProperties", "unevaluatedProperties"} & set(node)
        is_composite = any(True for _ in tree.list_in_place(node))
        if "properties" in node and not speaks and not is_composite and id(node) not in shared:
            node["additionalProperties"] = False


def _passes_on(node: Node) -> bool:
    """Whether ``node`` says nothing about properties itself and leaves all to one schema, or to
    one of several."""
    if "properties" in node:
        return False
    voices = [keyword for keyword in (*_IN_PLACE, *REFERENCES) if keyword in node]
    if len(voices) != 1 or voices[0] in ("if", "then", "else", "not"):
        return False
    members = node[voices[0]]
    return voices[0] != "allOf" or (isinstance(members, list) and len(members) == 1)


def _share(tree: Tree, node: Node, shared: set[int]) -> None:
    if id(node) not in shared:
        shared.add(id(node))
        for part in tree.list_in_place(node):
            _share(tree, part, shared)


def _descend(place: Json, step: str, target: str) -> Json:
    if isinstance(place, dict) and step in place:
        return place[step]
    if isinstance(place, list) and step.isascii() and step.isdigit() and int(step) < len(place):
        return place[int(step)]
    raise Unfit(f"$ref {target[:80]!r} leads nowhere")


def _check_hops(hops: int) -> None:
    if hops > _MAX_HOPS:
        raise Unfit("it is nested too deeply")
