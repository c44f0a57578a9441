"""``ocpctl auth``."""

import json  # noqa: TID251 - what programs read
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.unit.ocpctl.conftest import is_root
from tests.unit.ocpctl.fake_daemon import answered, refused

NOBODY = 65534

STATE = {
    "signed_in": True,
    "message": "signed in as anna",
    "method": "claude login",
    "binary": "/opt/claude",
    "version": "2.1.9",
    "user": "ocpd",
    "uid": 990,
    "home": "/var/lib/ocpd",
    "config_dir": None,
    "token_stored": False,
    "admin_key_set": True,
    "sign_in": "ocpctl auth login",
}

CLAUDE = """#!/bin/sh
{
    echo "args $*"
    echo "uid $(/usr/bin/id -u) gid $(/usr/bin/id -g) groups $(/usr/bin/id -G)"
    /usr/bin/env | /usr/bin/sort
} >"$HOME/ran"
exit ${EXIT:-0}
"""


@pytest.fixture
def house():
    """A place that another user may enter: unlike those pytest makes."""
    folder = Path(tempfile.mkdtemp(prefix="ocpctl-", dir="/tmp"))
    folder.chmod(0o755)
    binary = folder / "claude"
    binary.write_text(CLAUDE)
    binary.chmod(0o755)
    (folder / "home").mkdir()
    yield folder
    shutil.rmtree(folder)


def _told(house, uid, **more):
    home = house / "home"
    if uid != os.geteuid():
        os.chown(home, uid, -1)
    return STATE | {
        "signed_in": False,
        "binary": str(house / "claude"),
        "uid": uid,
        "home": str(home),
        **more,
    }


def _ran(house):
    return (house / "home" / "ran").read_text().splitlines()


# Status.


def test_the_login_is_told(ctl, daemon):
    daemon.answers["GET /admin/auth"] = answered(STATE)
    for argv in (("auth",), ("auth", "status")):
        said = ctl(*argv)
        assert said.code == 0
        assert said.out == (
            "Signed in   yes\n"
            "Says        signed in as anna\n"
            "Method      claude login\n"
            "Claude CLI  /opt/claude 2.1.9\n"
            "Runs as     ocpd (uid 990), home /var/lib/ocpd\n"
            "Token       none stored\n"
            "Admin key   set\n"
        )
    assert json.loads(ctl("auth", "--json").out) == STATE


@pytest.mark.parametrize(("signed_in", "said"), [(False, "no"), (None, "not known yet")])
def test_nobody_signed_in_is_exit_code_5_and_says_what_to_do(ctl, daemon, signed_in, said):
    daemon.answers["GET /admin/auth"] = answered(STATE | {"signed_in": signed_in})
    told = ctl("auth", "status")
    assert told.code == 5
    assert f"Signed in   {said}\n" in told.out
    assert "To sign in  ocpctl auth login\n" in told.out


# Login.


