"""``ocpctl restart`` and ``ocpctl reload``, on machines of pretence."""

import json  # noqa: TID251 - what programs read
import os

import pytest

from ocpctl.fields import Fields
from tests.unit.ocpctl.fake_daemon import answered, refused

HEALTH = {"status": "ok", "version": "0.1.0", "uptime": 0}


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr("ocpctl.services.ANSWER_WITHIN_S", 0.3)
    monkeypatch.setattr("ocpctl.services._LOOK_EVERY_S", 0.01)


@pytest.fixture
def put_process(tmp_path, monkeypatch):
    """Puts process 100 into a cgroup, which is a line of its file."""

    def put(line):
        monkeypatch.setattr("ocpctl.services._PROC", str(tmp_path / "proc"))
        (tmp_path / "proc/100").mkdir(parents=True)
        (tmp_path / "proc/100/cgroup").write_text(f"4:memory:/other.service\n{line}\n")

    return put


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
    assert "journalctl --user -u ocpd@lab -n 50" in ctl("restart", "--instance", "lab").err


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
    assert json.loads(said.out) == {"version": "0.1.0", "before": "0.1.0", "pid": None}


def test_an_old_daemon_that_still_answers_is_no_restart(ctl, daemon, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=os.getpid())
    daemon.answers["GET /health"] = answered(HEALTH | {"uptime": 9_000_000_000})
    said = ctl("restart")
    assert said.code == 1
    assert "the ocpd that answers was not restarted" in said.err
    assert "journalctl --user -u ocpd" in said.err


def _restarted(machine, **new):
    """Process 100 answers until systemctl was told to restart, then what ``new`` says."""
    return lambda _heard: answered(
        HEALTH | ({"pid": 4242} | new if machine.acts else {"pid": 100, "uptime": 9_000_000})
    )


def test_behind_a_socket_of_systemd_the_daemon_says_which_process_it_is(
    ctl, daemon, machine, monkeypatch
):
    monkeypatch.setattr("ocpctl.client._peer_pid", lambda *_: 1)
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=555)
    machine.set_unit("system.ocpd", "active", pid=100)
    daemon.answers["GET /health"] = _restarted(machine)
    said = ctl("restart")
    assert said.out == "✓ ocpd 0.1.0 answers as process 4242\n"
    assert machine.acts == ["systemctl restart ocpd.service"]


def test_an_answer_of_another_process_than_the_managers_is_no_restart(ctl, daemon, machine):
    machine.add_systemd()
    machine.set_unit("system.ocpd", "active", pid=100)
    daemon.answers["GET /health"] = _restarted(machine, pid=77)
    said = ctl("restart")
    assert (said.code, said.out) == (1, "")
    assert "process 77 answers, but 'systemctl restart ocpd.service' has started 4242" in said.err


@pytest.mark.parametrize(
    ("line", "unit"),
    [
        ("0::/system.slice/system-ocpd.slice/ocpd@lab.service", "system.ocpd@lab"),
        ("1:name=systemd:/system.slice/mine.service", "system.mine"),
        (
            f"0::/user.slice/user-0.slice/user@{os.getuid()}.service/app.slice/mine.service",
            "user.mine",
        ),
    ],
)
def test_a_unit_of_any_name_restarts_its_own(ctl, daemon, machine, put_process, line, unit):
    put_process(line)
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=555)
    machine.set_unit(unit, "active", pid=100)
    daemon.answers["GET /health"] = _restarted(machine)
    assert ctl("restart").code == 0
    scope, _, name = unit.partition(".")
    user = "--user " if scope == "user" else ""
    assert machine.acts == [f"systemctl {user}restart {name}.service"]


@pytest.mark.parametrize(
    "line", ["0::/user.slice/user-0.slice/session-1.scope", "x", "0::/a.service"]
)
def test_a_process_that_is_no_units_own_is_somebodys_by_hand(
    ctl, daemon, machine, put_process, line
):
    put_process(line)
    machine.add_systemd()
    machine.set_unit("system.ocpd", "active", pid=555)
    machine.set_unit("system.a", "active", pid=556)
    daemon.answers["GET /health"] = _restarted(machine)
    said = ctl("restart")
    assert said.code == 1
    assert "started by hand as process 100" in said.err
    assert machine.acts == []


def test_answers_that_are_being_given_are_waited_for_and_that_is_said(ctl, daemon, machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=os.getpid())
    daemon.answers["GET /health"] = answered(HEALTH | {"stats": {"activeRequests": 2}})
    assert "answers that are being given may end first" in ctl("restart").err


def test_a_daemon_of_another_machine_is_not_restarted_here(ctl, machine, monkeypatch):
    machine.add_systemd()
    machine.set_unit("system.ocpd", "active")
    monkeypatch.setattr("ocpctl.services.is_here", lambda _host: False)
    monkeypatch.setattr("ocpctl.services.read_health", _found_at_tcp)
    said = ctl("--socket", "http://nas:3456", "restart")
    assert said.code == 1
    assert "http://nas:3456 is on another machine" in said.err
    assert machine.acts == []


def _found_at_tcp(client):
    (client.place,) = client._places
    return Fields(HEALTH)


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
