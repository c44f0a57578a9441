"""The files of MCP servers: read by whoever owns them, refused with a remedy otherwise."""

import os
from pathlib import Path

import pytest

from ocpd.daemon.registry import LARGEST_BYTES, read_registry
from ocpd.settings.knob import SettingsError
from ocpd.settings.values import Settings
from ocpd.turn.servers import Registry

ONE = '{"mcpServers": {"one": {"command": "/bin/true"}}}'
TWO = '{"mcpServers": {"two": {"command": "/bin/true"}}}'

SETTINGS = {"mcpConfig": "mcp_config", "mcpRegistry": "mcp_registry"}


def write(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def refusal(setting: str, path: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_registry(Settings(**{SETTINGS[setting]: path}))
    return str(caught.value)


def test_without_files_there_are_no_servers() -> None:
    assert read_registry(Settings()) == Registry()


def test_both_files_are_read(tmp_path: Path) -> None:
    always, named = write(tmp_path / "a", ONE), write(tmp_path / "b", TWO, 0o400)
    registry = read_registry(Settings(mcp_config=always, mcp_registry=named))
    assert [server.name for server in registry.always] == ["one"]
    assert list(registry.named or ()) == ["two"]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_a_file_that_is_open_to_others_is_refused_with_the_command_that_closes_it(
    tmp_path: Path, setting: str, mode: int
) -> None:
    path = write(tmp_path / "servers.json", ONE, mode)
    told = refusal(setting, path)
    assert told.startswith(f"{setting}: {path}: it is open")
    assert told.endswith(f"run: chmod 600 {path}")


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path, setting: str) -> None:
    missing = str(tmp_path / "missing.json")
    assert refusal(setting, missing) == f"{setting}: {missing}: No such file or directory"
    assert refusal(setting, str(tmp_path)) == f"{setting}: {tmp_path}: Is a directory"
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is no plain file" in refusal(setting, str(tmp_path / "pipe"))
    large = write(tmp_path / "large", " " * (LARGEST_BYTES + 1))
    assert f"more than {LARGEST_BYTES} bytes" in refusal(setting, large)


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_does_not_fit_is_named_with_setting_file_entry_and_field(
    tmp_path: Path, setting: str
) -> None:
    path = write(tmp_path / "servers.json", '{"mcpServers": {"one": {"command": 5}}}')
    wanted = f"{setting}: {path}: mcpServers.one.command: Expected `str`, got `int`"
    assert refusal(setting, path) == wanted


def test_a_name_that_means_two_servers_is_refused(tmp_path: Path) -> None:
    always = write(tmp_path / "a", ONE)
    named = write(tmp_path / "b", ONE.replace("true", "false"))
    with pytest.raises(SettingsError, match=r"mcpRegistry: .*/b: mcpServers\.one: another server"):
        read_registry(Settings(mcp_config=always, mcp_registry=named))
