"""Each floor only looks down, and pure rooms reach no window: the contracts of .importlinter."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.arch.tree import TOP

_LINT = "from importlinter import cli; cli.lint_imports_command()"


def _lint(directory: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", _LINT, "--no-logo", "--no-cache"]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)


def _copy_house(to: Path) -> Path:
    for package in ("ocpd", "ocpctl"):
        shutil.copytree(TOP / package, to / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / ".importlinter", to)
    return to / "ocpd"


def test_no_contract_is_broken():
    done = _lint(TOP)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_notice_an_upward_look_a_clock_and_a_room_without_a_floor(tmp_path):
    house = _copy_house(tmp_path)
    (house / "errors.py").write_text('"""Looks up."""\n\nfrom ocpd.turn import events\n')
    with (house / "sched/queue.py").open("a") as queue:
        queue.write("\nimport time\n")
    (house / "attic.py").write_text('"""A room nobody placed."""\n')
    said = _lint(tmp_path)
    assert said.returncode == 1
    for broken in ("ocpd.errors -> ocpd.turn.events", "ocpd.sched.queue -> time", "ocpd.attic"):
        assert broken in said.stdout
