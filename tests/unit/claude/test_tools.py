"""Our MCP server inside a conversation: it tells the tools, parks calls, and answers them exactly
or not at all."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.claude.messages import write_messages
from ocpd.claude.tools import MOST_CHARS, Bridge, legal_calls
from ocpd.claude.wire import McpMessage
from ocpd.turn.calls import calls_of, plain_id, results_of
from ocpd.turn.request import Image, Message, Part, Role, Text, Tool, ToolResult, ToolUse, Turn
from tests.unit.claude.stage import LOOKUP, Frame, ask, user, written

LEGAL = re.compile(r"[a-zA-Z0-9_-]+")
PIXEL = Image("image/png", "iVBORw0KGgo=")


def hear(bridge: Bridge, method: str, **told: object) -> Frame | None:
    """Say something to the server; returns the JSON-RPC message that it answers with."""
    message = msgspec.convert({"jsonrpc": "2.0", "method": method, **told}, McpMessage)
    answer = bridge.hear("cli-1", message)
    if not answer:
        return None
    (frame,) = written(answer)
    response = frame["response"]
    assert (frame["type"], response["subtype"]) == ("control_response", "success")
    assert response["request_id"] == "cli-1"
    told_back: Frame = response["response"]["mcp_response"]
    return told_back


def offering(*tools: Tool, **more: object) -> Bridge:
    """The server of a turn with these tools."""
    bridge = Bridge()
    bridge.offer(msgspec.structs.replace(ask(tools=tools), **more))
    return bridge


def parking(*names: str) -> Bridge:
    """One at which a call waits for each of these tool-use ids."""
    bridge = offering(LOOKUP)
    for number, name in enumerate(names, 7):
        meta = {"claudecode/toolUseId": name, "progressToken": 1}
        params = {"name": "lookup", "arguments": {"key": 1}, "_meta": meta}
        message = msgspec.convert(
            {"method": "tools/call", "id": number, "params": params}, McpMessage
        )
        assert bridge.hear(f"call-{number}", message) == b""
    return bridge


def listed(bridge: Bridge) -> list[Frame]:
    answer = hear(bridge, "tools/list", id=1)
    assert answer is not None
    tools: list[Frame] = answer["result"]["tools"]
    return tools


def results(*parts: Part) -> Message:
    return Message(Role.USER, parts)


def told(name: str, *content: Text | Image, is_error: bool = False) -> ToolResult:
    return ToolResult(name, content or (Text("42"),), is_error)


# What the CLI asks.


@pytest.mark.parametrize("number", [0, 7, "seven"])
def test_it_introduces_itself_with_the_version_that_the_cli_speaks(number: int | str) -> None:
    params = {"protocolVersion": "2031-01-01", "clientInfo": {"name": "claude-code"}}
    assert hear(offering(), "initialize", id=number, params=params) == {
        "jsonrpc": "2.0",
        "id": number,
        "result": {
            "protocolVersion": "2031-01-01",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "c", "version": "1"},
        },
    }


def test_it_tells_its_tools_in_their_order() -> None:
    tools = listed(offering(LOOKUP, Tool("now", "", msgspec.Raw(b"{}"))))
    assert tools == [
        {
            "name": "lookup",
            "description": "Looks something up.",
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": True},
            "_meta": {"anthropic/maxResultSizeChars": MOST_CHARS},
        },
        tools[1],
    ]
    assert (tools[1]["name"], tools[1]["description"]) == ("now", "")


def test_it_tells_the_names_that_are_free() -> None:
    bridge = offering(LOOKUP, Tool("Skill", "", msgspec.Raw(b"{}")), own_tools=("lookup",))
    assert [tool["name"] for tool in listed(bridge)] == ["mcp__c__lookup", "mcp__c__Skill"]


def test_a_schema_goes_out_byte_for_byte_but_on_one_line() -> None:
    raw = b'{\r\n "type" : "object",\n\t"x": [1.0, 1e5, "a\\nb\\u2028"]\n}'
    bridge = offering(Tool("odd", "", msgspec.Raw(raw)))
    answer = bridge.hear("cli-1", McpMessage("tools/list", 1))
    assert raw.replace(b"\r\n", b"  ").replace(b"\n", b" ") in answer
    assert answer.count(b"\n") == 1
    assert listed(bridge)[0]["inputSchema"] == msgspec.json.decode(raw)


@pytest.mark.parametrize("description", ["", "One.\n\nTwo.\u2028", '"}\n{"type":"x"}', "😀\0"])
def test_a_description_is_what_the_caller_wrote(description: str) -> None:
    bridge = offering(Tool("odd", description, msgspec.Raw(b"{}")))
    assert listed(bridge)[0]["description"] == description


@pytest.mark.parametrize("method", ["resources/list", "ping", "prompts/get", "tools/unheard", ""])
def test_what_it_does_not_serve_it_refuses_by_the_number(method: str) -> None:
    answer = hear(offering(), method, id=3)
    assert answer is not None
    assert (answer["id"], answer["error"]["code"]) == (3, -32601)
    assert "result" not in answer


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/unheard", ""])
def test_what_wants_no_answer_is_acknowledged(method: str) -> None:
    assert hear(offering(), method) == {"jsonrpc": "2.0", "result": {}}


def test_a_call_without_a_number_is_no_call() -> None:
    bridge = offering(LOOKUP)
    assert hear(bridge, "tools/call") == {"jsonrpc": "2.0", "result": {}}
    assert not bridge.parked


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["lookup", "mcp__c__Skill"], []),
        (["mcp__c__Skill", "lookup", "Bash"], []),
        (["lookup"], ["Skill"]),
        (["lookup", "Skill"], ["Skill"]),
        ([], ["lookup", "Skill"]),
    ],
)
def test_a_tool_that_the_model_does_not_get_is_told_by_the_caller_s_name(
    names: list[str], missing: list[str]
) -> None:
    bridge = offering(LOOKUP, Tool("Skill", "", msgspec.Raw(b"{}")))
    assert bridge.find_left_out(names) == missing


# Calls that wait.


def test_calls_wait_by_the_id_of_their_block() -> None:
    bridge = parking("toolu_1", "toolu_2")
    assert {name: (p.request_id, p.rpc_id) for name, p in bridge.parked.items()} == {
        "toolu_1": ("call-7", 7),
        "toolu_2": ("call-8", 8),
    }


def test_a_call_that_is_withdrawn_waits_no_more() -> None:
    bridge = parking("toolu_1", "toolu_2")
    answer = hear(bridge, "notifications/cancelled", params={"requestId": 8, "reason": "x"})
    assert answer == {"jsonrpc": "2.0", "result": {}}
    assert list(bridge.parked) == ["toolu_1"]
    for unknown in (99, "8", None):
        hear(bridge, "notifications/cancelled", params={"requestId": unknown})
    assert list(bridge.parked) == ["toolu_1"]


def test_when_the_turn_is_over_nothing_waits() -> None:
    bridge = parking("toolu_1")
    bridge.clear()
    assert not bridge.parked
    assert bridge.resolve([results(told("toolu_1"))]) is None


def test_results_answer_their_calls_and_nothing_waits_any_more() -> None:
    bridge = parking("toolu_a1", "toolu_b")
    answers = bridge.resolve(
        [results(told("call_b", Text(" x\n"), PIXEL), told("toolu_a-1", is_error=True))]
    )
    assert answers is not None
    first, second = (frame["response"] for frame in written(answers))
    assert (first["request_id"], second["request_id"]) == ("call-8", "call-7")
    assert first["response"]["mcp_response"] == {
        "jsonrpc": "2.0",
        "id": 8,
        "result": {
            "content": [
                {"type": "text", "text": " x\n"},
                {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"},
            ]
        },
    }
    assert second["response"]["mcp_response"]["result"] == {
        "content": [{"type": "text", "text": "42"}],
        "isError": True,
    }
    assert not bridge.parked


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [user("never mind")],
        [results(told("toolu_1"))],
        [results(told("toolu_1"), told("toolu_2"), told("toolu_3"))],
        [results(told("toolu_1"), told("toolu_3"))],
        [results(told("toolu_1"), told("toolu_2")), user("and?")],
        [results(told("toolu_1"), told("toolu_2"), Text("and?"))],
        [results(told("toolu_1")), results(told("toolu_2"))],
    ],
)
def test_anything_but_the_results_changes_nothing(messages: list[Message]) -> None:
    bridge = parking("toolu_1", "toolu_2")
    assert bridge.resolve(messages) is None
    assert list(bridge.parked) == ["toolu_1", "toolu_2"]


def test_where_nothing_waits_there_is_nothing_to_answer() -> None:
    assert offering(LOOKUP).resolve([results(told("toolu_1"))]) is None


def is_exact(result: ToolResult) -> bool:
    return parking("toolu_1").resolve([results(result)]) is not None


def failed(text: str) -> ToolResult:
    return told("toolu_1", Text(text), is_error=True)


@pytest.mark.parametrize(
    "result",
    [
        told("toolu_1", Text("x" * 400_000)),
        told("toolu_1", Text("x" * 200_000), Text("y" * 200_000)),
        told("toolu_1", PIXEL),
        told("toolu_1", Text(" \n a\n "), PIXEL),
        told("toolu_1", Text("<error>x</error>")),
        ToolResult("toolu_1", ()),
        failed("it broke\n\nin two lines"),
    ],
)
def test_what_the_cli_passes_on_as_it_is_goes_through_it(result: ToolResult) -> None:
    assert is_exact(result)


CUT = "the CLI cuts the middle out of an error of more than 11,024 characters"
COUNTS = "the CLI counts as JavaScript does: a character beyond U+FFFF is two"
TRIMS = "JavaScript's trim takes U+FEFF off, Python's strip does not"


@pytest.mark.parametrize(
    "result",
    [
        # What is long it would put into a file.
        told("toolu_1", Text("x" * 400_001)),
        told("toolu_1", Text("x" * 400_000), Text("y")),
        told("toolu_1", Text("😀" * 250_001)),
        # It has no way to point at a picture.
        told("toolu_1", Image(url="https://pictures.test/a.png")),
        told("toolu_1", Text("see"), Image(url="https://pictures.test/a.png")),
        # Of an error it makes one text, trimmed, and not a long one.
        ToolResult("toolu_1", (), is_error=True),
        ToolResult("toolu_1", (Text("a"), Text("b")), is_error=True),
        ToolResult("toolu_1", (PIXEL,), is_error=True),
        ToolResult("toolu_1", (Text("a"), PIXEL), is_error=True),
        failed(" a"),
        failed("a\n"),
        failed("a\u2028"),
        failed("\u00a0a"),
        failed("\ufeffa"),
        failed("x" * 20_000),
    ],
)
def test_what_the_cli_would_change_goes_another_way(result: ToolResult) -> None:
    assert not is_exact(result)


# Calls of the history.


def used(*names: str, tool: str = "lookup") -> Message:
    return Message(Role.ASSISTANT, tuple(ToolUse(name, tool, '{"a": 1}') for name in names))


def answered(*names: str) -> Message:
    return results(*(told(name) for name in names))


def ids(messages: tuple[Message, ...]) -> list[list[str]]:
    return [[part.id for part in (*calls_of(m), *results_of(m))] for m in messages]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        # As they are.
        ([used("toolu_1"), answered("toolu_1")], [["toolu-1"]] * 2),
        ([used("a", "b"), answered("b", "a")], [["a", "b"], ["b", "a"]]),
        # A result goes by the name that its call has.
        ([used("toolu_1"), answered("call-1")], [["toolu-1"]] * 2),
        # Of few characters.
        ([used("functions.f:0"), answered("functions.f:0")], [["functions_f-0"]] * 2),
        ([used("é😀"), answered("é😀")], [["__"]] * 2),
        ([used(""), answered("")], [["call"]] * 2),
        # Each once.
        (
            [used("call_0", "call_1"), answered("call_0", "call_1")] * 2,
            [["call-0", "call-1"]] * 2 + [["call-0-2", "call-1-2"]] * 2,
        ),
        ([used("a"), answered("a")] * 3, [["a"]] * 2 + [["a-2"]] * 2 + [["a-3"]] * 2),
        (
            [used("a"), answered("a"), used("a_2"), answered("a_2"), used("a"), answered("a")],
            [["a"]] * 2 + [["a-2"]] * 2 + [["a-3"]] * 2,
        ),
        (
            [used("a"), answered("a"), used("a"), answered("a"), used("a_2"), answered("a_2")],
            [["a"]] * 2 + [["a-2"]] * 2 + [["a-2-2"]] * 2,
        ),
        (
            [used("a.b"), answered("a.b"), used("a:b"), answered("a:b")],
            [["a_b"]] * 2 + [["a_b-2"]] * 2,
        ),
    ],
)
def test_ids_are_those_that_the_upstream_takes(
    said: list[Message], expected: list[list[str]]
) -> None:
    assert ids(legal_calls(ask(*said))) == expected


def test_names_are_those_that_the_upstream_takes_and_the_model_knows() -> None:
    def name_of(tool: str, **more: object) -> str:
        turn = msgspec.structs.replace(ask(used("a", tool=tool), answered("a")), **more)
        return calls_of(legal_calls(turn)[0])[0].name

    assert name_of("lookup") == "lookup"
    assert name_of("functions.look up") == "functions_look_up"
    assert name_of("Skill") == "mcp__c__Skill"
    assert name_of("Bash", own_tools=("Bash",)) == "mcp__c__Bash"


def test_nothing_else_of_a_message_changes() -> None:
    mixed = Message(Role.ASSISTANT, (Text("Let me look."), *used("x.y").parts))
    back = results(told("x.y", Text("a"), PIXEL, is_error=True), Text("and?"))
    said = legal_calls(ask(user("hi"), mixed, back))
    assert said[0] == user("hi")
    assert said[1].parts == (Text("Let me look."), ToolUse("x_y", "lookup", '{"a": 1}'))
    assert said[2].parts == (told("x_y", Text("a"), PIXEL, is_error=True), Text("and?"))


IDS = st.text(max_size=4) | st.sampled_from(["call_0", "call_1", "toolu_x", "f.g:0", "a_2", "a"])
ANSWERS = st.lists(
    st.lists(IDS, min_size=1, max_size=3, unique_by=plain_id), min_size=1, max_size=6
)
OWN = st.lists(st.from_regex(LEGAL, fullmatch=True), min_size=1, max_size=8, unique=True).filter(
    lambda names: (
        len({plain_id(name) for name in names}) == len(names)
        # Beside another id the CLI would lose the result of such a one.
        and not any(re.search(r"_[0-9]+$", name) for name in names)
    )
)


def talk(answers: list[list[str]]) -> Turn:
    """A conversation whose answers call with these ids; their results spell them otherwise."""
    said = [user("hi")]
    for names in answers:
        said += [used(*names), answered(*(f"call_{plain_id(name)}" for name in names[::-1]))]
    return ask(*said)


@given(ANSWERS)
def test_whatever_the_ids_were_each_is_legal_and_there_once_and_pairs_stay_pairs(
    answers: list[list[str]],
) -> None:
    turn = talk(answers)
    found = legal_calls(turn)
    names = [call.id for message in found for call in calls_of(message)]
    assert len(set(names)) == len(names)
    assert all(LEGAL.fullmatch(name) for name in names)
    for index in range(1, len(found), 2):
        called, back = calls_of(found[index]), results_of(found[index + 1])
        assert [result.id for result in back] == [call.id for call in called][::-1]
        before = [call.arguments for call in calls_of(turn.messages[index])]
        assert [call.arguments for call in called] == before


@given(OWN)
def test_ids_that_are_legal_and_differ_stay_as_they_are(names: list[str]) -> None:
    said = [message for name in names for message in (used(name), answered(name))]
    turn = ask(*said)
    assert legal_calls(turn) == turn.messages


@given(ANSWERS, st.integers(0, 12))
def test_what_comes_later_changes_nothing_before(answers: list[list[str]], count: int) -> None:
    """A process that has the beginning of a conversation has it under the same ids."""
    turn = talk(answers)
    part = msgspec.structs.replace(turn, messages=turn.messages[: count + 1])
    assert legal_calls(part) == legal_calls(turn)[: count + 1]


# As frames.


def blocks(turn: Turn) -> list[Frame]:
    frames = [frame for step in write_messages(turn, 0, b"") for frame in written(step.frames)]
    contents = [frame["message"]["content"] for frame in frames]
    return [block for content in contents if isinstance(content, list) for block in content]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a": 1, "b": "\u2028"}', {"a": 1, "b": "\u2028"}),
        ("", {}),
        ("null", {}),
        ("[1]", {"__unparsedToolInput": {"raw": "[1]", "len": 3}}),
        ('{"a": ', {"__unparsedToolInput": {"raw": '{"a": ', "len": 6}}),
    ],
)
def test_a_call_of_the_history_is_written_with_what_its_arguments_say(
    arguments: str, given: Frame
) -> None:
    call = Message(Role.ASSISTANT, (ToolUse("x.y", "lookup", arguments),))
    (use, result) = blocks(ask(user("hi"), call, answered("x.y")))
    assert use == {"type": "tool_use", "id": "x_y", "name": "lookup", "input": given}
    assert result == {
        "type": "tool_result",
        "tool_use_id": "x_y",
        "content": [{"type": "text", "text": "42"}],
    }


def test_a_result_that_is_an_error_says_so() -> None:
    said = ask(user("hi"), used("a"), results(ToolResult("a", (PIXEL,), is_error=True)))
    result = blocks(said)[1]
    assert result["is_error"] is True
    assert result["content"][0]["source"]["type"] == "base64"


@pytest.mark.parametrize("depth", [100, *range(195, 205), *range(985, 1_000), 100_000])
def test_arguments_of_any_depth_can_be_written(depth: int) -> None:
    """A frame is some levels deeper than the arguments in it."""
    deep = '{"a":' * depth + "1" + "}" * depth
    call = Message(Role.ASSISTANT, (ToolUse("a", "lookup", deep),))
    assert blocks(ask(user("hi"), call, answered("a")))[0]["type"] == "tool_use"
