"""The model sees the caller's tools under their own names where these are free, and the caller
never sees another."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.claude.names import SERVER, caller_name, wire_name
from ocpd.turn.request import ALL_TOOLS, Turn
from ocpd.turn.servers import CLIENT, Server
from tests.unit.claude.stage import ask

FILES = Server("files", msgspec.Raw(b"{}"))


def turn(*servers: Server, own: tuple[str, ...] = ()) -> Turn:
    return msgspec.structs.replace(ask(), servers=servers, own_tools=own)


@pytest.mark.parametrize("name", ["lookup", "Bash", "a-b_C9", "mcp__other__x", "mcp__cc__x", "c"])
def test_a_name_that_is_free_is_the_tool_s_own(name: str) -> None:
    assert wire_name(turn(), name) == caller_name(name) == name


@pytest.mark.parametrize("name", ["Agent", "Skill", "StructuredOutput", "ToolSearch"])
def test_a_name_that_makes_the_cli_meddle_is_not_free(name: str) -> None:
    assert wire_name(turn(), name) == f"mcp__c__{name}"


@pytest.mark.parametrize(
    ("name", "asked", "is_free"),
    [
        ("mcp__c__x", turn(), False),
        ("mcp__files__read", turn(), True),
        ("mcp__files__read", turn(FILES), False),
        ("mcp__files__", turn(FILES), False),
        ("mcp__files_read", turn(FILES), True),
        ("files", turn(FILES), True),
        ("Bash", turn(own=("Read",)), True),
        ("Bash", turn(own=("Read", "Bash")), False),
        ("bash", turn(own=("Read", "Bash")), True),
        ("lookup", turn(own=ALL_TOOLS), False),
    ],
)
def test_what_runs_beside_the_cli_takes_its_names(name: str, asked: Turn, is_free: bool) -> None:
    assert wire_name(asked, name) == (name if is_free else f"mcp__c__{name}")


def test_nobody_else_may_call_a_server_so() -> None:
    assert SERVER == CLIENT


NAMES = st.from_regex(re.compile(r"(mcp__(c|files)__){0,2}[a-zA-Z0-9_-]{1,8}"), fullmatch=True)
ANY = NAMES | st.sampled_from(["Agent", "Skill", "Bash", "mcp__c__Skill", "mcp__c__mcp__c__Skill"])
TURNS = st.builds(
    lambda served, own: turn(*([FILES] if served else []), own=own),
    st.booleans(),
    st.sampled_from([(), ("Bash", "Read"), ALL_TOOLS]),
)


@given(ANY, TURNS)
def test_every_name_comes_back_as_it_was(name: str, asked: Turn) -> None:
    assert caller_name(wire_name(asked, name)) == name


@given(st.sets(ANY, max_size=8), TURNS)
def test_names_that_differ_still_differ_for_the_model(names: set[str], asked: Turn) -> None:
    assert len({wire_name(asked, name) for name in names}) == len(names)


@given(ANY, TURNS)
def test_no_tool_of_the_caller_s_goes_by_the_name_of_another_s(name: str, asked: Turn) -> None:
    seen = wire_name(asked, name)
    assert seen not in asked.own_tools
    assert not any(seen.startswith(f"mcp__{server.name}__") for server in asked.servers)
