"""One version, wherever it is written; and one number for what was tested against."""

import re
import tomllib

from ocpctl.version import VERSION as CTL_VERSION
from ocpd.claude.version import FLOOR, NEWEST_TESTED, dotted
from ocpd.daemon.version import VERSION
from tests.arch.tree import TOP

PYPROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))


def test_package_daemon_and_changelog_agree():
    told = PYPROJECT["project"]["version"]
    changelog = (TOP / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## \[([^\]]+)\] - (unreleased|\d{4}-\d{2}-\d{2})$", changelog, re.M)
    assert newest is not None
    assert newest[1] == told
    assert told == VERSION == CTL_VERSION


def test_packages_and_man_pages_say_the_same_version():
    told = {"debian/changelog": r"\Aocpd \(([^)]+)\) "}
    for page in ("ocpctl.1", "ocpd.8", "ocpd.toml.5"):
        told[f"packaging/man/{page}"] = r'^\.TH .* "ocp(?:d|ctl) ([^"]+)" "'
    formula = "homebrew/ocpd.rb"
    if (TOP / formula).exists():
        told[formula] = r'^  (?:version "|url ".*?-)(\d+\.\d+\.\d+)'
    for name, pattern in told.items():
        found = re.search(pattern, (TOP / name).read_text("utf-8"), re.M)
        assert found is not None, name
        assert found[1] == VERSION, name


def test_the_readme_names_the_clis_that_the_code_judges_by():
    readme = " ".join((TOP / "README.md").read_text("utf-8").split())
    assert f"Claude Code {dotted(FLOOR)} or newer" in readme
    assert f"{dotted(NEWEST_TESTED)} is the newest version tested" in readme


def test_the_oldest_python_is_the_same_everywhere():
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == "3.11"
    assert "sys.version_info < (3, 11)" in (TOP / "packaging/dev/venv.sh").read_text("utf-8")
    assert "Python 3.11 or newer" in (TOP / "README.md").read_text("utf-8")
