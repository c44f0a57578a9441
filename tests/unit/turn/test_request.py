"""A turn is a frozen record; what a caller leaves out has one meaning."""

import enum
import typing

import msgspec
import pytest

from ocpd.turn import request
from ocpd.turn.request import (
    AnswerFormat,
    Limits,
    Message,
    Part,
    Role,
    Sampling,
    Shape,
    Text,
    ToolMode,
    ToolPolicy,
    Turn,
    TurnId,
)

RECORDS = [
    kind
    for kind in vars(request).values()
    if isinstance(kind, type)
    and issubclass(kind, msgspec.Struct)
    and kind.__module__ == request.__name__
]
HELLO = Message(Role.USER, (Text("hello"),))


def test_what_is_left_out_has_no_effect() -> None:
    turn = Turn(id=TurnId("0" * 32), model="opus", messages=(HELLO,))
    assert (turn.system, turn.stream, turn.include_usage) == ("", False, False)
    assert (turn.tools, turn.ignored) == ((), ())
    assert turn.tool_policy == ToolPolicy(ToolMode.AUTO, None, parallel=True)
    assert turn.format == AnswerFormat(Shape.TEXT)
    assert (turn.limits, turn.sampling) == (Limits(None, ()), Sampling(None, None, None))
    assert (turn.effort, turn.session, turn.user) == (None, None, None)


@pytest.mark.parametrize("kind", RECORDS)
def test_no_part_of_a_turn_can_be_changed(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


def test_each_kind_of_part_is_told_apart_by_its_tag() -> None:
    tags = [part.__struct_config__.tag for part in typing.get_args(Part)]
    assert tags == ["text", "image", "document", "tool_use", "tool_result", "reasoning"]
    part = msgspec.json.decode(b'{"type":"text","text":"hi"}', type=Part)
    assert part == Text("hi")


def test_a_turn_is_built_by_name_only() -> None:
    with pytest.raises(TypeError):
        Turn(TurnId("0" * 32), "opus", (HELLO,))


def test_equal_requests_are_equal_turns() -> None:
    one, other = (Turn(id=TurnId("a"), model="opus", messages=(HELLO,)) for _ in range(2))
    assert one == other


def test_words_of_the_enums_are_lower_case() -> None:
    kinds = [kind for kind in vars(request).values() if isinstance(kind, enum.EnumMeta)]
    words = [member.value for kind in kinds for member in kind]
    assert words == [word.lower() for word in words]
