"""``ocpctl import-ocp``: sending what there is, and taking over the service."""

import json  # noqa: TID251 - what programs read
from base64 import b64decode
from pathlib import Path

import pytest

from tests.unit.ocpctl.fake_daemon import answered, refused

TOLD = {
    "dry_run": False,
    "keys": [
        {"name": "laptop", "as": "laptop", "id": 1, "state": "new"},
        {"name": "admin", "as": "admin-2", "id": 12, "state": "renamed"},
    ],
    "usage": 123,
    "settings": {"timeout": 300000},
    "admin_key": True,
    "notes": ["CLAUDE_NO_CONTEXT has no effect"],
}

SHOWN = (
    "Key     Becomes  State    Id\n"
    "laptop  laptop   new       1\n"
    "admin   admin-2  renamed  12\n"
    "\n"
    "Keys        2\n"
    "Usage rows  123\n"
    "Settings    timeout = 300000\n"
    "Admin key   taken over\n"
    "Note: CLAUDE_NO_CONTEXT has no effect\n"
)

HEALTH = {"status": "ok", "version": "0.1.0", "uptime": 0}


@pytest.fixture
def store(monkeypatch) -> Path:
    import os

    home = Path(os.environ["HOME"])
    unit = home / ".config/systemd/user/ocp-proxy.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("Environment=CLAUDE_PROXY_PORT=3456\n")
    (home / ".ocp").mkdir()
    (home / ".ocp/admin-key").write_text("ocp_admin")
    (home / ".ocp/ocp.db-wal").write_bytes(b"\x00wal\xff")
    path = home / ".ocp/ocp.db"
    path.write_bytes(b"\x00store\xff")
    return path


def test_store_log_key_and_environment_are_sent(ctl, daemon, store):
    daemon.answers["POST /admin/import-ocp"] = answered(TOLD)
    said = ctl("import-ocp")
    assert said.code == 0
    assert said.err == ""
    assert said.out.startswith(f"Imported from {store}\n")
    assert said.out.endswith(SHOWN)
    sent = daemon.last.json
    assert b64decode(sent.pop("db")) == b"\x00store\xff"
    assert b64decode(sent.pop("wal")) == b"\x00wal\xff"
    assert sent == {
        "admin_key": "ocp_admin",
        "environment": {"CLAUDE_PROXY_PORT": "3456"},
        "dry_run": False,
    }
    assert json.loads(ctl("import-ocp", "--json").out) == TOLD


def test_another_store_has_its_own_key_beside_it(ctl, daemon, tmp_path):
    other = tmp_path / "elsewhere.db"
    other.write_bytes(b"x")
    daemon.answers["POST /admin/import-ocp"] = answered(TOLD | {"keys": [], "settings": {}})
    said = ctl("import-ocp", str(other), "--dry-run")
    assert said.code == 0
    sent = daemon.last.json
    assert (sent["wal"], sent["admin_key"], sent["dry_run"]) == (None, None, True)
    assert "Keys        0\n" in said.out
    assert "Settings    none\n" in said.out


def test_a_dry_run_says_would(ctl, daemon, store):
    daemon.answers["POST /admin/import-ocp"] = answered(TOLD | {"dry_run": True})
    assert ctl("import-ocp", "--dry-run").out.startswith("Would import from")


def test_no_store_is_told_before_anything_is_asked(ctl, daemon):
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "no such file" in said.err
    assert daemon.heard == []


def test_a_foreign_store_imports_nothing(ctl, daemon, store):
    daemon.answers["POST /admin/import-ocp"] = refused("this is no store of OCP")
    assert ctl("import-ocp") == (1, "", "ocpctl: this is no store of OCP\n")


# Takeover.


@pytest.fixture
def switched(daemon, machine, store, monkeypatch):
    """A machine where OCP runs, and ocpd is installed and answers as soon as it was started."""
    monkeypatch.setattr("ocpctl.services.ANSWER_WITHIN_S", 0.3)
    monkeypatch.setattr("ocpctl.services._LOOK_EVERY_S", 0.01)
    machine.add_systemd()
    machine.set_unit("user.ocp-proxy", "active", "enabled")
    machine.set_unit("user.ocpd")
    daemon.answers["POST /admin/import-ocp"] = answered(TOLD | {"settings": {}})
    daemon.answers["GET /health"] = lambda _heard: (
        answered(HEALTH) if machine.has("user.ocpd", "active") else []
    )
    return machine


STOP = "systemctl --user disable --now ocp-proxy.service"
START = "systemctl --user start ocpd.service"
BACK = [
    "systemctl --user stop ocpd.service",
    "systemctl --user enable ocp-proxy.service",
    "systemctl --user start ocp-proxy.service",
]


def test_a_takeover_asks_stops_starts_and_imports(ctl, daemon, switched, typed):
    typed("yes\n")
    said = ctl("import-ocp", "--takeover")
    assert said.code == 0
    assert "Stop and disable ocp-proxy, and start ocpd instead? [y/N]" in said.err
    assert said.out.endswith("✓ ocpd has taken over\n")
    assert switched.acts == [STOP, START]
    assert not switched.has("user.ocp-proxy", "enabled")
    assert daemon.routes[-1] == "POST /admin/import-ocp"


def test_a_takeover_that_is_not_agreed_to_changes_nothing(ctl, daemon, switched, typed, piped):
    typed("n\n")
    assert ctl("import-ocp", "--takeover").code == 1
    piped("y\n")
    assert ctl("import-ocp", "--takeover").code == 2
    assert switched.acts == []
    assert daemon.heard == []


