"""Other programs, and whom they run as."""

import os

import pytest

from ocpctl.failures import Failure
from ocpctl.runner import (
    MISSING,
    Account,
    calling_account,
    clean_environ,
    find_account,
    has_program,
    own_environ,
    run_quietly,
    run_shown,
)
from tests.unit.ocpctl.conftest import is_root

NOBODY = 65534


def test_what_a_program_writes_is_kept(programs):
    programs.add("tool", "echo out; echo err >&2; exit 3")
    done = run_quietly(["tool", "a b"])
    assert (done.code, done.output, done.is_ok) == (3, "out\nerr", False)
    assert programs.calls == ["tool a b"]


def test_a_program_that_is_missing_is_told_as_such(programs):
    done = run_quietly(["nothing"])
    assert (done.code, done.output) == (MISSING, "nothing: no such file or directory")
    assert not has_program("nothing")
    with pytest.raises(Failure, match="nothing: no such file"):
        run_shown(["nothing"], None, calling_account())


def test_a_program_that_does_not_end_is_ended(programs, monkeypatch):
    monkeypatch.setattr("ocpctl.runner._QUIET_S", 0.2)
    programs.add("stuck", "while :; do :; done")
    done = run_quietly(["stuck"])
    assert not done.is_ok
    assert "did not end" in done.output


def test_a_program_cannot_read_what_is_typed_for_us(programs):
    programs.add("tool", 'read line && echo "got $line"; exit 0')
    assert run_quietly(["tool"]).output == ""


def test_under_sudo_the_caller_is_who_called_sudo(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    assert calling_account().uid == NOBODY
    monkeypatch.setenv("SUDO_UID", "0")
    assert calling_account().uid == 0
    monkeypatch.setenv("SUDO_UID", "x")
    assert calling_account().uid == 0


def test_without_sudo_home_is_what_home_says(monkeypatch):
    monkeypatch.setenv("HOME", "/elsewhere")
    account = calling_account()
    assert (account.uid, account.home, account.is_self) == (os.geteuid(), "/elsewhere", True)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    monkeypatch.setenv("SUDO_UID", "1")
    assert calling_account().uid == 12345


def test_a_user_in_no_list_is_its_number():
    account = find_account(3_000_000)
    assert (account.uid, account.gid, account.name) == (3_000_000, 3_000_000, "3000000")


def test_another_users_environment_has_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("OCP_ADMIN_KEY", "x")
    monkeypatch.setenv("LC_TIME", "de")
    environ = clean_environ(Account(3_000_000, 3_000_000, "x", "/h"))
    assert "OCP_ADMIN_KEY" not in environ
    assert environ["LC_TIME"] == "de"
    assert environ["HOME"] == "/h"
    assert environ["PATH"].startswith("/usr/local/sbin")


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_root_asks_the_service_manager_of_the_caller_as_them():
    script = 'echo "$(/usr/bin/id -u) $HOME $XDG_RUNTIME_DIR"'
    account = Account(NOBODY, NOBODY, "nobody", "/h")
    done = run_quietly(["/bin/sh", "-c", script], account)
    assert done.output == f"{NOBODY} /h /run/user/{NOBODY}"


def test_what_the_frozen_program_was_led_to_is_not_handed_on(monkeypatch):
    monkeypatch.setattr("sys.frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/ocpctl/_internal")
    assert "LD_LIBRARY_PATH" not in own_environ()
    assert "internal" not in run_quietly(["env"]).output
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/opt/own")
    assert own_environ()["LD_LIBRARY_PATH"] == "/opt/own"
    assert "LD_LIBRARY_PATH_ORIG" not in own_environ()


def test_a_persons_own_library_path_is_handed_on(monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/own")
    assert own_environ()["LD_LIBRARY_PATH"] == "/opt/own"
