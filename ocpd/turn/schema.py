"""The form an answer must have: a JSON schema, compiled, and the check of a text against it.

What may live here: reading a schema as a caller wrote it, and the verdict on an answer. No network,
ever; a schema is bounded in size, depth and how far its references unfold, and so is the time of a
check. Formats are notes, not conditions.

The library is imported with the first schema: a daemon that gets none does not pay for it.
"""

import functools
import re
from collections.abc import Iterator
from typing import Protocol, assert_never

import msgspec

from ocpd.errors import BadRequest
from ocpd.turn.keywords import (
    Json,
    Node,
    Tree,
    Unfit,
    allow_nulls,
    close_objects,
    forget_ids,
    is_node,
)
from ocpd.turn.nesting import MOST_LEVELS, survey
from ocpd.turn.outline import Outline, unwrap, write_outline
from ocpd.turn.request import AnswerFormat, Shape

PATH = "response_format.json_schema.schema"

MAX_BYTES = 262_144
MAX_DEPTH = 64
MAX_SIZE = 50_000
"""Schemas within a schema, with every reference replaced by what it refers to."""
MAX_PATTERNS = 100

_MAX_EXPLAINED = 2_000
_MAX_REASON = 300
_BACKTRACK_LIMIT = 20_000
_REGEX_BYTES = 1 << 19
_COMPILED = 8
_IT = "the value"

_DRAFTS = {
    "draft-04": "Draft4Validator",
    "draft-06": "Draft6Validator",
    "draft-07": "Draft7Validator",
    "2019-09": "Draft201909Validator",
    "2020-12": "Draft202012Validator",
}
_NEWEST = "Draft202012Validator"
_OLDER = "Draft7Validator"
"""Tried where no draft is named: lists of ``items`` are of that time."""

_decode: msgspec.json.Decoder[Json] = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode
_FENCE = re.compile(r"\s*```[\w+-]*[ \t]*\n(.*)\n[ \t]*```\s*", re.DOTALL)
_TOKENS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+')
_COLONS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(:)')


class Accepted(msgspec.Struct, frozen=True):
    """The answer has the form; ``text`` is its JSON without white space, with keys in the order
    and numbers in the spelling of the model."""

    text: str


class Rejected(msgspec.Struct, frozen=True):
    """The answer does not have the form; ``reason`` says why, without quoting it."""

    reason: str


Verdict = Accepted | Rejected


class _Validator(Protocol):
    def is_valid(self, instance: Json, /) -> bool: ...

    def iter_errors(self, instance: Json, /) -> Iterator[Exception]: ...


class Checker:
    """One schema, ready to use. ``outline`` is what the CLI gets of it. Never changes, so one may
    serve many turns."""

    def __init__(self, validator: _Validator, outline: Outline, *, can_explain: bool) -> None:
        self.outline = outline
        self._validator = validator
        self._can_explain = can_explain

    def check(self, text: str) -> Verdict:
        """Say whether ``text``, all of it, is an answer of the form; one enclosing code fence is
        taken off. Raises nothing."""
        fenced = _FENCE.fullmatch(text)
        bare = fenced[1] if fenced is not None else text
        try:
            value = _decode.decode(bare)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            return Rejected(f"it is not JSON: {_shorten(str(error))}")
        depth, keys = survey(value)
        if depth > MOST_LEVELS:
            return Rejected("it is nested too deeply")
        try:
            is_valid = self._validator.is_valid(value)
        except ValueError as error:
            return Rejected(_shorten(str(error)))
        if not is_valid:
            return Rejected(self._explain(value))
        return Accepted(_compact(bare, value, keys))

    def check_call(self, arguments: str) -> Verdict:
        """Say whether the ``arguments`` of the CLI's tool hold an answer of the form. Raises
        nothing."""
        answer = unwrap(self.outline, arguments)
        return Rejected("the call has no answer in it") if answer is None else self.check(answer)

    def _explain(self, value: Json) -> str:
        # The library puts the reasons of all branches together; through a recursion there are too
        # many of them, and in a huge schema too.
        if self._can_explain:
            for error in self._validator.iter_errors(value):
                return _say(error)
        return "it does not match the schema"


