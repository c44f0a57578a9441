"""``ocpctl update``: its owner upgrades the installation, and the new version has to answer."""

import json  # noqa: TID251 - what programs read
import os
import subprocess
import sys

import pytest

from tests.arch.tree import TOP
from tests.unit.ocpctl.fake_daemon import answered

HEALTH = {"status": "ok", "version": "0.1.0", "uptime": 0, "pid": 100}

APT_GET = """
case $1 in
update) [ -e {s}/offline ] && echo "Err:1 somewhere: not found"; exit 0 ;;
install) [ -e {s}/broken ] && {{ echo "E: no space"; exit 100; }}
    [ -e {s}/kept ] || echo 0.1.1-1 >{s}/installed ;;
esac
exit 0
"""

APT_CACHE = """
read installed <{s}/installed; read newest <{s}/newest
echo "ocpd:"; echo "  Installed: $installed"; echo "  Candidate: $newest"
echo "  Version table:"; echo " *** $installed 500"
echo "ocpctl:"; echo "  Installed: (none)"; echo "  Candidate: $newest"
"""

BREW = """
case $1 in
update) [ -e {s}/offline ] && {{ echo "fatal: unable to access"; exit 1; }} ;;
services) [ "$2" = list ] && {{ echo "Name Status User File"; echo "ocpd started anna x"; }}
    [ "$2" = restart ] && : >{s}/restarted ;;
upgrade) echo 0.1.1 >{s}/installed ;;
info)
    read installed <{s}/installed; read newest <{s}/newest
    out=true; [ $installed = $newest ] && out=false
    pin=false; [ -e {s}/pinned ] && pin=true
    echo "Warning: something"
    echo "{{\\"formulae\\": [{{\\"name\\": \\"ocpd\\","
    echo "\\"versions\\": {{\\"stable\\": \\"$newest\\"}},"
    echo "\\"installed\\": [{{\\"version\\": \\"$installed\\"}}], \\"outdated\\": $out,"
    echo "\\"pinned\\": $pin}}], \\"casks\\": []}}" ;;
esac
exit 0
"""

GIT = """
while [ "$1" = -C ] || [ "$1" = -c ]; do shift; shift; done
case $1 in
rev-parse) [ -e {s}/alone ] && exit 128; echo origin/main ;;
fetch) [ -e {s}/offline ] && {{ echo "fatal: unable to access"; exit 128; }} ;;
rev-list) [ -e {s}/pulled ] && echo 0 || echo 3 ;;
show) echo 'VERSION = "0.1.1"' ;;
pull) [ -e {s}/diverged ] && exit 128
    echo 'VERSION = "0.1.1"' >{f}/ocpctl/version.py; : >{s}/pulled ;;
esac
exit 0
"""


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr("ocpctl.services.ANSWER_WITHIN_S", 0.3)
    monkeypatch.setattr("ocpctl.services._LOOK_EVERY_S", 0.01)


@pytest.fixture
def state(tmp_path, monkeypatch):
    """What the fakes know: 0.1.0 is installed, 0.1.1 is there, and we are root."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "installed").write_text("0.1.0-1\n")
    (folder / "newest").write_text("0.1.1-1\n")
    monkeypatch.setattr("ocpctl.owners.is_root", lambda: True)
    return folder


@pytest.fixture
def apt(programs, state, monkeypatch):
    """An installation of apt's."""
    monkeypatch.setattr("ocpctl.owners.own_path", lambda: "/usr/lib/ocpctl/ocpctl")
    programs.add("dpkg-query", 'echo "ocpctl: $2"')
    programs.add("apt-get", APT_GET.format(s=state))
    programs.add("apt-cache", APT_CACHE.format(s=state))
    programs.add("apt-mark", f"[ -e {state}/held ] && echo ocpd; exit 0")
    return programs


@pytest.fixture
def brew(programs, state, monkeypatch):
    """An installation of Homebrew's."""
    (state / "installed").write_text("0.1.0\n")
    (state / "newest").write_text("0.1.1\n")
    path = "/opt/homebrew/Cellar/ocpd/0.1.0/libexec/ocpctl/owners.py"
    monkeypatch.setattr("ocpctl.owners.own_path", lambda: path)
    programs.add("brew", BREW.format(s=state))
    return programs


@pytest.fixture
def checkout(programs, state, tmp_path, monkeypatch):
    """A checkout that follows another repository."""
    folder = tmp_path / "clone"
    (folder / "ocpctl").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "ocpctl/version.py").write_text('"""The version."""\n\nVERSION = "0.1.0"\n')
    monkeypatch.setattr("ocpctl.owners.own_path", lambda: f"{folder}/ocpctl/owners.py")
    programs.add("git", GIT.format(s=state, f=folder))
    return folder


@pytest.fixture
def unit(machine, daemon, state):
    """The system's unit runs the daemon, which is the installed version after a restart."""
    machine.add_systemd()
    machine.set_unit("system.ocpd", "active", pid=100)
    is_new = {"pid": 4242, "version": "0.1.1"}
    daemon.answers["GET /health"] = lambda _heard: answered(
        HEALTH | (is_new if "systemctl restart ocpd.service" in machine.acts else {})
    )
    return machine


