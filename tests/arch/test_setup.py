"""The first thing a newcomer runs says what is missing, by name, and does nothing twice."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.arch.tree import TOP

TOOLS = ("cmp", "cp", "dirname")

OLD = "#!/bin/sh\nexit 1\n"
WITHOUT_VENV = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\n'
GOOD = '#!/bin/sh\necho "$*" >>"$CALLS"\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout's scripts and locks, and a PATH with nothing but three tools."""
    for folder in ("dev", "locks"):
        shutil.copytree(TOP / "packaging" / folder, tmp_path / "packaging" / folder)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return tmp_path


def _put(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)


def _make(place: Path, *locks: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(place / "packaging/dev/venv.sh"), *locks],
        cwd="/",
        env={"PATH": str(place / "bin"), "CALLS": str(place / "calls"), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def _calls(place: Path) -> list[str]:
    return (place / "calls").read_text().splitlines() if (place / "calls").exists() else []


def test_a_machine_without_python_is_told_what_to_install(place):
    done = _make(place, "run")
    assert done.returncode == 1
    for word in ("Python of 3.11", "python3 python3-venv", "brew install python"):
        assert word in done.stderr


def test_an_old_python_and_a_shim_without_one_are_passed_over(place):
    _put(place / "bin/python3.13", OLD)
    _put(place / "bin/python3", OLD)
    done = _make(place, "run")
    assert done.returncode == 1
    assert "No Python of 3.11 or newer" in done.stderr


def test_a_python_without_venv_is_told_the_package_that_is_missing(place):
    _put(place / "bin/python3", WITHOUT_VENV)
    done = _make(place, "run")
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr


def test_a_python_that_was_asked_for_is_taken_or_refused_by_name(place):
    _put(place / "bin/python3", GOOD)
    _put(place / "old", OLD)
    done = _make(place, "run", PYTHON=str(place / "old"))
    assert done.returncode == 1
    assert f"PYTHON={place / 'old'} is no Python" in done.stderr
    assert not _calls(place)


def test_a_venv_that_has_the_locks_is_left_alone(place):
    _put(place / ".venv/bin/python", GOOD)
    for name in ("run", "dev"):
        shutil.copy(place / f"packaging/locks/{name}.lock", place / ".venv")
    done = _make(place, "run", "dev")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not [call for call in _calls(place) if call.startswith("-m")]


def test_a_changed_lock_is_installed_with_its_hashes_and_remembered(place):
    _put(place / ".venv/bin/python", GOOD)
    (place / ".venv/cli.lock").write_text("an older one\n")
    assert _make(place, "cli").returncode == 0
    (call,) = (call for call in _calls(place) if call.startswith("-m pip"))
    assert "--require-hashes --no-deps -r packaging/locks/cli.lock" in call
    assert "index" not in call
    _make(place, "cli")
    assert sum(call.startswith("-m pip") for call in _calls(place)) == 1


def test_a_download_that_fails_is_not_remembered_and_names_the_way_round(place):
    _put(place / ".venv/bin/python", '#!/bin/sh\n[ "$1" != -m ]\n')
    done = _make(place, "cli")
    assert done.returncode == 1
    assert "CLAUDE_BIN=" in done.stderr
    assert not (place / ".venv/cli.lock").exists()


def test_ci_runs_what_a_developer_runs():
    script = (TOP / ".ci/run").read_text().splitlines()
    work = [line for line in script if line and not line.startswith("#")]
    assert work[-1] == "exec make test </dev/null"
    assert len(work) == 3
    assert os.access(TOP / ".ci/run", os.X_OK)


def test_make_alone_explains_every_word_it_knows():
    done = subprocess.run(["make"], cwd=TOP, capture_output=True, text=True, check=True)
    makefile = (TOP / "Makefile").read_text()
    phony = makefile.split(".PHONY:")[1].split("\n\n")[0].replace("\\", " ").split()
    for word in phony:
        assert word == "help" or f"  make {word} " in done.stdout