def compile_schema(raw: msgspec.Raw, *, strict: bool, path: str = PATH) -> Checker:
    """Read and compile a schema as the caller wrote it. ``strict`` closes objects that declare
    their properties.

    Raises BadRequest naming ``path`` and what is wrong with the schema.
    """
    try:
        return _compile(bytes(raw), strict)
    except Unfit as error:
        raise BadRequest(f"{path}: {error}", code="invalid_json_schema", param=path) from error


def find_checker(wanted: AnswerFormat, *, path: str = PATH) -> Checker | None:
    """Return the check that an answer of this turn must pass; None for plain text. Raises what
    ``compile_schema`` raises."""
    match wanted.shape:
        case Shape.TEXT:
            return None
        case Shape.JSON:
            return any_object()
        case Shape.SCHEMA:
            raw = msgspec.Raw(b"") if wanted.schema is None else wanted.schema
            return compile_schema(raw, strict=wanted.strict, path=path)
        case _:
            assert_never(wanted.shape)


@functools.cache
def any_object() -> Checker:
    """Return the check for an answer that must be a JSON object, whatever is in it."""
    return _compile(b'{"type":"object"}', False)


@functools.lru_cache(maxsize=_COMPILED)
def _compile(data: bytes, strict: bool) -> Checker:
    root = _read(data)
    root.pop("$id", None)
    draft = root.pop("$schema", None)
    tree = Tree(root, MAX_SIZE)
    if sum(len(_list_patterns(node)) for node in tree.nodes) > MAX_PATTERNS:
        raise Unfit(f"it has more than {MAX_PATTERNS} patterns")
    forget_ids(tree)
    allow_nulls(tree)
    if strict:
        close_objects(tree)
    validator = _build(root, draft)
    can_explain = not tree.is_recursive and tree.size <= _MAX_EXPLAINED
    return Checker(validator, write_outline(root), can_explain=can_explain)


def _read(data: bytes) -> Node:
    if len(data) > MAX_BYTES:
        raise Unfit(f"it is longer than {MAX_BYTES} bytes")
    try:
        root = _decode.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unfit(f"it cannot be read: {_shorten(str(error))}") from error
    if not is_node(root):
        raise Unfit("expected an object")
    if survey(root)[0] > MAX_DEPTH:
        raise Unfit("it is nested too deeply")
    return root


def _build(root: Node, draft: Json) -> _Validator:
    if draft is not None:
        known = (kind for name, kind in _DRAFTS.items() if name in str(draft))
        return _build_as(next(known, _NEWEST), root)
    try:
        return _build_as(_NEWEST, root)
    except Unfit as error:
        try:
            return _build_as(_OLDER, root)
        except Unfit:
            raise error from None


def _build_as(kind: str, root: Node) -> _Validator:
    import jsonschema_rs  # noqa: PLC0415 - 10 ms and 9 MB, only where they are needed

    try:
        validator: _Validator = getattr(jsonschema_rs, kind)(
            root,
            validate_formats=False,
            mask=_IT,
            offline=True,
            pattern_options=jsonschema_rs.FancyRegexOptions(
                backtrack_limit=_BACKTRACK_LIMIT,
                size_limit=_REGEX_BYTES,
                dfa_size_limit=_REGEX_BYTES,
            ),
        )
    except ValueError as error:
        raise Unfit(_say(error)) from error
    return validator


def _list_patterns(node: Node) -> list[str]:
    named = node.get("patternProperties")
    patterns = list(named) if is_node(named) else []
    single = node.get("pattern")
    return [*patterns, single] if isinstance(single, str) else patterns


def _compact(text: str, value: Json, keys: int) -> str:
    """Take the white space out. A key that is said twice is said once."""
    if sum(1 for found in _COLONS.finditer(text) if found[1]) != keys:
        return _encode(value).decode()
    return _TOKENS.sub(r"\1", text)


def _say(error: Exception) -> str:
    """What the library found, and where."""
    where = "".join(f"/{step}" for step in getattr(error, "instance_path", ()))
    message = str(getattr(error, "message", error))
    if message.endswith('is not a "regex"'):
        message = "it is no regular expression that can be used here, or too large a one"
    return _shorten(f"at {where}: {message}" if where else message)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_REASON else f"{line[:_MAX_REASON]}..."
