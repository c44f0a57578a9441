"""The tools of a request and how free the model is to call them.

What may live here: ``tools`` and ``tool_choice`` with their older forms ``functions`` and
``function_call``, as the Turn wants them.
"""

import re
from collections.abc import Sequence

import msgspec

from ocpd.dialects.body import is_given, read_body
from ocpd.dialects.openai_chat import wire
from ocpd.errors import BadRequest
from ocpd.turn.request import Tool, ToolMode, ToolPolicy

# What the API behind takes as a name of a tool.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MODES = {"auto": ToolMode.AUTO, "none": ToolMode.NONE, "required": ToolMode.REQUIRED}
_SCHEMA: msgspec.json.Decoder[wire.SchemaHead] = msgspec.json.Decoder(wire.SchemaHead)
_EMPTY = re.compile(rb"\{\s*\}")
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')


def read_tools(request: wire.Request) -> tuple[tuple[Tool, ...], ToolPolicy]:
    """Read which tools there are and whether the model may, must or must not call them.

    Raises BadRequest naming the tool that does not fit, or a choice of one that is not there.
    """
    tools = _read_list(request)
    if (choice := request.tool_choice) is None:
        mode, names = _read_function_call(request.function_call)
        field = "function_call"
    else:
        mode, names = _read_choice(choice)
        field = "tool_choice"
    known = {tool.name for tool in tools}
    for name in names or ():
        if name not in known:
            raise BadRequest(f"{field}: there is no tool {name[:128]!r} in tools", param=field)
    # The older form has no words for two calls in one answer.
    parallel = request.parallel_tool_calls is not False and not is_older_form(request)
    if mode is ToolMode.NAMED and names:
        return tools, ToolPolicy(mode, names[0], parallel)
    if names is not None:
        allowed = frozenset(names)
        tools = tuple(tool for tool in tools if tool.name in allowed)
    if mode is ToolMode.REQUIRED and not tools:
        raise BadRequest(f"{field}: a call is required, but there are no tools", param=field)
    return tools, ToolPolicy(mode, None, parallel)


def is_older_form(request: wire.Request) -> bool:
    """Whether the tools come as ``functions``."""
    return bool(request.functions) and not request.tools


def _read_list(request: wire.Request) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    seen: set[str] = set()
    for at, function in _find_functions(request):
        path = f"{at}.name"
        if not _NAME.fullmatch(function.name):
            raise BadRequest(
                f"{path}: use 1 to 128 letters, digits, underscores and hyphens", param=path
            )
        if function.name in seen:
            raise BadRequest(f"{path}: {function.name!r} appears twice", param=path)
        seen.add(function.name)
        tools.append(_read_function(function, at))
    return tuple(tools)


def _find_functions(request: wire.Request) -> Sequence[tuple[str, wire.Function]]:
    if not request.tools:
        return [(f"functions[{i}]", item) for i, item in enumerate(request.functions or ())]
    found: list[tuple[str, wire.Function]] = []
    for index, tool in enumerate(request.tools):
        if tool.type != "function":
            path = f"tools[{index}].type"
            raise BadRequest(f"{path}: {tool.type[:64]!r} is not supported here", param=path)
        path = f"tools[{index}].function"
        if tool.function is None:
            raise BadRequest(f"{path}: required, but missing", param=path)
        found.append((path, tool.function))
    return found


def _read_function(function: wire.Function, at: str) -> Tool:
    schema = _NO_PARAMETERS
    if is_given(function.parameters):
        schema = _read_schema(function.parameters, f"{at}.parameters")
    return Tool(function.name, function.description or "", schema, function.strict or False)


def _read_schema(raw: msgspec.Raw, path: str) -> msgspec.Raw:
    head = read_body(raw, _SCHEMA, path)
    if head.type is msgspec.UNSET:
        text = bytes(raw)
        if _EMPTY.fullmatch(text):
            return _NO_PARAMETERS
        # The API behind wants the type; what else there is stays as it was written.
        return msgspec.Raw(b'{"type":"object",' + text[1:])
    if head.type != "object":
        raise BadRequest(
            f"{path}.type: {head.type[:64]!r} cannot be parameters; expected 'object'",
            param=f"{path}.type",
        )
    # A copy: a Raw of the body would keep all of it for as long as the turn lives.
    return raw.copy()


def _read_function_call(choice: str | wire.Named | None) -> tuple[ToolMode, list[str] | None]:
    if isinstance(choice, wire.Named):
        return ToolMode.NAMED, [choice.name]
    if choice not in (None, "auto", "none"):
        raise BadRequest(
            "function_call: expected auto, none or an object with a name", param="function_call"
        )
    return _MODES[choice or "auto"], None


def _read_choice(choice: str | wire.ToolChoice) -> tuple[ToolMode, list[str] | None]:
    """The mode, and the names that are allowed; None allows all."""
    if isinstance(choice, wire.ToolChoice):
        if choice.type == "allowed_tools" and choice.allowed_tools is not None:
            return _read_allowed(choice.allowed_tools)
        if choice.type in (None, "function") and choice.function is not None:
            return ToolMode.NAMED, [choice.function.name]
        word = choice.type or ""
    else:
        word = choice
    if word not in _MODES:
        raise BadRequest(
            "tool_choice: expected auto, none, required, a function or allowed_tools",
            param="tool_choice",
        )
    return _MODES[word], None


def _read_allowed(allowed: wire.AllowedTools) -> tuple[ToolMode, list[str]]:
    if allowed.mode not in ("auto", "required"):
        path = "tool_choice.allowed_tools.mode"
        raise BadRequest(f"{path}: expected auto or required", param=path)
    names: list[str] = []
    for index, tool in enumerate(allowed.tools):
        if tool.type != "function" or tool.function is None:
            path = f"tool_choice.allowed_tools.tools[{index}]"
            raise BadRequest(f"{path}: only functions are supported here", param=path)
        names.append(tool.function.name)
    return _MODES[allowed.mode], names
