"""What an OCP installation left is read, and nothing else."""

import os
import plistlib

import pytest

from ocpctl.failures import Failure
from ocpctl.former import read_former


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "old-home"
    (path / ".ocp").mkdir(parents=True)
    (path / ".ocp/ocp.db").write_bytes(b"SQLite store")
    return path


def _read(home):
    return read_former(str(home / ".ocp/ocp.db"), str(home))


def _add_unit(home, text, name="ocp-proxy.service"):
    path = home / ".config/systemd/user" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _add_plist(home, label, content):
    path = home / "Library/LaunchAgents" / f"{label}.plist"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_store_alone_is_enough(home):
    former = _read(home)
    assert (former.db, former.wal, former.admin_key) == (b"SQLite store", None, "")
    assert former.environment == {}
    assert former.notes == []


def test_log_and_admin_key_lie_beside_it(home):
    (home / ".ocp/ocp.db-wal").write_bytes(b"wal")
    (home / ".ocp/admin-key").write_text("ocp_admin\n")
    former = _read(home)
    assert (former.wal, former.admin_key) == (b"wal", "ocp_admin")


def test_an_empty_log_is_none(home):
    (home / ".ocp/ocp.db-wal").touch()
    assert _read(home).wal is None


def test_no_store_is_a_failure(tmp_path):
    with pytest.raises(Failure, match="no such file") as told:
        read_former(str(tmp_path / "none"), str(tmp_path))
    assert told.value.advice == ("name the old store: ocpctl import-ocp PATH/ocp.db",)
    with pytest.raises(Failure):
        read_former(str(tmp_path), str(tmp_path))


def test_the_environment_of_the_unit_is_read_as_systemd_reads_it(home):
    _add_unit(
        home,
        "[Service]\n"
        "Environment=CLAUDE_PROXY_PORT=3456\n"
        'Environment="CLAUDE_SYSTEM_PROMPT=be kind" OCP_ADMIN_KEY=a%%b \\\n'
        "  PROXY_API_KEY=x\n"
        "Environment=HOME=/x NODE_ENV=production PATH=/bin\n"
        "# Environment=CLAUDE_BIND=0.0.0.0\n"
        "EnvironmentFile=-/etc/ocp.env\n"
        "Environment=nonsense\n",
    )
    former = _read(home)
    assert former.environment == {
        "CLAUDE_PROXY_PORT": "3456",
        "CLAUDE_SYSTEM_PROMPT": "be kind",
        "OCP_ADMIN_KEY": "a%b",
        "PROXY_API_KEY": "x",
    }
    assert former.notes == ["not read: -/etc/ocp.env, which ocp-proxy.service names"]


def test_what_was_edited_later_wins_and_empty_forgets(home):
    _add_unit(home, "Environment=CLAUDE_BIND=a CLAUDE_TIMEOUT=1\n")
    _add_unit(home, "Environment=\nEnvironment=CLAUDE_BIND=b\n", "ocp-proxy.service.d/o.conf")
    _add_unit(home, "Environment=CLAUDE_BIND=c\n", "ocp-proxy.service.d/o.conf.bak")
    _add_unit(home, "Environment=CLAUDE_BIND=d CLAUDE_CACHE_TTL=5\n", "openclaw-proxy.service")
    assert _read(home).environment == {"CLAUDE_BIND": "b", "CLAUDE_CACHE_TTL": "5"}


def test_odd_quotes_are_no_traceback(home):
    _add_unit(home, "Environment=CLAUDE_BIND=it's OCP_X=1\n")
    assert _read(home).environment == {"CLAUDE_BIND": "it's", "OCP_X": "1"}


def test_the_environment_of_the_agent_is_read(home):
    told = {"CLAUDE_PROXY_PORT": "4000", "PATH": "/bin", "OCP_NUMBER": 5}
    for content in (
        plistlib.dumps({"EnvironmentVariables": told}),
        plistlib.dumps({"EnvironmentVariables": told}, fmt=plistlib.FMT_BINARY),
    ):
        _add_plist(home, "dev.ocp.proxy", content)
        assert _read(home).environment == {"CLAUDE_PROXY_PORT": "4000"}


@pytest.mark.parametrize(
    "content", [b"", b"<plist>", b"hello", plistlib.dumps([1]), plistlib.dumps({"A": 1})]
)
def test_an_agent_that_cannot_be_read_is_noted_or_empty(home, content):
    _add_plist(home, "ai.openclaw.proxy", content)
    former = _read(home)
    assert former.environment == {}
    assert all("no property list" in note for note in former.notes)


def test_a_store_that_changes_while_it_is_read_is_read_again(home, monkeypatch):
    path = home / ".ocp/ocp.db"
    real, seen = os.stat, []

    def stat(name, *rest, **more):
        if str(name) == str(path):
            seen.append(name)
            if len(seen) == 2:
                path.write_bytes(b"SQLite store, longer")
        return real(name, *rest, **more)

    monkeypatch.setattr("os.stat", stat)
    assert _read(home).db == b"SQLite store, longer"
    assert len(seen) == 4


def test_a_store_that_never_rests_is_given_up(home, monkeypatch):
    path = home / ".ocp/ocp.db"
    real = os.stat

    def stat(name, *rest, **more):
        if str(name) == str(path):
            with path.open("ab") as file:
                file.write(b"x")
        return real(name, *rest, **more)

    monkeypatch.setattr("os.stat", stat)
    with pytest.raises(Failure, match="written all the time"):
        _read(home)
