"""The decoder of Chat Completions is total: whatever comes in gives a Turn or a BadRequest.

The second half of the promise: what it gives is sound. A Turn can be written as JSON, so nothing in
it (a lone surrogate, a number that is none) breaks what comes later; a refusal has words and a
``param`` that fits into a log line; and the work grows with the body, not with its square.
"""

import re
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.dialects.interface import Context, choose_none
from ocpd.dialects.openai_chat import wire
from ocpd.dialects.openai_chat.decode import decode_request
from ocpd.errors import BadRequest
from ocpd.turn.request import ToolMode, Turn, TurnId
from ocpd.turn.servers import Server

TURN_ID = TurnId("f" * 32)
# What fits into a line of the log, whatever the caller wrote.
MAX_PARAM = 200
MAX_MESSAGE = 1_000

PIXEL = "data:image/png;base64,QUJD"
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SCHEMA = {"$schema": "x", "type": "object", "properties": {"a": {"type": ["string", "null"]}}}
REQUEST: dict[str, Any] = {
    "model": "opus",
    "messages": [
        {"role": "system", "content": "s", "name": "n"},
        {"role": "developer", "content": [{"type": "text", "text": "d"}]},
        {"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}},
        {
            "role": "assistant",
            "content": "",
            "refusal": "no",
            "reasoning_content": "hm",
            "tool_calls": [CALL],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r"}]},
        {"role": "system", "content": "later"},
        {"role": "assistant", "content": None, "function_call": {"name": "g", "arguments": ""}},
        {"role": "function", "name": "g", "content": "r"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "t"},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                {"type": "input_image", "image_url": PIXEL},
                {"type": "file", "file": {"file_data": PIXEL, "filename": "a"}},
            ],
        },
    ],
    "input": [{"role": "user", "content": "in"}],
    "prompt": "p",
    "stream": True,
    "stream_options": {"include_usage": True},
    "modalities": ["text"],
    "audio": None,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
        "schema": SCHEMA,
    },
    "json_mode": False,
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "max_tokens": 5,
    "max_completion_tokens": 6,
    "stop": ["x"],
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"1": 2},
    "prediction": {"type": "content", "content": "x"},
    "reasoning_effort": "low",
    "reasoning": {"effort": "low", "summary": "auto"},
    "verbosity": "low",
    "thinking": {"type": "enabled"},
    "web_search_options": {},
    "service_tier": "auto",
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
        },
        {"type": "function", "function": {"name": "g", "parameters": {"properties": {}}}},
    ],
    "functions": [{"name": "f", "parameters": SCHEMA}],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}]},
        "function": {"name": "f"},
    },
    "function_call": {"name": "f"},
    "parallel_tool_calls": True,
    "metadata": {"effort": "low", "mcp_servers": ["a"], "user": {"deep": [1]}},
    "session_id": "s",
    "conversation_id": "c",
    "user": "u",
    "store": True,
}

