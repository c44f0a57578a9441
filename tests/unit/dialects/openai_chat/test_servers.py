"""Where a request may say which MCP servers it wants."""

from collections.abc import Sequence

import msgspec
import pytest

from ocpd.dialects.interface import Context
from ocpd.dialects.openai_chat.decode import decode_request
from ocpd.errors import BadRequest, Refused
from ocpd.turn.servers import Server
from tests.unit.dialects.openai_chat.asking import QUESTION, TURN_ID, refuse, resolve

ONE = Server("one", msgspec.Raw(b"{}"))


def asked(body: object = None, header: str | None = None) -> tuple[list[str], str]:
    """What is asked for, and in which field."""
    heard: list[tuple[list[str], str]] = []

    def choose(names: Sequence[str], field: str) -> tuple[Server, ...]:
        heard.append((list(names), field))
        return (ONE,)

    context = Context(TURN_ID, resolve, servers=header, choose_servers=choose)
    fields = {"messages": [QUESTION], "metadata": {"mcp_servers": body}}
    turn = decode_request(msgspec.json.encode(fields), context)
    assert turn.servers == (ONE,)
    (found,) = heard
    return found


def test_the_header_is_a_comma_list() -> None:
    assert asked(header="files, web") == (["files", "web"], "x-mcp-servers")
    assert asked(header="") == ([], "x-mcp-servers")


@pytest.mark.parametrize(
    ("body", "names"), [(["web", "a b"], ["web", "a b"]), ("web,x", ["web", "x"])]
)
def test_the_body_is_a_list_or_a_comma_list(body: object, names: list[str]) -> None:
    assert asked(body) == (names, "metadata.mcp_servers")


@pytest.mark.parametrize("body", [["web"], [], "web", ""])
def test_the_body_wins_over_the_header_also_with_none(body: object) -> None:
    assert asked(body, "files")[1] == "metadata.mcp_servers"


def test_who_asks_for_none_still_gets_those_that_join_every_request() -> None:
    assert asked() == ([], "x-mcp-servers")


def test_what_cannot_be_had_is_refused_in_the_words_of_whoever_decides() -> None:
    def choose(_names: Sequence[str], field: str) -> tuple[Server, ...]:
        raise Refused("not yours", param=field)

    context = Context(TURN_ID, resolve, choose_servers=choose)
    with pytest.raises(Refused, match="not yours"):
        decode_request(msgspec.json.encode({"messages": [QUESTION]}), context)


def test_where_there_are_no_servers_none_can_be_asked_for() -> None:
    refusal = refuse(metadata={"mcp_servers": ["web"]})
    assert (refusal.code, refusal.param) == ("unknown_mcp_server", "metadata.mcp_servers")
    context = Context(TURN_ID, resolve, servers="web")
    with pytest.raises(BadRequest, match="x-mcp-servers: there is no MCP server 'web'"):
        decode_request(msgspec.json.encode({"messages": [QUESTION]}), context)
