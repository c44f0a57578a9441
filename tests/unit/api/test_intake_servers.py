"""Which MCP servers and which of the CLI's own tools a request gets, by who asks and where."""

import msgspec
import pytest

from ocpd.api.intake import Conditions, Intake
from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.dispatch.job import Job
from ocpd.errors import BadRequest, OcpdError, Refused
from ocpd.http.message import Headers, Request
from ocpd.settings.values import Settings
from ocpd.store.records import KeyRecord
from ocpd.turn.request import ALL_TOOLS, TurnId
from ocpd.turn.servers import make_registry, parse_servers
from tests.unit.api.stage import MODELS, Ring, make_doorkeeper

SERVER = {"command": "/bin/true"}
REGISTRY = make_registry(
    parse_servers(msgspec.json.encode({"mcpServers": {"base": SERVER}})),
    parse_servers(msgspec.json.encode({"mcpServers": {"files": SERVER, "web": SERVER}})),
)
KEY = KeyRecord(7, "k", "ocp_...", 1.0, None, None, None, "", None, "user", ("files",))
KEYS = {
    "limited": KEY,
    "bare": msgspec.structs.replace(KEY, allowed_tools=()),
    "reader": msgspec.structs.replace(KEY, allowed_tools=("Read",)),
}


def read(
    *headers: tuple[str, str], conditions: Conditions | None = None, **metadata: object
) -> Job:
    """The job of a request; its token may be one of ``KEYS``."""
    under = conditions or Conditions(Settings(), MODELS, REGISTRY)
    intake = Intake(OPENAI_CHAT, make_doorkeeper(Ring(KEYS)).admit, under)
    lines = [(name.encode(), value.encode()) for name, value in headers]
    request = Request("POST", "/x", "/x", "", Headers(lines), "1.1", "::1")
    fields = {"messages": [{"role": "user", "content": "hi"}], "metadata": metadata}
    return intake.read(request, TurnId("0" * 32), msgspec.json.encode(fields))


def servers(*headers: tuple[str, str], **metadata: object) -> list[str]:
    return [server.name for server in read(*headers, **metadata).turn.servers]


LIMITED = ("authorization", "Bearer limited")


def test_every_request_gets_those_of_the_operator() -> None:
    assert servers() == servers(LIMITED) == ["base"]


def test_a_request_gets_what_it_names_in_either_place() -> None:
    assert servers(("x-mcp-servers", "web, files")) == ["base", "files", "web"]
    assert servers(("x-mcp-servers", "web"), ("x-mcp-servers", "files")) == ["base", "files", "web"]
    assert servers(("x-mcp-servers", "web"), mcp_servers=["files"]) == ["base", "files"]
    assert servers(("x-mcp-servers", "web"), mcp_servers=[]) == ["base"]


def test_a_key_is_held_to_its_list() -> None:
    job = read(LIMITED, mcp_servers=["files"])
    assert [server.name for server in job.turn.servers] == ["base", "files"]
    assert (job.caller.key_id, job.caller.servers) == (7, ("files",))
    with pytest.raises(Refused, match="'web'") as caught:
        read(LIMITED, mcp_servers=["files", "web"])
    assert (caught.value.status, caught.value.param) == (403, "metadata.mcp_servers")


@pytest.mark.parametrize("conditions", [None, Conditions(Settings(), MODELS)])
def test_an_unknown_name_is_a_400_with_or_without_a_registry(conditions: Conditions | None) -> None:
    with pytest.raises(BadRequest) as caught:
        read(("x-mcp-servers", "nobody"), conditions=conditions)
    refusal: OcpdError = caught.value
    assert (refusal.code, refusal.param) == ("unknown_mcp_server", "x-mcp-servers")
    assert "'nobody'" in refusal.message


def test_a_registry_that_is_replaced_holds_for_the_next_request() -> None:
    conditions = Conditions(Settings(), MODELS, REGISTRY)
    conditions.registry = make_registry((), None)
    assert read(conditions=conditions).turn.servers == ()


def own_tools(settings: Settings, token: str = "nobody") -> tuple[tuple[str, ...], bool]:
    """What a request with this token gets."""
    bearer = ("authorization", f"Bearer {token}")
    turn = read(bearer, conditions=Conditions(settings, MODELS)).turn
    return turn.own_tools, turn.is_unasked


def test_a_key_with_tools_of_its_own_gets_those_and_the_others_what_the_settings_say() -> None:
    settings = Settings(allowed_tools="Bash")
    assert own_tools(settings) == own_tools(settings, "limited") == (("Bash",), False)
    assert own_tools(settings, "bare") == ((), False)
    assert own_tools(settings, "reader") == own_tools(Settings(), "reader") == (("Read",), False)
    assert own_tools(Settings()) == ((), False)


def test_without_permissions_all_tools_are_there_unless_some_are_named() -> None:
    settings = Settings(skip_permissions=True)
    assert own_tools(settings) == (ALL_TOOLS, True)
    assert own_tools(settings, "reader") == (("Read",), True)
    assert own_tools(settings, "bare") == ((), False)
