"""The registry of MCP servers at the edges: the start, the front door, and the operator's hands."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.kit.fake_script import make_fake_cli
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator, ask_with, bearer
from tests.wire.process import environ_of, run
from tests.wire.stage import Stage, body_of, fetch, open_stage, quick


def write_servers(path: Path, *names: str, mode: int = 0o600) -> Path:
    entries = {name: {"command": "/bin/true", "env": {"KEY": "hush"}} for name in names}
    path.write_bytes(msgspec.json.encode({"mcpServers": entries}))
    path.chmod(mode)
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return write_servers(tmp_path / "mcp-servers.json", "files", "web")


@pytest.fixture
def stage(upstream: Upstream, tmp_path: Path, registry: Path) -> Iterator[Stage]:
    cli = make_fake_cli(tmp_path / "bin")
    settings = quick(mcp_registry=str(registry))
    with open_stage(upstream, tmp_path / "home", cli, settings=settings) as running:
        yield running


@pytest.fixture
def operator(stage: Stage, tmp_path: Path) -> Operator:
    return Operator(stage.daemon.socket, tmp_path)


def refusal(stage: Stage, header: str, token: str = "") -> tuple[int, str, str]:
    """Status, code and message that a request with this header is refused with."""
    lines = {"content-type": "application/json", "x-mcp-servers": header}
    given = lines | (bearer(token) if token else {})
    path = "/v1/chat/completions"
    page = fetch(stage.daemon.port, "POST", path, body_of("hello"), given)
    assert page.error["param"] == "x-mcp-servers"
    return page.status, page.error["code"], page.error["message"]


def test_a_server_that_is_not_there_is_a_400_that_names_it(stage: Stage) -> None:
    status, code, message = refusal(stage, "files, nobody")
    assert (status, code) == (400, "unknown_mcp_server")
    assert "'nobody'" in message
    assert "hush" not in message


def test_a_key_gets_a_403_for_what_it_may_not_use(stage: Stage, operator: Operator) -> None:
    secret = operator.add_key("laptop", "--mcp-servers", "files")
    status, code, message = refusal(stage, "files,web", secret)
    assert (status, code) == (403, "mcp_server_not_allowed")
    assert "'web'" in message
    page = ask_with(stage.daemon.port, secret, metadata={"mcp_servers": ["web"]})
    assert (page.status, page.error["param"]) == (403, "metadata.mcp_servers")
    assert "MCP servers  files\n" in operator.does("keys", "show", "laptop")


def test_the_operator_may_change_the_registry_and_have_it_read_again(
    stage: Stage, operator: Operator, registry: Path
) -> None:
    write_servers(registry, "mail")
    operator.does("reload")
    assert refusal(stage, "files")[1] == "unknown_mcp_server"
    registry.chmod(0o644)
    assert "chmod 600" in operator.fails("reload")
    assert "chmod 600" in operator.fails("settings", "mcpConfig", str(registry))
    registry.chmod(0o600)
    operator.does("settings", "mcpConfig", str(registry))
    operator.does("settings", "--reset", "mcpConfig")


def test_the_operator_may_not_open_the_machine(
    stage: Stage, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "never as root" in operator.fails("settings", "skipPermissions", "true")
    assert "no tool of the CLI" in operator.fails("settings", "allowedTools", "Bash(git *)")
    operator.does("settings", "allowedTools", "Read")
    assert "without keys" in operator.fails("settings", "bind", "0.0.0.0")
    assert stage.daemon.call(lambda: stage.daemon.daemon.address[0]) == "127.0.0.1"


STARTS = {
    "open to others": ({}, 0o640, ["mcpRegistry", "mcp-servers.json", "chmod 600"]),
    "no such file": (
        {"PROXY_MCP_CONFIG": "/nowhere.json"},
        0o600,
        ["mcpRegistry", "/nowhere.json"],
    ),
    "tools for all": (
        {"CLAUDE_ALLOWED_TOOLS": "Bash", "CLAUDE_BIND": "0.0.0.0"},
        0o600,
        ["allowedTools", "0.0.0.0", "without keys"],
    ),
    "no checks for all": (
        {"CLAUDE_SKIP_PERMISSIONS": "true", "CLAUDE_BIND": "0.0.0.0"},
        0o600,
        ["skipPermissions", "0.0.0.0", "without keys"],
    ),
    "what goes on after the answer": (
        {"CLAUDE_ALLOWED_TOOLS": "Read,CronCreate"},
        0o600,
        ["allowedTools", "'CronCreate'", "after the answer"],
    ),
}


@pytest.mark.parametrize(("values", "mode", "named"), STARTS.values(), ids=STARTS.keys())
def test_a_start_that_must_not_be_ends_with_78_and_the_reason(
    tmp_path: Path, registry: Path, values: dict[str, str], mode: int, named: list[str]
) -> None:
    registry.chmod(mode)
    environ = environ_of(tmp_path / "home", make_fake_cli(tmp_path / "bin"))
    ended = run({**environ, "PROXY_MCP_CONFIG": str(registry), **values})
    assert (ended.code, ended.stdout) == (78, "")
    for text in named:
        assert text in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="for root only")
def test_root_cannot_start_without_permissions(tmp_path: Path) -> None:
    environ = environ_of(tmp_path / "home", make_fake_cli(tmp_path / "bin"))
    ended = run({**environ, "CLAUDE_SKIP_PERMISSIONS": "true"})
    assert (ended.code, ended.stdout) == (78, "")
    assert "skipPermissions: never as root" in ended.stderr


def test_a_malformed_registry_ends_the_start_naming_file_entry_and_field(
    tmp_path: Path, registry: Path
) -> None:
    registry.write_text('{"mcpServers": {"files": {"command": "x", "args": [1]}}}')
    environ = environ_of(tmp_path / "home", make_fake_cli(tmp_path / "bin"))
    ended = run({**environ, "PROXY_MCP_CONFIG": str(registry)})
    assert ended.code == 78
    assert f"mcpRegistry: {registry}: mcpServers.files.args[0]: Expected `str`" in ended.stderr