# JSON as text, so that it may say what no encoder would.
ODD = [
    *("", " ", "null", "true", "NaN", "-Infinity", "Infinity", "undefined", "-", "01", "1.", ".5"),
    *("-0", "1e3", "1e400", "-1e400", "1e-400", "5e-324", "2", "-1", "0.1", "9" * 400, "9" * 5000),
    *(str(1 << 63), str(1 << 64), "1" + "0" * 70, "1e" + "9" * 30, "[]", "{}", "[[]]", "[{}]"),
    *('""', '" "', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\ufeff"'),
    *('"\\u2028"', '"\u2028"', '"\u202e"', '"\x7f"', '"\n"', '"\\x"', '"\\u12"', '"\udc80"'),
    *('"' + "x" * 5000 + '"', '"none"', '"required"', '"data:,"', '"data:image/png;base64,"'),
    *('{"type":"object"}', '{"type":null}', '{"effort":"max"}', '{"\\ud800":1}', '{"\\u0000":1}'),
    *("[" * 2000, "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "{" * 3000, "/**/1"),
    *('{"role":"user"}', '{"type":"text"}', '{"name":"f"}', '["f"]', '"f"', "[null]", '"user"'),
]


class Said(str):
    """A piece of JSON as it is to stand in the body, valid or not."""

    __slots__ = ()


class Fields(list[tuple[object, object]]):
    """An object as its keys and values, where a key may come twice."""


def open_up(tree: object) -> object:
    """Make every object of ``tree`` one whose keys may come twice."""
    if isinstance(tree, dict):
        tree = Fields(tree.items())
    if isinstance(tree, Fields):
        return Fields((key, open_up(value)) for key, value in tree)
    return [open_up(value) for value in tree] if isinstance(tree, list) else tree


def write(tree: object) -> str:
    """Write ``tree`` as JSON, and a Said as it is."""
    if isinstance(tree, Said):
        return str(tree)
    if isinstance(tree, Fields):
        return "{" + ",".join(f"{write(key)}:{write(value)}" for key, value in tree) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(write, tree)) + "]"
    return msgspec.json.encode(tree).decode()


def to_bytes(tree: object) -> bytes:
    """The bytes of a body: no UTF-8 where a Said has a lone surrogate."""
    return write(tree).encode("utf-8", "surrogatepass")


def list_places(tree: object) -> list[tuple[list[Any], int]]:
    """Every (container, index) of an opened tree, from the outside in."""
    found: list[tuple[list[Any], int]] = []
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            found.append((tree, index))
            found += list_places(item[1] if isinstance(tree, Fields) else item)
    return found


def put(place: tuple[list[Any], int], value: object) -> None:
    """Put ``value`` where ``place`` is; in an object, under the same key."""
    container, index = place
    container[index] = (container[index][0], value) if isinstance(container, Fields) else value


odd = st.sampled_from(ODD).map(Said)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["user", "tool", "text", "image_url", "f", "auto", "none", PIXEL, "low"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
headers = st.none() | st.sampled_from(["", "low", "none", "extreme", "x" * 129, "a\x85b", "\xff"])


def resolve(name: str | None) -> str:
    return name or "claude-sonnet-5-5"


def choose_servers(names: Sequence[str], field: str) -> tuple[Server, ...]:
    """There is one server, and what it is does not matter here."""
    return choose_none([name for name in names if name != "a"], field)


def make_context(session: str | None = None, effort: str | None = None) -> Context:
    """What the edge knows, with headers of the caller's."""
    return Context(TURN_ID, resolve, session, effort, choose_servers=choose_servers)


def check(body: bytes, session: str | None = None, effort: str | None = None) -> Turn | BadRequest:
    """Decode ``body`` and check what it comes to. Anything raised but BadRequest fails the test."""
    try:
        turn = decode_request(body, make_context(session, effort))
    except BadRequest as refusal:
        check_refusal(refusal)
        return refusal
    check_turn(turn)
    return turn


def check_refusal(refusal: BadRequest) -> None:
    assert 400 <= refusal.status < 500
    assert refusal.message.strip()
    assert len(refusal.message) <= MAX_MESSAGE
    refusal.message.encode()
    if (param := refusal.param) is None:
        return
    assert 0 < len(param) <= MAX_PARAM
    assert param.isascii()
    assert param.isprintable()
    assert " " not in param
    assert re.split(r"[.\[]", param)[0] in refusal.message, "a person is told where, too"


def check_turn(turn: Turn) -> None:
    assert set(msgspec.json.decode(msgspec.json.encode(turn), type=dict[str, msgspec.Raw]))
    assert turn.messages
    assert turn.ignored == tuple(sorted(set(turn.ignored)))
    assert (turn.tool_policy.mode is ToolMode.NAMED) == (turn.tool_policy.name is not None)
    assert turn.effort is None or turn.reasoning_field is not None
    assert not (turn.calls_as_functions and turn.tool_policy.parallel)
    for tool in turn.tools:
        assert msgspec.json.decode(tool.schema, type=wire.SchemaHead).type == "object"


def test_the_request_itself_is_good() -> None:
    turn = check(to_bytes(open_up(REQUEST)))
    assert isinstance(turn, Turn)
    assert len(turn.messages) == 7
    known = set(wire.Request.__struct_encode_fields__)
    assert known <= set(REQUEST), "a field that the decoder knows is not fuzzed"


@given(body=st.binary(max_size=400), session=headers, effort=headers)
def test_any_bytes(body: bytes, session: str | None, effort: str | None) -> None:
    check(body, session, effort)


@given(value=plain | odd)
def test_any_json(value: object) -> None:
    check(to_bytes(open_up(value)))


@given(fields=st.dictionaries(st.sampled_from(list(REQUEST)), plain | odd, max_size=8))
def test_any_fields(fields: dict[str, object]) -> None:
    check(to_bytes(open_up({"messages": REQUEST["messages"], **fields})))


@given(header=st.text(st.characters(max_codepoint=255), max_size=200))
def test_any_headers(header: str) -> None:
    check(to_bytes({"prompt": "p"}), session=header)
    check(to_bytes({"prompt": "p"}), effort=header)


def test_every_place_of_the_request_with_every_odd_value() -> None:
    for at in range(len(list_places(open_up(REQUEST)))):
        for value in ODD:
            tree = open_up(REQUEST)
            put(list_places(tree)[at], Said(value))
            check(to_bytes(tree))


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """The good request after a few changes of any kind."""
    tree = open_up(REQUEST)
    for _ in range(draw(st.integers(1, 6))):
        places = list_places(tree)
        container, index = places[draw(st.integers(0, len(places) - 1))]
        item = container[index]
        value = draw(plain.map(open_up) | odd)
        match draw(st.sampled_from(["put", "drop", "twice", "wrap", "rename", "move"])):
            case "put":
                put((container, index), value)
            case "drop":
                del container[index]
            case "twice":
                container.insert(draw(st.integers(0, len(container))), item)
                put((container, index), value)
            case "wrap":
                inner = item[1] if isinstance(container, Fields) else item
                put((container, index), [inner] if draw(st.booleans()) else Fields([("a", inner)]))
            case "rename" if isinstance(container, Fields):
                container[index] = (draw(odd | st.sampled_from(list(REQUEST))), item[1])
            case "move" if isinstance(item, tuple):
                # Its key, and the value of another place.
                other, at = places[draw(st.integers(0, len(places) - 1))]
                other_item = other[at] if at < len(other) else None
                moved = other_item[1] if isinstance(other_item, tuple) else other_item
                # A copy: what contains itself could not be written.
                put((container, index), Said(write(moved)))
        if not list_places(tree):
            break
    return to_bytes(tree)


@given(body=mangled(), session=headers, effort=headers)
def test_a_good_request_with_any_changes(
    body: bytes, session: str | None, effort: str | None
) -> None:
    check(body, session, effort)


@given(place=st.integers(0, 1 << 30), byte=st.binary(max_size=3), cut=st.integers(0, 3))
def test_a_good_request_with_bytes_changed(place: int, byte: bytes, cut: int) -> None:
    body = to_bytes(open_up(REQUEST))
    at = place % len(body)
    check(body[:at] + byte + body[at + cut :])
    check(body[:at])


# The work grows with the body.

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "s"}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "r"}
OLDER = [{"role": "assistant", "function_call": {"name": "g"}}, {"role": "function", "name": "g"}]
FAMILIES: dict[str, Callable[[int], object]] = {
    "messages": lambda n: {"messages": [USER] * n},
    "system messages first": lambda n: {"messages": [SYSTEM] * n + [USER]},
    "system messages last": lambda n: {"messages": [USER] + [SYSTEM] * n},
    "input": lambda n: {"input": [USER] * n},
    "parts": lambda n: {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "t"}] * n}]
    },
    "calls": lambda n: {
        "messages": [USER, {"role": "assistant", "tool_calls": [CALL] * n}, *[RESULT] * n]
    },
    "older calls": lambda n: {"messages": [USER, *OLDER * n]},
    "tools": lambda n: {
        "messages": [USER],
        "tools": [{"function": {"name": f"f{i}", "parameters": SCHEMA}} for i in range(n)],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [{"function": {"name": f"f{i}"}} for i in range(n)],
            },
        },
    },
    "functions": lambda n: {
        "messages": [USER],
        "functions": [{"name": f"f{i}"} for i in range(n)],
    },
    "metadata": lambda n: {"messages": [USER], "metadata": {f"k{i}": i for i in range(n)}},
    "unknown fields": lambda n: {"messages": [USER], **{f"k{i}": [i] for i in range(n)}},
    "the same field again": lambda n: Fields([("user", "u")] * n + [("prompt", "p")]),
    "the same conversation again": lambda n: Fields([("messages", [USER])] * n),
    "servers": lambda n: {"messages": [USER], "metadata": {"mcp_servers": ["a"] * n}},
}


