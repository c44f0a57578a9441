"""Tools and how free the model is to call them."""

import msgspec
import pytest

from ocpd.turn.request import Tool, ToolMode, ToolPolicy
from tests.unit.dialects.openai_chat.asking import decode, refuse

SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}}
F = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}
G = {"type": "function", "function": {"name": "g"}}


def named(*tools: Tool) -> list[str]:
    return [tool.name for tool in tools]


def allow(mode: str, *names: str) -> dict[str, object]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def test_a_tool_keeps_its_schema_byte_for_byte() -> None:
    strict = {"function": F["function"] | {"strict": True}}  # type: ignore[operator]
    (tool,) = decode(tools=[strict]).tools
    assert (tool.name, tool.description, tool.strict) == ("f", "d", True)
    assert bytes(tool.schema) == (
        b'{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{}}}'
    )


def read_schema(written: bytes) -> bytes:
    """What the schema ``written`` becomes."""
    function = {"name": "f", "parameters": msgspec.Raw(written)}
    (tool,) = decode(tools=[{"type": "function", "function": function}]).tools
    return bytes(tool.schema)


@pytest.mark.parametrize(
    "written",
    [
        b'{"type":"object"}',
        b'{ "properties": {},\n\t"type": "object", "type":"object" }',
        b'{"$schema":"x","description":"caf\xc3\xa9 \\u00e9","type":"object","n":1.0e0}',
        b'{"t\\u0079pe":"obj\\u0065ct","properties":{"type":{"type":"string"}}}',
    ],
)
def test_a_schema_of_an_object_stays_as_it_was_written(written: bytes) -> None:
    assert read_schema(written) == written


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'{"properties":{"a":{}}}', b'{"type":"object","properties":{"a":{}}}'),
        (b'{ \n "$ref": "#/a" }', b'{"type":"object", \n "$ref": "#/a" }'),
        (b'{"anyOf":[{"type":"object"}]}', b'{"type":"object","anyOf":[{"type":"object"}]}'),
    ],
)
def test_a_schema_without_a_type_gets_it_put_first(written: bytes, read: bytes) -> None:
    assert read_schema(written) == read
    assert msgspec.json.decode(read)["type"] == "object"


@pytest.mark.parametrize("written", [b"{}", b"{ }", b"{\r\n\t}", b"null"])
def test_an_empty_schema_takes_no_parameters(written: bytes) -> None:
    assert read_schema(written) == b'{"type":"object","properties":{}}'


@pytest.mark.parametrize(
    "written",
    [
        b'{"type":"string"}',
        b'{"type":"Object"}',
        b'{"type":null}',
        b'{"type":["object","null"]}',
        b'{"type":"object","type":"array"}',
        b'{"type":""}',
    ],
)
def test_parameters_that_are_no_object_are_refused(written: bytes) -> None:
    function = {"name": "g", "parameters": msgspec.Raw(written)}
    refusal = refuse(tools=[F, {"type": "function", "function": function}])
    assert refusal.param == "tools[1].function.parameters.type"
    refusal = refuse(functions=[function])
    assert refusal.param == "functions[0].parameters.type"


@pytest.mark.parametrize("parameters", [{}, {"parameters": None}])
def test_a_tool_without_parameters_takes_none(parameters: dict[str, None]) -> None:
    (tool,) = decode(tools=[{"type": "function", "function": {"name": "f"} | parameters}]).tools
    assert bytes(tool.schema) == b'{"type":"object","properties":{}}'
    assert (tool.description, tool.strict) == ("", False)


@pytest.mark.parametrize("tools", [None, []])
def test_no_tools_are_no_tools(tools: object) -> None:
    turn = decode(tools=tools, tool_choice="auto", parallel_tool_calls=True)
    assert (turn.tools, turn.tool_policy) == ((), ToolPolicy())


def test_functions_are_the_old_tools() -> None:
    turn = decode(functions=[F["function"]], function_call={"name": "f"})
    assert named(*turn.tools) == ["f"]
    assert turn.tool_policy == ToolPolicy(ToolMode.NAMED, "f", parallel=False)
    assert turn.calls_as_functions
    assert decode(functions=[F["function"]], function_call="none").tool_policy.mode is ToolMode.NONE


def test_functions_beside_tools_do_not_count() -> None:
    turn = decode(functions=[G["function"]], tools=[F], parallel_tool_calls=True)
    assert (named(*turn.tools), turn.calls_as_functions) == (["f"], False)
    assert turn.tool_policy.parallel
    assert not decode(functions=[]).calls_as_functions


@pytest.mark.parametrize(
    ("choice", "policy"),
    [
        (None, ToolPolicy()),
        ("auto", ToolPolicy()),
        ("none", ToolPolicy(ToolMode.NONE)),
        ("required", ToolPolicy(ToolMode.REQUIRED)),
        ({"type": "auto"}, ToolPolicy()),
        ({"type": "function", "function": {"name": "g"}}, ToolPolicy(ToolMode.NAMED, "g")),
        ({"function": {"name": "g"}}, ToolPolicy(ToolMode.NAMED, "g")),
    ],
)
def test_a_choice_becomes_a_policy(choice: object, policy: ToolPolicy) -> None:
    turn = decode(tools=[F, G], tool_choice=choice)
    assert turn.tool_policy == policy
    assert named(*turn.tools) == ["f", "g"]


def test_calls_may_have_to_come_one_by_one() -> None:
    assert not decode(tools=[F], parallel_tool_calls=False).tool_policy.parallel


def test_allowed_tools_leave_the_others_out() -> None:
    turn = decode(tools=[F, G], tool_choice=allow("required", "g"))
    assert named(*turn.tools) == ["g"]
    assert turn.tool_policy == ToolPolicy(ToolMode.REQUIRED)
    assert decode(tools=[F, G], tool_choice=allow("auto", "f", "g")).tool_policy == ToolPolicy()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [F, {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "name": "f"}]}, "tools[0].function"),
        ({"tools": [{"function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "x" * 129}}]}, "tools[0].function.name"),
        ({"tools": [F, F]}, "tools[1].function.name"),
        (
            {"tools": [{"function": {"name": "f", "parameters": "{}"}}]},
            "tools[0].function.parameters",
        ),
        ({"functions": [{"name": "a.b"}]}, "functions[0].name"),
        ({"tools": "f"}, "tools"),
        ({"tool_choice": "any", "tools": [F]}, "tool_choice"),
        ({"tool_choice": {"type": "custom"}, "tools": [F]}, "tool_choice"),
        ({"tool_choice": {}, "tools": [F]}, "tool_choice"),
        ({"tool_choice": {"function": {"name": "h"}}, "tools": [F]}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": allow("never", "f"), "tools": [F]}, "tool_choice.allowed_tools.mode"),
        ({"tool_choice": allow("auto", "h"), "tools": [F]}, "tool_choice"),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "mcp"}]},
                },
                "tools": [F],
            },
            "tool_choice.allowed_tools.tools[0]",
        ),
        ({"function_call": "required", "functions": [{"name": "f"}]}, "function_call"),
        ({"function_call": {"name": "g"}, "functions": [{"name": "f"}]}, "function_call"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(fields: dict[str, object], param: str) -> None:
    assert refuse(**fields).param == param


def test_a_call_required_of_no_allowed_tool_is_refused() -> None:
    assert refuse(tools=[F], tool_choice=allow("required")).param == "tool_choice"
