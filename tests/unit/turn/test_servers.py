"""MCP servers: what a file may say of one, and who gets which."""

from typing import Any

import msgspec
import pytest

from ocpd.errors import BadRequest, Refused
from ocpd.turn.servers import (
    TAKEN,
    Registry,
    Server,
    choose_servers,
    find_name_fault,
    make_registry,
    parse_servers,
    split_names,
)

FILES: dict[str, Any] = {"command": "/bin/files", "args": ["--root", "/srv"], "env": {"KEY": "s"}}
WEB: dict[str, Any] = {"type": "http", "url": "https://web.test/mcp", "headers": {"X-Key": "s"}}


def written(**entries: object) -> bytes:
    return msgspec.json.encode({"mcpServers": entries})


def config_of(entry: object) -> dict[str, Any]:
    (server,) = parse_servers(written(one=entry))
    return msgspec.json.decode(server.config, type=dict[str, Any])


def fault_of(data: bytes) -> str:
    with pytest.raises(ValueError) as caught:
        parse_servers(data)
    return str(caught.value)


def names_of(servers: tuple[Server, ...]) -> list[str]:
    return [server.name for server in servers]


# What a file says...


def test_a_program_and_an_address_become_what_the_cli_takes() -> None:
    assert config_of(FILES) == {"type": "stdio", **FILES}
    assert config_of({"command": "x"}) == {"type": "stdio", "command": "x", "args": [], "env": {}}
    assert config_of({"type": "stdio", **FILES}) == {"type": "stdio", **FILES}
    assert config_of(WEB) == WEB
    bare = {"type": "sse", "url": "http://127.0.0.1:1"}
    assert config_of(bare) == {**bare, "headers": {}}


def test_servers_come_by_name_and_the_rest_of_the_file_is_anothers() -> None:
    data = msgspec.json.encode({"theme": "dark", "mcpServers": {"b": FILES, "a": WEB}})
    assert names_of(parse_servers(data)) == ["a", "b"]
    assert parse_servers(written()) == ()


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({}, "mcpServers.one: Object missing required field `command`"),
        (5, "mcpServers.one: Expected `object`, got `int`"),
        ({"command": 5}, "mcpServers.one.command: Expected `str`, got `int`"),
        ({"command": " "}, "mcpServers.one.command: it is empty"),
        ({"command": "x", "args": ["a", 1]}, "mcpServers.one.args[1]: Expected `str`, got `int`"),
        ({"command": "x", "args": "a"}, "mcpServers.one.args: Expected `array`, got `str`"),
        ({"command": "x", "args": ["a\0"]}, "mcpServers.one.args[0]: it holds a NUL"),
        ({"command": "x", "env": {"A": None}}, "mcpServers.one.env[...]: Expected `str`"),
        ({"command": "x", "env": {"A=B": "c"}}, "mcpServers.one.env: 'A=B' is no name"),
        ({"command": "x", "cwd": "/"}, "mcpServers.one: Object contains unknown field `cwd`"),
        ({"url": "http://x"}, "mcpServers.one: type is missing: http or sse"),
        ({"type": "ws", "url": "http://x"}, "mcpServers.one: type must be stdio, http or sse"),
        ({"type": "http"}, "mcpServers.one: Object missing required field `url`"),
        ({"type": "http", "url": "file:///x"}, "mcpServers.one.url: it must begin with http"),
        ({"type": "sse", "url": "http://x y"}, "mcpServers.one.url: it must begin with http"),
        ({**WEB, "headers": {"X Y": "z"}}, "mcpServers.one.headers.X Y: no header can be"),
        ({**WEB, "headers": {"X": "z\r\nY: z"}}, "mcpServers.one.headers.X: no header can be"),
        ({**WEB, "command": "x"}, "mcpServers.one: Object contains unknown field `command`"),
    ],
)
def test_what_does_not_fit_is_named_with_its_entry(entry: object, fault: str) -> None:
    assert fault_of(written(good=FILES, one=entry)).startswith(fault)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"command": "${BIN}"}, "command"),
        ({"command": "x", "args": ["--key", "${KEY:-none}"]}, "args[1]"),
        ({"command": "x", "env": {"KEY": "${KEY}"}}, "env.KEY"),
        ({"type": "http", "url": "https://${HOST}/mcp"}, "url"),
        ({**WEB, "headers": {"Authorization": "Bearer ${KEY}"}}, "headers.Authorization"),
    ],
)
def test_a_variable_that_nobody_would_fill_in_is_no_value(entry: object, field: str) -> None:
    assert fault_of(written(one=entry)).startswith(f"mcpServers.one.{field}: ${{...}} is not")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"5", b"{}", b'{"mcpServers": []}', b"\xff"),
        b'{"mcpServers":{"a":{"command":"\xff"}}}',
        b"[" * 100_000,
        b'{"mcpServers":' + b'{"a":' * 100_000,
    ],
    ids=len,
)
def test_bytes_that_are_no_such_file_are_a_fault_and_nothing_worse(data: bytes) -> None:
    assert fault_of(data)