def test_imported_settings_need_one_more_start(ctl, daemon, switched):
    daemon.answers["POST /admin/import-ocp"] = answered(TOLD)
    assert ctl("import-ocp", "--takeover", "--yes").code == 0
    assert switched.acts == [STOP, START, "systemctl --user restart ocpd.service"]


def test_a_daemon_that_runs_already_is_not_started(ctl, daemon, switched):
    switched.set_unit("user.ocpd", "active")
    daemon.answers["GET /health"] = answered(HEALTH | {"uptime": 60_000})
    assert ctl("import-ocp", "--takeover", "--yes").code == 0
    assert switched.acts == [STOP]


def test_a_dry_run_stops_nothing(ctl, daemon, switched):
    said = ctl("import-ocp", "--takeover", "--dry-run")
    assert said.code == 0
    assert "would stop and disable ocp-proxy, then start ocpd" in said.err
    assert switched.acts == []
    assert daemon.last.json["dry_run"] is True


def test_a_daemon_that_does_not_answer_puts_the_old_one_back(ctl, daemon, switched):
    daemon.answers["GET /health"] = []
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "ocpd did not answer within 0 s; the old service is back" in said.err
    assert switched.acts == [STOP, START, *BACK]
    assert switched.has("user.ocp-proxy", "active")
    assert switched.has("user.ocp-proxy", "enabled")


def test_a_daemon_that_could_not_serve_puts_the_old_one_back(ctl, daemon, switched):
    ill = HEALTH | {"status": "degraded", "auth": {"message": "not signed in"}}
    daemon.answers["GET /health"] = answered(ill)
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "could not serve: not signed in; the old service is back" in said.err
    assert "ocpctl auth login" in said.err
    assert switched.acts[2:] == BACK


def test_a_daemon_that_cannot_be_started_puts_the_old_one_back(ctl, switched):
    switched.set_unit("user.ocpd", "broken")
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "start ocpd.service failed: Job for ocpd.service failed.; the old" in said.err
    assert switched.acts[2:] == BACK


def test_a_refused_import_puts_the_old_one_back(ctl, daemon, switched):
    daemon.answers["POST /admin/import-ocp"] = refused("this is no store of OCP")
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "this is no store of OCP; the old service is back" in said.err
    assert switched.acts[2:] == BACK


def test_an_old_one_that_cannot_be_stopped_is_put_back_whole(ctl, switched):
    switched.set_unit("user.ocp-proxy", "stuck")
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "ocp-proxy could not be stopped: Access denied; the old service is back" in said.err
    assert switched.acts == [STOP, *BACK]


def test_an_old_one_that_cannot_be_put_back_is_said_loudly(ctl, daemon, switched):
    switched.set_unit("user.ocp-proxy", "broken")
    daemon.answers["GET /health"] = []
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "the old service is NOT back" in said.err
    assert "ocp-proxy: Job for ocp-proxy.service failed." in said.err


def test_an_old_one_that_was_only_started_is_not_enabled_when_it_is_back(ctl, daemon, switched):
    (switched.state / "user.ocp-proxy.service.enabled").unlink()
    daemon.answers["GET /health"] = []
    ctl("import-ocp", "--takeover", "--yes")
    assert switched.has("user.ocp-proxy", "active")
    assert not switched.has("user.ocp-proxy", "enabled")


def test_ctrl_c_in_the_middle_puts_the_old_one_back(ctl, daemon, switched, monkeypatch):
    def interrupt(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("ocpctl.services.wait_answering", interrupt)
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "interrupted; the old service is back" in said.err
    assert switched.acts[2:] == BACK


def test_without_an_old_service_ocpd_is_only_started(ctl, switched):
    for path in switched.state.glob("user.ocp-proxy*"):
        path.unlink()
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 0
    assert switched.acts == [START]


def test_without_a_manager_nothing_is_stopped(ctl, switched):
    (switched.state / "user.ocpd.service").unlink()
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 1
    assert "no service manager here knows ocpd" in said.err
    assert switched.acts == []


def test_agents_of_launchd_are_taken_over_too(ctl, daemon, machine, store, monkeypatch):
    import os

    machine.add_launchd()
    machine.add_brew("none")
    for label in ("dev.ocp.proxy", "com.claude-max-api"):
        (machine.state / label).touch()
    daemon.answers["POST /admin/import-ocp"] = answered(TOLD | {"settings": {}})
    daemon.answers["GET /health"] = answered(HEALTH)
    said = ctl("import-ocp", "--takeover", "--yes")
    assert said.code == 0
    domain = f"gui/{os.geteuid()}"
    assert machine.acts == [
        f"launchctl bootout {domain}/dev.ocp.proxy",
        f"launchctl disable {domain}/dev.ocp.proxy",
        f"launchctl bootout {domain}/com.claude-max-api",
        f"launchctl disable {domain}/com.claude-max-api",
        "brew services start ocpd",
    ]


def test_agents_of_launchd_are_put_back_the_last_first(ctl, daemon, machine, store, monkeypatch):
    monkeypatch.setattr("ocpctl.services.ANSWER_WITHIN_S", 0.1)
    machine.add_launchd()
    machine.add_brew("none")
    for label in ("dev.ocp.proxy", "ai.openclaw.proxy"):
        (machine.state / label).touch()
    daemon.answers["GET /health"] = []
    said = ctl("import-ocp", "--takeover", "--yes")
    assert "the old service is back" in said.err
    back = [call for call in machine.acts if "bootstrap" in call]
    assert [call.rpartition("/")[2] for call in back] == [
        "ai.openclaw.proxy.plist",
        "dev.ocp.proxy.plist",
    ]
    assert (machine.state / "dev.ocp.proxy").exists()
