"""``ocpctl doctor``: what it asks and looks at, and what it exits with."""

import json  # noqa: TID251 - what programs read
import os
from pathlib import Path

import pytest

from ocpctl.ports import Holder
from ocpctl.runner import find_account
from tests.unit.ocpctl.conftest import is_root
from tests.unit.ocpctl.fake_daemon import answered, refused

ME = find_account(os.geteuid()).name


@pytest.fixture(autouse=True)
def _a_machine_like_any(monkeypatch):
    """Whatever this one has in its usual places, on its disk and in its memory."""
    places = lambda home: [f"{home}/.local/bin/claude"]  # noqa: E731
    monkeypatch.setattr("ocpctl.claude.usual_places", places)
    monkeypatch.setattr("ocpctl.checkup.find_fetched", lambda: "")
    monkeypatch.setattr("ocpctl.inspection.free_mb", lambda _path: 90_000)
    monkeypatch.setattr("ocpctl.inspection.memory_mb", lambda: 8_000)


@pytest.fixture(autouse=True)
def port(monkeypatch):
    """Who holds the port, whichever it is."""
    holders = []
    monkeypatch.setattr("ocpctl.checkup.find_holders", lambda _port: list(holders))
    return holders


@pytest.fixture
def well(daemon, tmp_path, port):
    """A daemon that runs as we do, and all is well."""
    state = tmp_path / "state-of-it"
    state.mkdir(mode=0o700)
    daemon.path.chmod(0o600)
    port.append(Holder(500, "ocpd"))
    health = {
        "status": "ok",
        "version": "0.1.0",
        "pid": 500,
        "authMode": "none",
        "claude": {"path": "/opt/claude", "version": "2.1.330", "problem": "", "warning": ""},
        "planGuard": {"mode": "warn", "planOnly": True, "overageUntil": None, "stopped": []},
        "warnings": [],
        "recentErrors": [],
        "place": {"stateDirectory": str(state), "configFile": ""},
    }
    auth = {"signed_in": True, "message": "", "uid": os.geteuid(), "home": "/"}
    daemon.answers["GET /health"] = answered(health)
    daemon.answers["GET /admin/auth"] = answered(auth)
    daemon.answers["GET /status"] = answered({"store": {"lastError": None}})
    daemon.answers["GET /settings"] = answered(
        {"port": {"value": 3456}, "bind": {"value": "127.0.0.1"}}
    )
    return health


def levels(said):
    told = json.loads(said.out)
    return {finding["check"]: finding["level"] for finding in told["findings"]}


def test_all_is_well_and_nothing_is_changed(ctl, daemon, well, programs):
    said = ctl("doctor")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0].startswith(f"✓ daemon    ocpd 0.1.0 answers on {daemon.path}")
    assert said.out.endswith("\nAll is well.\n")
    assert {route.split()[0] for route in daemon.routes} == {"GET"}


def test_programs_get_the_same_as_json(ctl, well, programs):
    said = ctl("doctor", "--json")
    told = json.loads(said.out)
    assert (told["ok"], told["must"], told["ocpd"], told["ocpctl"]) == (True, 0, "0.1.0", "0.1.0")
    assert told["findings"][0].keys() == {"check", "level", "message", "next"}
    assert set(levels(said).values()) == {"ok"}


def test_warnings_alone_exit_0_and_name_the_next_command(ctl, daemon, well, programs):
    daemon.answers["GET /health"] = answered(well | {"warnings": ["authMode is none"]})
    said = ctl("doctor")
    assert said.code == 0
    assert "! doors" in said.out
    assert "→ ocpctl settings authMode multi" in said.out
    assert said.out.endswith("\nNothing must be done, 1 warning.\n")


def test_what_must_be_done_is_exit_code_5(ctl, daemon, well, programs):
    told = {"signed_in": False, "message": "not signed in; run: claude auth login"}
    daemon.answers["GET /admin/auth"] = answered(told)
    said = ctl("doctor")
    assert said.code == 5
    assert "✗ login" in said.out
    assert "→ ocpctl auth login" in said.out
    assert said.out.endswith("\n1 must be done.\n")


def test_another_version_is_a_finding_and_said_once(ctl, daemon, well, programs):
    daemon.answers["GET /health"] = answered(well | {"version": "0.0.9"}, version="0.0.9")
    said = ctl("doctor")
    assert (said.code, said.err) == (0, "")
    assert "→ ocpctl restart" in said.out


def test_answers_that_are_refused_are_facts_that_are_unknown(ctl, daemon, well, programs):
    for route in ("GET /admin/auth", "GET /status", "GET /settings"):
        daemon.answers[route] = refused("no", 401)
    said = ctl("doctor", "--json")
    assert said.code == 0
    assert "login" not in levels(said)