def count_work(body: bytes) -> int:
    """How many calls decoding ``body`` takes: the same on every machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        turn = decode_request(body, make_context())
    finally:
        sys.setprofile(None)
    assert turn.messages
    return calls


@pytest.mark.parametrize("family", FAMILIES)
def test_four_times_as_much_is_four_times_the_work(family: str) -> None:
    small, large = (count_work(to_bytes(open_up(FAMILIES[family](n)))) for n in (500, 2_000))
    assert large <= 4.2 * small + 100


BIG = 4_000_000
LONG: dict[str, tuple[bytes, bytes, bytes]] = {
    "a text": (b'{"prompt":"', b"x", b'"}'),
    "a text of escapes": (b'{"prompt":"', b"\\u00e9", b'"}'),
    "a blank text": (b'{"prompt":"', b" ", b'"}'),
    "a name of a field": (b'{"', b"x", b'":1}'),
    "a role": (b'{"messages":[{"role":"', b"x", b'"}]}'),
    "a type": (b'{"messages":[{"role":"user","content":[{"type":"', b"x", b'"}]}]}'),
    "a picture": (
        b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"',
        b"data:;,",
        b'"}]}]}',
    ),
    "an effort": (b'{"prompt":"p","reasoning_effort":"', b"` - at `$", b'"}'),
    "a name of a tool": (b'{"prompt":"p","tools":[{"function":{"name":"', b"x", b'"}}]}'),
    "a choice": (b'{"prompt":"p","tool_choice":{"function":{"name":"', b"x", b'"}}}'),
    "a type of a schema": (
        b'{"prompt":"p","functions":[{"name":"f","parameters":{"type":"',
        b"x",
        b'"}}]}',
    ),
    "an empty schema": (b'{"prompt":"p","functions":[{"name":"f","parameters":{', b" \n", b"}}]}"),
    "a number in a schema": (
        b'{"prompt":"p","functions":[{"name":"f","parameters":{"a":',
        b"9",
        b"}}]}",
    ),
    "a session": (b'{"prompt":"p","session_id":"', b"x", b'"}'),
    "white space": (b'{"prompt":', b" ", b'"p"}'),
    "brackets": (b"", b"[", b""),
    "brackets in a field": (b'{"prompt":"p","metadata":', b"[", b"}"),
    "digits": (b'{"prompt":"p","seed":', b"9", b"}"),
    "digits of a fraction": (b'{"prompt":"p","temperature":0.', b"9", b"}"),
}


@pytest.mark.parametrize("what", LONG)
def test_what_is_very_long_is_read_or_refused_in_a_few_words(what: str) -> None:
    before, piece, after = LONG[what]
    check(before + piece * (BIG // len(piece)) + after)