def test_the_daemons_own_user_signs_in_directly(ctl, daemon, house, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("CLAUDE_CODE_SOMETHING", "x")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    config = house / "home" / "config"
    told = _told(house, os.geteuid(), config_dir=str(config))
    daemon.answers["GET /admin/auth"] = answered(told)
    daemon.answers["POST /admin/auth/refresh"] = answered(told | {"signed_in": True})
    said = ctl("auth", "login")
    assert said.code == 0
    assert said.out.startswith("Signed in   yes\n")
    assert daemon.routes == ["GET /admin/auth", "POST /admin/auth/refresh"]
    ran = _ran(house)
    assert ran[0] == "args auth login"
    assert f"CLAUDE_CONFIG_DIR={config}" in ran
    assert f"HOME={house / 'home'}" in ran
    assert "HTTPS_PROXY=http://127.0.0.1:1" in ran
    assert not [line for line in ran if line.startswith(("SECRET", "CLAUDE_CODE"))]


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_root_becomes_the_daemons_user_first(ctl, daemon, house, monkeypatch):
    monkeypatch.setenv("PATH", f"/nowhere:{os.environ['PATH']}")
    daemon.answers["GET /admin/auth"] = answered(_told(house, NOBODY))
    daemon.answers["POST /admin/auth/refresh"] = answered(STATE)
    assert ctl("auth", "login").code == 0
    ran = _ran(house)
    assert ran[1] == f"uid {NOBODY} gid {NOBODY} groups {NOBODY}"
    assert f"HOME={house / 'home'}" in ran
    assert "USER=nobody" in ran
    assert not [line for line in ran if "nowhere" in line or line.startswith("CLAUDE")]


@pytest.mark.skipif(is_root(), reason="root may sign in for anybody")
def test_anybody_else_is_told_the_line_to_type(ctl, daemon, house):
    daemon.answers["GET /admin/auth"] = answered(STATE)
    said = ctl("auth", "login")
    assert said.code == 1
    assert "try: sudo ocpctl auth login\n" in said.err


def test_the_line_to_type_has_the_socket_in_it(ctl, daemon, monkeypatch):
    daemon.answers["GET /admin/auth"] = answered(STATE)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    said = ctl("--socket", str(daemon.path), "auth", "login")
    assert said.code == 1
    assert said.err == (
        "ocpctl: ocpd runs as 990, and the login must be theirs\n"
        f"  try: sudo ocpctl auth login --socket {daemon.path}\n"
    )


@pytest.mark.skipif(not is_root(), reason="needs files of another user")
@pytest.mark.parametrize("what", ["claude", "home"])
def test_what_a_stranger_could_have_put_there_is_not_run(ctl, daemon, house, what):
    told = _told(house, 0)
    os.chown(house / what, NOBODY, -1)
    daemon.answers["GET /admin/auth"] = answered(told)
    said = ctl("auth", "login")
    assert said.code == 1
    assert f"others could have changed {house / what}" in said.err
    assert not (house / "home" / "ran").exists()


def test_a_folder_that_all_may_write_is_not_trusted(ctl, daemon, house):
    house.chmod(0o777)
    daemon.answers["GET /admin/auth"] = answered(_told(house, os.geteuid()))
    said = ctl("auth", "login")
    assert said.code == 1
    assert f"others could have changed {house}\n" in said.err


def test_a_login_that_fails_is_told(ctl, daemon, house):
    (house / "claude").write_text("#!/bin/sh\nexit 3\n")
    daemon.answers["GET /admin/auth"] = answered(_told(house, os.geteuid()))
    said = ctl("auth", "login")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("ocpctl: the CLI's login ended with exit code 3\n")
    assert "ocpctl doctor" in said.err


def test_a_login_that_changes_nothing_is_exit_code_5(ctl, daemon, house):
    told = _told(house, os.geteuid())
    daemon.answers["GET /admin/auth"] = answered(told)
    daemon.answers["POST /admin/auth/refresh"] = answered(told)
    assert ctl("auth", "login").code == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"binary": None, "message": "install it"}, "no Claude CLI\n  install it"),
        ({"binary": None, "message": "install it"}, "what to do: sudo ocpctl doctor"),
        ({"binary": "/nowhere/claude"}, "/nowhere/claude: no such file"),
        ({"uid": None}, "does not say as which user"),
        ({"uid": -1}, "does not say as which user"),
        ({"home": "relative"}, "does not say as which user"),
    ],
)
def test_a_login_that_cannot_begin_says_why(ctl, daemon, house, more, message):
    daemon.answers["GET /admin/auth"] = answered(_told(house, os.geteuid()) | more)
    said = ctl("auth", "login")
    assert said.code == 1
    assert message in said.err


# Token.


def test_a_token_is_read_from_stdin(ctl, daemon, piped):
    daemon.answers["POST /admin/auth/token"] = answered({"stored": True})
    piped("sk-token_1\n")
    said = ctl("auth", "token")
    assert said == (0, "✓ Token stored; it is used from the next turn\n", "")
    assert daemon.last.json == {"token": "sk-token_1"}
    piped("sk-token_1\n")
    assert json.loads(ctl("auth", "token", "--json").out) == {"stored": True}


def test_a_token_is_asked_for_on_a_terminal_without_echo(ctl, daemon, typed, monkeypatch):
    asked = []

    def getpass(question, _stream):
        asked.append(question)
        return " sk-token_1 "

    daemon.answers["POST /admin/auth/token"] = answered({"stored": True})
    monkeypatch.setattr("getpass.getpass", getpass)
    typed("not read")
    assert ctl("auth", "token").code == 0
    assert daemon.last.json == {"token": "sk-token_1"}
    assert "not shown" in asked[0]


@pytest.mark.parametrize(
    "text", ["", "  \n", "two words", "two\nlines", "x\tx", "tökén", "a\x00b", "x" * 5000]
)
def test_what_is_no_token_is_not_sent(ctl, daemon, piped, text):
    piped(text)
    assert ctl("auth", "token").code == 2
    assert daemon.heard == []


def test_a_token_never_comes_from_the_command_line(ctl, daemon):
    assert ctl("auth", "token", "sk-token_1").code == 2
    assert daemon.heard == []


@pytest.mark.parametrize(
    ("removed", "said"), [(True, "✓ Token removed\n"), (False, "There was no token to remove.\n")]
)
def test_a_token_can_be_removed(ctl, daemon, removed, said):
    daemon.answers["DELETE /admin/auth/token"] = answered({"removed": removed})
    assert ctl("auth", "token", "--remove") == (0, said, "")


# Admin key.


def test_an_admin_key_is_shown_once(ctl, daemon):
    daemon.answers["POST /admin/auth/admin-key"] = answered({"key": "ocp_admin"}, status=201)
    said = ctl("auth", "admin-key")
    assert said.code == 0
    assert "  Admin Key: ocp_admin\n  Copy this key now" in said.out
    assert daemon.last.json == {"rotate": False}
    ctl("auth", "admin-key", "--rotate")
    assert daemon.last.json == {"rotate": True}


def test_a_second_admin_key_is_refused(ctl, daemon):
    daemon.answers["POST /admin/auth/admin-key"] = refused("there is one; --rotate", 409)
    assert ctl("auth", "admin-key") == (1, "", "ocpctl: there is one; --rotate\n")
