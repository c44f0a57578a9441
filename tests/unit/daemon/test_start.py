"""The start: what was changed at run time is laid over the rest as far as it fits, and the socket
is where its user looks for it."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ocpd.daemon.start import (
    Door,
    Start,
    check_server_tools,
    check_start,
    find_door,
    find_names,
    load_with,
)
from ocpd.settings.knob import SettingsError
from ocpd.settings.load import load_settings
from ocpd.settings.values import Settings
from tests.unit.api.stage import MODELS


def start_of(
    argv: Mapping[str, str] | None = None, file: Mapping[str, object] | None = None
) -> Start:
    return Start(
        environ={},
        loaded=load_settings(argv or {}, {}, file or {}),
        read_models=lambda _: MODELS,
        argv=argv or {},
        file=file or {},
    )


def test_what_was_changed_at_run_time_counts() -> None:
    loaded = load_with(start_of(file={"maxConcurrent": 2}), {"maxConcurrent": 4})
    assert loaded.settings.max_concurrent == 4
    assert loaded.runtime == {"maxConcurrent": 4}
    assert loaded.origins["maxConcurrent"] == "changed at run time: maxConcurrent"


@pytest.mark.parametrize(
    "misfit",
    [{"maxConcurrent": 99}, {"defaultModel": "gpt-5"}, {"timeout": "soon"}],
)
def test_what_does_not_fit_any_more_is_left_out_and_the_rest_counts(
    misfit: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_with(start_of(), {"maxQueue": 3, **misfit, "spares": 2})
    assert (loaded.settings.max_queue, loaded.settings.spares) == (3, 2)
    assert loaded.runtime == {"maxQueue": 3, "spares": 2}
    (key,) = misfit
    assert [record.setting for record in caplog.records] == [key]


def test_the_command_line_still_wins() -> None:
    loaded = load_with(start_of({"maxConcurrent": "5"}), {"maxConcurrent": 4})
    assert (loaded.settings.max_concurrent, loaded.origins["maxConcurrent"]) == (
        5,
        "--max-concurrent",
    )


def test_what_the_start_itself_brings_must_fit() -> None:
    with pytest.raises(SettingsError, match="defaultModel"):
        load_with(start_of(file={"defaultModel": "gpt-5"}), {})
    # Unless it was mended at run time.
    mended = load_with(start_of(file={"defaultModel": "gpt-5"}), {"defaultModel": "sonnet"})
    assert mended.settings.default_model == "sonnet"


@pytest.mark.parametrize(
    ("environ", "door"),
    [
        ({"OCPD_SOCKET": "/x/s"}, Door(Path("/x/s"), 0o600, None)),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, Door(Path("/run/user/7/ocpd/ocpd.sock"), 0o600, None)),
        ({"RUNTIME_DIRECTORY": "/run/ocpd"}, Door(Path("/run/ocpd/ocpd.sock"), 0o660, "ocpd")),
        # Of the user's manager: nobody else's.
        (
            {"RUNTIME_DIRECTORY": "/run/user/7/ocpd"},
            Door(Path("/run/user/7/ocpd/ocpd.sock"), 0o600, None),
        ),
        (
            {"RUNTIME_DIRECTORY": "/run/ocpd:/run/more", "OCPD_SOCKET": "/x/s"},
            Door(Path("/x/s"), 0o660, "ocpd"),
        ),
        ({"OCPD_SOCKET": "", "XDG_RUNTIME_DIR": ""}, Door(Path("/state/ocpd.sock"), 0o600, None)),
    ],
)
def test_the_socket_is_where_its_user_looks(environ: dict[str, str], door: Door) -> None:
    assert find_door(environ, Path("/state")) == door


@pytest.mark.parametrize("misfit", [{}, {"maxConcurrent": 99}])
@pytest.mark.parametrize(
    ("guards", "named"),
    [
        ({"authMode": "shared"}, "authMode: shared needs a key.*--auth-mode"),
        ({"requireAuth": "on"}, "requireAuth.*--require-auth"),
        ({"allowedAddresses": "lan"}, "allowedAddresses.*--allowed-addresses"),
    ],
)
def test_a_guard_that_does_not_fit_any_more_stops_the_start(
    guards: dict[str, object], misfit: dict[str, object], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        load_with(start_of(), {**misfit, **guards})


def test_only_what_is_in_the_way_is_named_with_the_command_that_forgets_it(tmp_path: Path) -> None:
    gone = {"tlsCertificate": str(tmp_path / "c.pem"), "tlsKey": str(tmp_path / "k.pem")}
    with pytest.raises(SettingsError) as caught:
        load_with(start_of(), {"authMode": "multi", "loopbackAdmin": "off", **gone})
    told = str(caught.value)
    assert "--forget tlsCertificate,tlsKey (or override it: --tls-certificate, --tls-key)" in told
    assert "authMode" not in told


def test_guards_count_together_beside_what_does_not_fit() -> None:
    guards = {"requireAuth": "on", "authMode": "multi"}
    loaded = load_with(start_of(), {"maxConcurrent": 99, **guards})
    assert loaded.runtime == guards


def test_this_machine_has_a_name() -> None:
    names = find_names()
    assert names
    assert all(name == name.lower() and " " not in name for name in names)
    assert any(name.endswith(".local") for name in names)


# Tools that run on this machine.


def tools_refusal(*, keys: bool = False, root: bool = False, **changes: object) -> str:
    """Why these settings are refused; "" if they are not."""
    settings = Settings(**changes)  # type: ignore[arg-type] # what a test wants
    try:
        check_server_tools(settings, has_keys_required=keys, is_root=root)
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0", "::", "host.test"])
def test_without_tools_anybody_may_be_let_in(bind: str) -> None:
    assert tools_refusal(bind=bind, root=True) == ""


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.168.1.2", "host.test"])
@pytest.mark.parametrize(
    ("setting", "tools"),
    [
        ("allowedTools", {"allowed_tools": "Read"}),
        ("skipPermissions", {"skip_permissions": True}),
        ("skipPermissions", {"skip_permissions": True, "allowed_tools": "Read"}),
    ],
)
def test_tools_are_for_this_machine_or_for_keys(
    bind: str, setting: str, tools: dict[str, object]
) -> None:
    told = tools_refusal(bind=bind, **tools)
    assert told.startswith(f"{setting}: not with bind {bind!r} and without keys")
    assert tools_refusal(bind=bind, keys=True, **tools) == ""
    assert tools_refusal(**tools) == ""


def test_permissions_are_never_skipped_as_root() -> None:
    for keys in (True, False):
        told = tools_refusal(skip_permissions=True, root=True, keys=keys)
        assert told.startswith("skipPermissions: never as root")
    assert tools_refusal(allowed_tools="Read", root=True) == ""


def test_what_is_no_name_of_a_tool_is_refused() -> None:
    told = tools_refusal(allowed_tools="Read,Bash(git *)")
    assert told.startswith("allowedTools: 'Bash(git *)' is no tool of the CLI's own")


def test_a_start_with_tools_for_strangers_or_root_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for field in ("CLAUDE_ALLOWED_TOOLS", "CLAUDE_SKIP_PERMISSIONS"):
        environ = {field: "true" if field.endswith("PERMISSIONS") else "Read", "CLAUDE_BIND": "::"}
        with pytest.raises(SettingsError, match="whoever reaches that address"):
            check_start(load_settings({}, environ).settings, MODELS, {})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SettingsError, match="never as root"):
        check_start(Settings(skip_permissions=True), MODELS, {})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    check_start(Settings(skip_permissions=True, allowed_tools="Read"), MODELS, {})


def test_a_start_with_a_registry_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "servers.json"
    path.write_text('{"mcpServers": {"one": {}}}')
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=r"mcpRegistry: .*mcpServers\.one: .*`command`"):
        load_with(start_of({"mcpRegistry": str(path)}), {})
    # Changed at run time, it is left out like anything that does not fit any more.
    loaded = load_with(start_of(), {"mcpRegistry": str(path), "spares": 2})
    assert loaded.runtime == {"spares": 2}
