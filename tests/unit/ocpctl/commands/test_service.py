"""``ocpctl restart`` and ``ocpctl reload``, on machines of pretence."""

import json  # noqa: TID251 - what programs read
import os

import pytest

from tests.unit.ocpctl.fake_daemon import answered, refused

HEALTH = {"status": "ok", "version": "0.1.0", "uptime": 0}


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr("ocpctl.services.ANSWER_WITHIN_S", 0.3)
    monkeypatch.setattr("ocpctl.services._LOOK_EVERY_S", 0.01)


def _health_since(machine, unit):
    """The daemon is older than our question until the fake systemctl was told to restart it."""
    return lambda _heard: answered(
        HEALTH | {"uptime": 0 if f"restart {unit}.service" in " ".join(machine.acts) else 3_600_000}
    )


def test_reload_tells_what_has_changed(ctl, daemon):
    body = {"changed": {"timeout": 5}, "notes": ["port needs a restart"]}
    daemon.answers["POST /admin/reload"] = answered(body)
    assert ctl("reload") == (0, "✓ timeout = 5\nNote: port needs a restart\n", "")
    assert json.loads(ctl("reload", "--json").out) == body
    daemon.answers["POST /admin/reload"] = answered({"changed": {}, "notes": []})
    assert ctl("reload") == (0, "Nothing has changed.\n", "")
    daemon.answers["POST /admin/reload"] = refused("ocpd.toml: timeout = x is no number")
    assert ctl("reload") == (1, "", "ocpctl: ocpd.toml: timeout = x is no number\n")


@pytest.mark.parametrize(
    ("unit", "command"),
    [
        ("user.ocpd", "systemctl --user restart ocpd.service"),
        ("system.ocpd", "systemctl restart ocpd.service"),
    ],
)
def test_the_manager_that_runs_the_daemon_restarts_it(ctl, daemon, machine, unit, command):
    machine.add_systemd()
    machine.set_unit("user.ocpd")
    machine.set_unit("system.ocpd")
    machine.set_unit(unit, "active", pid=os.getpid())
    daemon.answers["GET /health"] = _health_since(machine, "ocpd")
    said = ctl("restart")
    assert said == (0, "✓ ocpd 0.1.0 answers\n", f"ocpctl: {command}\n")
    assert machine.acts == [command]


def test_of_two_that_run_it_is_the_one_whose_process_answers(ctl, daemon, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=1234567)
    machine.set_unit("system.ocpd", "active", pid=os.getpid())
    daemon.answers["GET /health"] = _health_since(machine, "ocpd")
    assert ctl("restart").code == 0
    assert machine.acts == ["systemctl restart ocpd.service"]


def test_a_stopped_daemon_is_started_by_whoever_knows_it(ctl, machine, monkeypatch):
    machine.add_systemd()
    machine.set_unit("system.ocpd")
    said = ctl("restart")
    assert said.code == 1
    assert machine.acts == ["systemctl restart ocpd.service"]
    assert "ocpd did not answer within" in said.err
    assert "journalctl -u ocpd -n 50" in said.err


def test_an_instance_has_a_unit_of_its_own(ctl, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd")
    machine.set_unit("user.ocpd@lab")
    ctl("restart", "--instance", "lab")
    assert machine.acts == ["systemctl --user restart ocpd@lab.service"]


def test_a_new_version_is_told(ctl, daemon, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=os.getpid())

    def answer(_heard):
        is_new = bool(machine.acts)
        told = {"uptime": 0} if is_new else {"uptime": 9_000_000, "version": "0.0.9"}
        return answered(HEALTH | told)

    daemon.answers["GET /health"] = answer
    assert ctl("restart").out == "✓ ocpd 0.1.0 answers (it was 0.0.9)\n"
    machine.set_unit("user.ocpd", "active", pid=os.getpid())
    said = ctl("restart", "--json")
    assert json.loads(said.out) == {"version": "0.1.0", "before": "0.1.0"}


def test_an_old_daemon_that_still_answers_is_no_restart(ctl, daemon, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=os.getpid())
    daemon.answers["GET /health"] = answered(HEALTH | {"uptime": 9_000_000_000})
    said = ctl("restart")
    assert said.code == 1
    assert "ocpd did not answer within" in said.err
    assert "journalctl --user -u ocpd" in said.err


def test_a_manager_that_refuses_is_told_with_sudo(ctl, daemon, machine):
    machine.add_systemd()
    machine.set_unit("system.ocpd", "active", "broken", pid=os.getpid())
    daemon.answers["GET /health"] = answered(HEALTH)
    said = ctl("restart")
    assert said.code == 1
    assert "systemctl restart ocpd.service failed: Job for ocpd.service failed." in said.err
    assert "try: sudo systemctl restart ocpd.service" in said.err


def test_homebrew_restarts_its_own(ctl, daemon, machine):
    machine.add_brew("started")
    daemon.answers["GET /health"] = answered(HEALTH)
    assert ctl("restart").code == 0
    assert machine.acts == ["brew services restart ocpd"]


def test_a_daemon_that_nobody_manages_is_not_touched(ctl, daemon, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=1234567)
    daemon.answers["GET /health"] = answered(HEALTH)
    said = ctl("restart")
    assert said.code == 1
    assert f"started by hand as process {os.getpid()}" in said.err
    assert "it was started with: " in said.err
    assert machine.acts == []


def test_nothing_to_restart_is_exit_code_3(ctl, programs):
    said = ctl("restart")
    assert said.code == 3
    assert "no service manager knows it" in said.err


def test_the_gateway_is_openclaws_to_restart(ctl, programs):
    programs.add("openclaw")
    assert ctl("restart", "gateway").code == 0
    assert programs.calls == ["openclaw gateway restart"]
    programs.add("openclaw", "exit 3")
    assert ctl("restart", "gateway").code == 1


def test_no_openclaw_is_no_failure(ctl, programs):
    assert ctl("restart", "gateway") == (
        0,
        "OpenClaw is not installed here: there is no gateway to restart.\n",
        "",
    )