def test_the_manager_that_runs_it_is_named(ctl, well, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", "enabled", pid=500)
    said = ctl("doctor")
    assert "(process 500, run by the user's ocpd.service)" in said.out


def test_two_services_and_a_missing_linger_are_warned_of(ctl, well, machine, programs):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", "enabled", pid=500)
    machine.set_unit("system.ocpd", "enabled", pid=0)
    programs.add("loginctl", "echo Linger=no")
    said = ctl("doctor")
    assert said.code == 0
    assert "the user's ocpd.service and the system's ocpd.service are to run at once" in said.out
    assert f"→ loginctl enable-linger {ME}" in said.out
    assert f"loginctl show-user {ME} --property=Linger" in programs.calls
    assert machine.acts == [f"loginctl show-user {ME} --property=Linger"]


def test_a_state_directory_that_others_see_is_warned_of(ctl, well, programs):
    Path(well["place"]["stateDirectory"]).chmod(0o755)
    assert levels(ctl("doctor", "--json"))["state"] == "warning"


# While it does not run.


def test_a_machine_with_nothing_is_told_what_to_do_first(ctl, programs):
    said = ctl("doctor")
    assert said.code == 5
    assert "✗ daemon  ocpd does not run, and no service manager here knows it" in said.out
    assert "✗ cli     there is no Claude CLI" in said.out
    assert "→ curl -fsSL" in said.out
    assert "✓ port    port 3456 is free" in said.out


def test_a_stopped_service_is_started_and_a_taken_port_is_named(ctl, machine, port):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "enabled")
    port.append(Holder(7, "node"))
    said = ctl("doctor")
    assert "→ systemctl --user enable --now ocpd.service" in said.out
    assert "port 3456 is held by node (pid 7), so ocpd cannot have it" in said.out


def test_a_service_that_ended_over_its_settings_is_told_where_to_look(ctl, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd")
    (machine.state / "user.ocpd.service.more").write_text("ExecMainStatus=78\n")
    said = ctl("doctor")
    assert "its settings do not fit (exit code 78 of ocpd.service)" in said.out
    assert "→ journalctl --user -u ocpd -n 50" in said.out


def test_the_cli_is_looked_for_and_asked_for_its_version(ctl, programs):
    programs.add("claude", 'echo "2.1.100 (Claude Code)"')
    said = ctl("doctor")
    assert "2.1.100 is too old: 2.1.248 is needed" in said.out
    assert f"→ {programs.folder}/claude update" in said.out
    programs.add("claude", 'echo "2.1.330 (Claude Code)"')
    assert f"✓ cli     Claude CLI 2.1.330 at {programs.folder}/claude" in ctl("doctor").out


def test_port_and_cli_of_the_config_file_count(ctl, programs, tmp_path, monkeypatch):
    programs.add("named", 'echo "2.1.330 (Claude Code)"')
    config = tmp_path / "ocpd.toml"
    config.write_text(f'port = 4000\nclaudeBin = "{programs.folder}/named"\n')
    monkeypatch.setenv("OCPD_CONFIG", str(config))
    said = ctl("doctor")
    assert "port 4000 is free" in said.out
    assert f"Claude CLI 2.1.330 at {programs.folder}/named" in said.out


def test_ocpd_itself_judges_the_config_file(ctl, programs, tmp_path, monkeypatch):
    config = tmp_path / "ocpd.toml"
    config.write_text("x = 1")
    monkeypatch.setenv("OCPD_CONFIG", str(config))
    fault = "config file: unknown setting 'x'"
    programs.add("ocpd", f'echo "ocpd: {fault}"; exit 78')
    said = ctl("doctor")
    assert f"✗ config  {fault}" in said.out
    assert f"ocpd --check --config {config}" in programs.calls
    # What the service's own variables would have made good is no fault of the file's.
    programs.add("ocpd", 'echo "ocpd: authMode: shared needs a key"; exit 78')
    assert "✓ config" in ctl("doctor").out


def test_a_cli_that_make_run_fetched_is_one(ctl, programs, monkeypatch):
    assert "✗ cli" in ctl("doctor").out
    programs.add("fetched", 'echo "2.1.330 (Claude Code)"')
    path = str(programs.folder / "fetched")
    monkeypatch.setattr("ocpctl.checkup.find_fetched", lambda: path)
    assert f"Claude CLI 2.1.330 at {path}" in ctl("doctor").out


@pytest.mark.skipif(not is_root(), reason="only root can be kept out of nothing but by pretence")
def test_a_cli_in_a_home_is_nothing_for_the_systems_service(ctl, machine, programs, monkeypatch):
    machine.add_systemd()
    machine.set_unit("system.ocpd")
    (machine.state / "system.ocpd.service.more").write_text("User=nobody\nProtectHome=yes\n")
    programs.add("claude", 'echo "2.1.330 (Claude Code)"')
    home = "/".join(("", "home", "anna", "claude"))
    monkeypatch.setattr("ocpctl.checkup.find_cli", lambda _environ: home)
    said = ctl("doctor")
    assert "is not for nobody: the service sees nothing of people's homes (ProtectHome)" in said.out
    assert "claudeBin" in said.out
    assert not any("--version" in call for call in programs.calls)


def test_a_socket_that_is_closed_to_us_names_the_group(ctl, programs, monkeypatch):
    def closed(_place):
        raise PermissionError

    monkeypatch.setattr("ocpctl.client._dial", closed)
    said = ctl("doctor")
    assert said.code == 5
    assert "✗ daemon" in said.out
    assert "you may not use" in said.out
