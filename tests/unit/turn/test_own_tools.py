"""Promise: a caller has the tools of its own list, else those of the settings, and no others."""

import pytest

from ocpd.settings.values import Settings
from ocpd.turn.own_tools import (
    MOST_TOOLS,
    UNFIT,
    find_tool_fault,
    give_tools,
    parse_tools,
    tools_of,
)
from ocpd.turn.request import ALL_TOOLS, Message, Role, Text, Turn, TurnId

TURN = Turn(id=TurnId("0" * 32), model="m", messages=(Message(Role.USER, (Text("hi"),)),))


@pytest.mark.parametrize(
    ("text", "tools"),
    [("", ()), ("Read", ("Read",)), (" Read, Bash ,Read", ("Bash", "Read"))],
)
def test_tools_are_named_by_a_comma_list(text: str, tools: tuple[str, ...]) -> None:
    assert parse_tools(text) == tools


@pytest.mark.parametrize(
    "name", ["", "read", "Bash(git *)", "mcp__files", "*", "--model=x", "Bash Read", "Ü", "X" * 65]
)
def test_what_the_cli_would_pass_over_is_refused(name: str) -> None:
    assert find_tool_fault(name) is not None
    with pytest.raises(ValueError, match="no tool of the CLI's own") as caught:
        parse_tools(f"Read,{name}")
    assert str(caught.value).startswith(repr(name))


@pytest.mark.parametrize("name", sorted(UNFIT))
def test_what_would_go_on_after_the_answer_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not for a server"):
        parse_tools(f"Read,{name}")


def test_there_is_a_most_of_tools() -> None:
    assert len(parse_tools(",".join(f"T{number}" for number in range(MOST_TOOLS)))) == MOST_TOOLS
    with pytest.raises(ValueError, match=f"at most {MOST_TOOLS}"):
        parse_tools(",".join(f"T{number}" for number in range(MOST_TOOLS + 1)))


NAMED = Settings(allowed_tools="Read,Bash")
FREE = Settings(skip_permissions=True)
BOTH = Settings(allowed_tools="Read,Bash", skip_permissions=True)


@pytest.mark.parametrize(
    ("settings", "own", "tools", "is_unasked"),
    [
        (Settings(), None, (), False),
        (Settings(), (), (), False),
        (Settings(), ("Read",), ("Read",), False),
        (NAMED, None, ("Bash", "Read"), False),
        (NAMED, (), (), False),
        (NAMED, ("Grep",), ("Grep",), False),
        (FREE, None, ALL_TOOLS, True),
        # Who has no tools gets a process like everybody's.
        (FREE, (), (), False),
        (FREE, ("Read",), ("Read",), True),
        (BOTH, None, ("Bash", "Read"), True),
    ],
)
def test_a_callers_own_list_takes_the_place_of_the_settings(
    settings: Settings, own: tuple[str, ...] | None, tools: tuple[str, ...], is_unasked: bool
) -> None:
    turn = give_tools(TURN, settings, own)
    assert (turn.own_tools, turn.is_unasked) == (tools, is_unasked)
    if own is None:
        assert tools_of(settings) == tools