# Looking.


def test_check_tells_what_is_there_and_what_is_new(ctl, apt, unit):
    said = ctl("update", "--check")
    assert said.code == 5
    assert said.out == (
        "Installed  0.1.0-1 (by apt)\n"
        "Newest     0.1.1-1\n"
        "Running    0.1.0\n"
        "There is something newer: ocpctl update\n"
    )
    assert not [call for call in apt.calls if "install" in call or "restart" in call]


def test_check_of_the_newest_exits_0(ctl, apt, unit, state):
    (state / "newest").write_text("0.1.0-1\n")
    said = ctl("update", "--check", "--json")
    assert said.code == 0
    assert json.loads(said.out) == {
        "owner": "apt",
        "installed": "0.1.0-1",
        "newest": "0.1.0-1",
        "is_newer": False,
        "running": "0.1.0",
        "note": "",
    }


def test_who_is_not_root_compares_with_the_lists_there_are(ctl, apt, unit, monkeypatch):
    monkeypatch.setattr("ocpctl.owners.is_root", lambda: False)
    said = ctl("update", "--check")
    assert said.code == 5
    assert "as of the last sudo apt-get update" in said.out
    assert "apt-get update" not in apt.calls


def test_check_of_homebrew(ctl, brew, unit):
    said = ctl("update", "--check")
    assert said.code == 5
    assert "Installed  0.1.0 (by brew)\nNewest     0.1.1\n" in said.out


def test_check_of_a_checkout_counts_commits(ctl, checkout, unit, state):
    said = ctl("update", "--check")
    assert said.code == 5
    assert "behind origin/main by 3 commits" in said.out
    (state / "pulled").touch()
    assert ctl("update", "--check").code == 0


# Updating.


def test_packages_are_upgraded_restarted_and_the_new_version_answers(ctl, apt, unit):
    said = ctl("update", "--yes")
    assert (said.code, said.out) == (0, "✓ ocpd 0.1.1 runs\n")
    installs = [call for call in apt.calls if call.startswith("apt-get install")]
    assert len(installs) == 1
    assert installs[0].startswith("apt-get install --only-upgrade -y ")
    assert installs[0].endswith(" ocpd")
    assert "systemctl restart ocpd.service" in unit.acts


def test_a_package_that_restarted_the_service_itself_is_not_restarted_again(
    ctl, apt, unit, daemon, state
):
    is_new = {"pid": 4242, "version": "0.1.1"}
    daemon.answers["GET /health"] = lambda _heard: answered(
        HEALTH | (is_new if "0.1.1" in (state / "installed").read_text() else {})
    )
    assert ctl("update", "--yes").out == "✓ ocpd 0.1.1 runs\n"
    assert "systemctl restart ocpd.service" not in unit.acts


def test_homebrew_upgrades_and_restarts_its_own(ctl, brew, daemon, state):
    daemon.answers["GET /health"] = lambda _heard: answered(
        HEALTH | ({"pid": 7, "version": "0.1.1"} if (state / "restarted").exists() else {})
    )
    said = ctl("update", "--yes", "--json")
    assert json.loads(said.out) == {
        "owner": "brew",
        "installed": "0.1.1",
        "before": "0.1.0",
        "running": "0.1.1",
    }
    assert [c for c in brew.calls if "upgrade" in c or "restart" in c] == [
        "brew upgrade ocpd",
        "brew services restart ocpd",
    ]


def test_a_checkout_goes_forward_and_gets_what_it_needs(ctl, checkout, unit, programs):
    (checkout / ".venv").mkdir()
    (checkout / "packaging/dev").mkdir(parents=True)
    (checkout / "packaging/dev/venv.sh").touch()
    programs.add("sh")
    said = ctl("update", "--yes")
    assert said.code == 0
    assert f"git -C {checkout} pull --ff-only" in programs.calls
    assert f"sh {checkout}/packaging/dev/venv.sh run" in programs.calls


def test_the_newest_that_runs_is_left_alone(ctl, apt, unit, state):
    (state / "newest").write_text("0.1.0-1\n")
    assert ctl("update") == (0, "✓ ocpd 0.1.0 runs, the newest\n", "")
    assert "systemctl restart ocpd.service" not in unit.acts


def test_the_newest_that_is_installed_and_does_not_run_is_restarted(ctl, apt, unit, state):
    (state / "installed").write_text("0.1.1-1\n")
    assert ctl("update").out == "✓ ocpd 0.1.1 runs\n"


def test_without_a_daemon_there_is_nothing_to_restart(ctl, apt):
    assert ctl("update", "--yes").out == "✓ ocpd 0.1.1 is installed; it does not run\n"


def test_a_daemon_that_was_started_by_hand_is_left_to_its_owner(ctl, checkout, daemon):
    daemon.answers["GET /health"] = answered(HEALTH)
    said = ctl("update", "--yes")
    assert said.code == 5
    assert "ocpd 0.1.1 is installed, but ocpd 0.1.0 still runs: stop it" in said.err


