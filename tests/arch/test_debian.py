"""The Debian packages before they are built: units, scripts, what is installed, what is promised.

What the packages do on a machine is tested where there is one to try them on.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

from ocpd.settings.load import load_settings
from ocpd.settings.table import BY_KEY
from tests.arch.tree import TOP

DEBIAN = TOP / "debian"
UNITS = sorted((TOP / "packaging/systemd").glob("**/ocpd*.*"))
SYSTEM = TOP / "packaging/systemd/ocpd.service"
INSTANCE = TOP / "packaging/systemd/ocpd@.service"
USER = TOP / "packaging/systemd/user/ocpd.service"
SCRIPTS = sorted(
    [path for name in ("postinst", "prerm", "postrm") for path in DEBIAN.glob(f"*.{name}")]
    + [*(TOP / "packaging/deb").glob("*.sh"), TOP / "packaging/deb/ocpd.rtupdate"]
)
MAINTAINER = [path for path in SCRIPTS if path.parent == DEBIAN]


def _told(path: Path) -> str:
    return path.read_text("utf-8")


def _directives(unit: Path) -> list[tuple[str, str]]:
    """Name and value of every line that sets something."""
    return re.findall(r"^([A-Za-z0-9]+)=(.*)$", _told(unit), re.MULTILINE)


def _module(name: str) -> types.ModuleType:
    path = TOP / f"packaging/deb/{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


# The units.


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_every_line_of_a_unit_has_its_reason_above_it(unit):
    free = {"Description", "Documentation", "ExecStart", "WantedBy"}
    has_reason, bare = False, []
    for line in _told(unit).splitlines():
        name = line.partition("=")[0]
        # A reason holds for the lines below it, up to the next empty one.
        has_reason = bool(line) and (has_reason or line.startswith("#"))
        if "=" in line and not line.startswith("#") and name not in free and not has_reason:
            bare.append(line)
    assert not bare


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_understands_every_line(tmp_path):
    for unit in UNITS:
        if "user" not in unit.parts:
            # The program is not on this machine, and the service's user neither.
            text = _told(unit).replace("/usr/bin/ocpd", "/bin/true")
            (tmp_path / unit.name).write_text(text)
    names = ("ocpd.service", "ocpd.socket", "ocpd-admin.socket")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
    )
    # Of other units of this machine it complains, too.
    assert not [line for line in done.stderr.splitlines() if "ocpd" in line]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize("unit", [SYSTEM, INSTANCE], ids=lambda path: path.name)
def test_the_sandbox_exposes_little(unit, tmp_path):
    # An instance needs a name; what it is makes no difference here.
    copy = tmp_path / unit.name.replace("@", "@x")
    copy.write_text(_told(unit))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert score, done.stderr
    assert float(score[1]) <= 1.5


def test_an_instance_is_the_system_service_but_for_its_names():
    known = {
        "Description", "EnvironmentFile", "Environment", "User", "Group", "StateDirectory",
        "RuntimeDirectory", "LoadCredential", "RestartPreventExitStatus",
    }  # fmt: skip
    pair = [[d for d in _directives(unit) if d[0] not in known] for unit in (SYSTEM, INSTANCE)]
    assert pair[0] == pair[1]


def test_a_stop_is_given_longer_than_the_daemon_takes_to_drain():
    drain_s = int(BY_KEY["drainTimeout"].default) / 1000
    for unit in (SYSTEM, INSTANCE, USER):
        assert int(dict(_directives(unit))["TimeoutStopSec"]) > drain_s


def test_the_system_service_has_what_the_daemon_relies_on():
    told = dict(_directives(SYSTEM))
    assert told["Type"] == "notify"
    assert told["RestartPreventExitStatus"] == "78"
    # Else the socket cannot tell users apart, a stop deletes the socket, a missing file stops it.
    assert told["PrivateUsers"] == "no"
    assert told["RuntimeDirectoryPreserve"] == "yes"
    assert told["LoadCredential"] == "ocpd:/etc/ocpd/credentials"
    # The CLI compiles JavaScript at run time.
    assert "MemoryDenyWriteExecute" not in told


def test_the_sockets_are_where_the_daemon_would_make_them():
    tcp = dict(_directives(TOP / "packaging/systemd/ocpd.socket"))
    unix = dict(_directives(TOP / "packaging/systemd/ocpd-admin.socket"))
    bind, port = BY_KEY["bind"].default, BY_KEY["port"].default
    assert tcp["ListenStream"] == f"{bind}:{port}"
    assert unix["ListenStream"] == "/run/ocpd/ocpd.sock"
    assert unix["SocketMode"] == "0660"
    assert unix["SocketGroup"] == "ocpd"
    assert unix["Service"] == "ocpd.service"


def test_a_user_unit_that_is_in_the_way_does_not_try_again():
    from ocpd.__main__ import EX_CONFIG, EX_UNAVAILABLE

    for unit in (INSTANCE, USER):
        told = dict(_directives(unit))["RestartPreventExitStatus"].split()
        assert told == [str(EX_UNAVAILABLE), str(EX_CONFIG)]


# The scripts.


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one_that_sh_understands(script):
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert _told(script).startswith("#!/bin/sh\n")
    assert re.search(r"^set -eu?$", _told(script), re.MULTILINE)


@pytest.mark.parametrize("script", MAINTAINER, ids=lambda path: path.name)
def test_no_maintainer_script_goes_into_a_home(script):
    assert "#DEBHELPER#" in _told(script)
    words = _told(script).split()
    homes = "|".join(("home", "root"))
    assert not [word for word in words if re.search(rf"(^|[^\w])/({homes})(/|$)|~|\$HOME", word)]


def test_purge_says_what_it_deletes():
    script = _told(DEBIAN / "ocpd.postrm")
    purge = script.partition("= purge")[2].partition("\nfi")[0]
    assert "keys, usage" in purge
    for place in ("/var/lib/ocpd ", "/run/ocpd ", "/etc/ocpd "):
        assert place in purge
    assert "/var/lib" not in script.partition("= purge")[0]
    assert "deluser" not in script


def test_python_is_compiled_by_hand_and_never_fails_an_installation():
    script = _told(DEBIAN / "ocpd.postinst")
    assert "py3compile -p ocpd /usr/lib/ocpd || true" in script
    assert "dh_python3" not in _told(DEBIAN / "rules")


# What is installed.


def test_whatever_the_rules_install_is_there():
    rules = _told(DEBIAN / "rules")
    named = re.findall(r"(?<![\w/])(packaging/[\w./*-]+)", rules)
    named += [
        line
        for name in ("ocpd.manpages", "ocpctl.manpages", "ocpd.docs")
        for line in _told(DEBIAN / name).splitlines()
    ]
    assert [name for name in named if not list(TOP.glob(name))] == []
    for word in ("bash-completion", "zsh/vendor-completions", "fish/vendor_completions.d"):
        assert word in rules
    assert "packaging/man/ocpd.8" in named
    assert "packaging/man/ocpd.toml.5" in named


def test_the_settings_files_hold_nothing_but_examples_that_fit():
    text = _told(TOP / "packaging/etc/ocpd.toml")
    assert tomllib.loads(text) == {}
    examples = re.findall(r"^# (\w+ = .*)$", text, re.MULTILINE)
    assert len(examples) > 3
    load_settings({}, {}, tomllib.loads("\n".join(examples)))
    variables = _told(TOP / "packaging/etc/ocpd.default")
    assert not [line for line in variables.splitlines() if line and line[0] != "#"]


def test_secrets_have_a_folder_that_only_root_reads():
    rules = _told(DEBIAN / "rules")
    assert "install -d -m 700 debian/ocpd/etc/ocpd/credentials" in rules
    assert "dh_fixperms -Xetc/ocpd/credentials" in rules


def test_the_pythons_of_the_package_are_those_of_its_wheels():
    control = _told(DEBIAN / "control")
    abis = _module("vendor").ABIS
    assert abis == ("cp311", "cp312", "cp313", "cp314")
    assert " python3 (>= 3.11)," in control
    assert " python3 (<< 3.15)," in control
    build = _told(TOP / "packaging/deb/build.sh")
    assert "for abi in 3.11 3.12 3.13 3.14; do" in build


def test_what_freezes_for_packages_is_what_developers_freeze_with():
    read = _module("locked").read_lock
    freeze, dev = (read(TOP / f"packaging/locks/{name}.lock") for name in ("freeze", "dev"))
    shared = freeze.keys() & dev.keys()
    assert {"pyinstaller", "setuptools"} <= shared
    assert {name: freeze[name] for name in shared} == {name: dev[name] for name in shared}


def test_no_file_of_the_packages_names_a_registry():
    # Spelled so that this file passes, too.
    names = "|".join((r"pypi\.", "python" r"hosted", r"deb\.debian\."))
    found = [path.name for path in DEBIAN.rglob("*") if path.is_file()]
    assert "control" in found
    named = [path for path in DEBIAN.rglob("*") if path.is_file() and re.search(names, _told(path))]
    assert not named


def test_every_lintian_override_says_why():
    for path in DEBIAN.glob("*.lintian-overrides"):
        lines = _told(path).splitlines()
        assert lines[0].startswith("#")
        assert all(re.match(r"# |ocp(d|ctl)( \[\w+\])?: ", line) for line in lines)


def test_everything_vendored_is_named_in_the_copyright_file():
    text = _told(DEBIAN / "copyright")
    locked = _module("locked").read_lock(TOP / "packaging/locks/run.lock")
    for name in locked:
        assert re.search(rf"\b{re.escape(name)}\b", text), name
    used = re.findall(r"^License: (.+)$", text, re.MULTILINE)
    words = {word for line in used for word in re.split(r" and | or ", line)}
    has_text = set(re.findall(r"^License: (\S+)\n ", text, re.MULTILINE))
    assert words == has_text


def test_a_frozen_ocpctl_copies_no_library_but_pythons_own():
    folder = "usr/lib/ocpctl/_internal"
    names = [f"{folder}/libpython3.11.so.1.0", f"{folder}/python3.11/lib-dynload/_ssl.so", "x.so"]
    check = _module("inspection").check_copies
    assert check(names) == []
    (fault,) = check([*names, f"{folder}/libcrypto.so.3"])
    assert "libcrypto.so.3: is Debian's" in fault


def test_what_lies_about_in_a_tree_is_not_packed():
    folder = "usr/lib/ocpd/ocpd/http"
    check = _module("inspection").check_strays
    assert check([folder, f"{folder}/a.py", "usr/lib/ocpctl/_internal/x.so"]) == []
    for name in (f"{folder}/.a.py.swp", f"{folder}/a.py.orig", "usr/lib/ocpctl/ocpctl/a.pyc"):
        assert check([name]), name