@pytest.mark.parametrize("name", ["files", "Web-2", "9", "_x", "-x", "a_b", "x" * 64])
def test_a_plain_name_will_do(name: str) -> None:
    assert find_name_fault(name) is None
    assert names_of(parse_servers(written(**{name: FILES}))) == [name]


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a__b", "a_", "ü", "x" * 65, "a\n", *TAKEN])
def test_a_name_that_the_cli_would_take_apart_or_for_its_own_is_refused(name: str) -> None:
    assert find_name_fault(name)
    assert fault_of(written(**{name: FILES})).startswith("mcpServers")


def test_no_secret_is_shown_by_a_fault_or_by_repr() -> None:
    entries = ({**FILES, "env": {"KEY": "hush\0"}}, {**WEB, "headers": {"X": "hush\n"}})
    for entry in entries:
        assert "hush" not in fault_of(written(one=entry))
    registry = registry_of(written(a=FILES), written(b={**FILES, "env": {"K": "hush"}}))
    assert repr(registry.always) == "(Server('a'),)"
    assert "hush" not in repr(registry)


def registry_of(always: bytes, named: bytes | None) -> Registry:
    return make_registry(parse_servers(always), None if named is None else parse_servers(named))


def test_two_files_make_a_registry_and_may_agree() -> None:
    registry = registry_of(written(a=FILES), written(a=FILES, b=WEB))
    assert names_of(registry.always) == ["a"]
    assert sorted(registry.named or ()) == ["a", "b"]
    assert make_registry((), None) == Registry()
    assert make_registry((), ()).named == {}


def test_a_name_that_means_two_servers_is_a_fault() -> None:
    with pytest.raises(ValueError, match=r"^mcpServers\.a: another server of that name"):
        registry_of(written(a=FILES), written(a=WEB))


# ... and who gets which.

REGISTRY = registry_of(written(base=FILES), written(web=WEB, files=FILES, mail=FILES))


def choose(*asked: str, allowed: tuple[str, ...] | None = None) -> list[str]:
    return names_of(choose_servers(REGISTRY, asked, "x-mcp-servers", allowed))


def test_those_that_join_every_request_are_always_there() -> None:
    assert choose() == ["base"]
    assert choose(allowed=()) == ["base"]
    assert choose("base", allowed=()) == ["base"]


def test_those_that_are_asked_for_come_sorted_and_once() -> None:
    assert choose("web", "files", "web") == ["base", "files", "web"]


@pytest.mark.parametrize("name", ["nobody", "", "Web", "web ", "__proto__", "x" * 5000])
def test_an_unknown_name_is_named_with_its_field(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        choose("web", name)
    assert (caught.value.status, caught.value.code) == (400, "unknown_mcp_server")
    assert caught.value.param == "x-mcp-servers"
    assert repr(name[:80]) in caught.value.message
    assert len(caught.value.message) < 200


def test_without_a_registry_no_name_is_known() -> None:
    for registry in (Registry(), registry_of(written(base=FILES), None)):
        with pytest.raises(BadRequest, match="has no registry") as caught:
            choose_servers(registry, ["web"], "metadata.mcp_servers", ())
        assert caught.value.code == "unknown_mcp_server"
        assert choose_servers(registry, [], "metadata.mcp_servers", ()) == registry.always


def test_a_key_gets_what_it_may_and_learns_nothing_of_the_rest() -> None:
    assert choose("web", "files", allowed=("files", "web")) == ["base", "files", "web"]
    for name in ("mail", "nobody"):
        with pytest.raises(Refused, match=f"may not use the MCP server '{name}'") as caught:
            choose("web", name, allowed=("files", "web"))
        assert (caught.value.status, caught.value.code) == (403, "mcp_server_not_allowed")


def test_a_key_may_be_given_a_server_that_is_not_there_yet() -> None:
    with pytest.raises(BadRequest, match="'later'"):
        choose("later", allowed=("later",))


@pytest.mark.parametrize(
    ("text", "names"),
    [("", []), (" , ", []), ("a", ["a"]), (" a ,b,, a", ["a", "b", "a"]), ("a b", ["a b"])],
)
def test_a_comma_list_is_read_without_what_is_empty(text: str, names: list[str]) -> None:
    assert split_names(text) == names