# Whatever comes in between says which version still runs.


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("held", "ocpd is held; ocpd 0.1.0 still runs\n  to let it go: sudo apt-mark unhold ocpd"),
        ("broken", "-y ocpd failed: exit code 100; ocpd 0.1.0 still runs"),
        ("kept", "apt has left ocpd at 0.1.0-1; ocpd 0.1.0 still runs"),
    ],
)
def test_what_apt_does_not_do_is_told(ctl, apt, unit, state, mark, text):
    (state / mark).touch()
    said = ctl("update", "--yes")
    assert said.code == 1
    assert text in said.err
    assert "systemctl restart ocpd.service" not in unit.acts


@pytest.mark.parametrize("check", [["--check"], ["--yes"]])
@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("apt", "the package lists could not be read: Err:1 somewhere: not found"),
        ("brew", "brew update failed: fatal: unable to access"),
        ("checkout", "git fetch failed: fatal: unable to access"),
    ],
)
@pytest.mark.usefixtures("unit")
def test_offline_nothing_is_known(ctl, request, source, text, check):
    request.getfixturevalue(source)
    state = request.getfixturevalue("state")
    (state / "newest").write_text((state / "installed").read_text())
    (state / "offline").touch()
    said = ctl("update", *check)
    assert said.code == 1
    assert f"{text}; ocpd 0.1.0 still runs" in said.err


def test_lists_that_are_half_read_are_enough_for_what_is_newer(ctl, apt, unit, state):
    (state / "offline").touch()
    said = ctl("update", "--yes")
    assert said.code == 0
    assert "some package lists could not be read anew" in said.err


def test_no_rights_are_exit_code_4(ctl, apt, unit, monkeypatch):
    monkeypatch.setattr("ocpctl.owners.is_root", lambda: False)
    said = ctl("update", "--yes")
    assert said.code == 4
    assert "only root may install packages; ocpd 0.1.0 still runs" in said.err
    assert "try: sudo ocpctl update" in said.err


def test_a_pinned_formula_is_left(ctl, brew, unit, state):
    (state / "pinned").touch()
    said = ctl("update", "--yes")
    assert said.code == 1
    assert "ocpd is pinned; ocpd 0.1.0 still runs\n  to let it go: brew unpin ocpd" in said.err


@pytest.mark.parametrize(
    ("mark", "text"),
    [("alone", "follows no branch of another repository"), ("diverged", "pull --ff-only failed")],
)
def test_a_checkout_that_cannot_go_forward_is_told(ctl, checkout, unit, state, mark, text):
    (state / mark).touch()
    said = ctl("update", "--yes")
    assert said.code == 1
    assert text in said.err
    assert "ocpd 0.1.0 still runs" in said.err


def test_a_new_version_that_does_not_answer_is_a_failure(ctl, apt, unit, daemon):
    daemon.answers["GET /health"] = lambda _heard: answered(
        HEALTH | ({"pid": 4242} if "systemctl restart ocpd.service" in unit.acts else {})
    )
    said = ctl("update", "--yes")
    assert said.code == 1
    assert "ocpd 0.1.0 answers, and not 0.1.1; ocpd 0.1.0 still runs" in said.err
    assert "journalctl -u ocpd -n 50" in said.err


def test_nothing_is_done_without_a_yes(ctl, apt, unit, typed, piped):
    typed("n\n")
    said = ctl("update")
    assert said.code == 1
    assert "Update ocpd from 0.1.0-1 to 0.1.1-1 by apt, and restart? [y/N]" in said.err
    assert "nothing was changed; ocpd 0.1.0 still runs" in said.err
    piped("")
    assert ctl("update").code == 2
    assert not [call for call in apt.calls if "install" in call]


def test_an_installation_of_nobodys_says_so(ctl, programs, unit, state, monkeypatch, tmp_path):
    monkeypatch.setattr("ocpctl.owners.own_path", lambda: f"{tmp_path}/ocpctl")
    programs.add("dpkg-query", "exit 1")
    for words in (["--check"], ["--yes"]):
        said = ctl("update", *words)
        assert said.code == 1
        assert "it cannot be told where ocpd was installed from" in said.err
        assert "ocpd 0.1.0 still runs" in said.err


SCRIPT = """\
import sys
sys.path.insert(0, {top!r})
from ocpctl import cli, owners
owners.own_path = lambda: "/usr/lib/ocpctl/ocpctl"
owners.is_root = lambda: True
upgrade = owners.Apt.upgrade
def note(self, *, is_quiet):
    upgrade(self, is_quiet=is_quiet)
    note.loaded = set(sys.modules)
owners.Apt.upgrade = note
code = cli.run(["update", "--yes"])
sys.stderr.write("LATE " + " ".join(sorted(set(sys.modules) - note.loaded)))
sys.exit(code)
"""


def test_nothing_is_imported_after_the_files_of_ocpctl_were_replaced(apt, unit, daemon):
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT.format(top=str(TOP))],
        env={"PATH": str(apt.folder), "OCPD_SOCKET": str(daemon.path), "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.rpartition("LATE")[2].strip() == "", done.stderr
