"""What this version refuses by name."""

import msgspec
import pytest

from ocpd.dialects.support import refuse_unsupported
from ocpd.errors import BadRequest
from ocpd.turn.request import (
    AnswerFormat,
    Limits,
    Message,
    Part,
    Reasoning,
    Role,
    Shape,
    Text,
    Tool,
    ToolMode,
    ToolPolicy,
    ToolResult,
    ToolUse,
    Turn,
    TurnId,
)

TOOL = Tool("f", "", msgspec.Raw(b"{}"))


def make_turn(*parts: Part, **fields: object) -> Turn:
    messages = (Message(Role.USER, (Text("hi"), *parts)),)
    return msgspec.structs.replace(Turn(id=TurnId("t"), model="m", messages=messages), **fields)


@pytest.mark.parametrize(
    ("turn", "param"),
    [
        (make_turn(format=AnswerFormat(Shape.JSON)), "response_format"),
        (make_turn(format=AnswerFormat(Shape.SCHEMA, msgspec.Raw(b"{}"))), "response_format"),
    ],
)
def test_what_would_be_answered_wrongly_is_refused(turn: Turn, param: str) -> None:
    with pytest.raises(BadRequest, match="is not supported by this version of ocpd yet") as caught:
        refuse_unsupported(turn)
    refusal = caught.value
    assert (refusal.status, refusal.code) == (400, "unsupported_parameter")
    assert refusal.param == param
    assert param in refusal.message


@pytest.mark.parametrize(
    "turn",
    [
        make_turn(),
        make_turn(Reasoning("hm")),
        make_turn(ToolUse("1", "f", "{}"), ToolResult("1", ())),
        make_turn(tools=(TOOL,), tool_policy=ToolPolicy(ToolMode.REQUIRED)),
        make_turn(tools=(TOOL,), tool_policy=ToolPolicy(ToolMode.NONE)),
        make_turn(limits=Limits(max_tokens=1, stop=("x",))),
    ],
)
def test_the_rest_passes(turn: Turn) -> None:
    refuse_unsupported(turn)
