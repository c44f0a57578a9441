"""ocpctl looks for the CLI as the daemon does, and wants the versions that the daemon wants."""

import pytest

from ocpctl import claude
from ocpd.claude.version import FLOOR, NEWEST_TESTED
from ocpd.pool import probe
from tests.arch.tree import TOP


def _install(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_versions_are_those_of_the_daemon():
    assert (claude.FLOOR, claude.NEWEST_TESTED) == (FLOOR, NEWEST_TESTED)


def test_the_places_are_those_of_the_daemon_in_its_order(tmp_path):
    for tree in (".nvm/versions/node", ".local/share/fnm/node-versions", ".asdf/installs/nodejs"):
        for version in ("v9", "v24"):
            (tmp_path / tree / version).mkdir(parents=True)
    theirs = [str(path) for path in probe._usual_places({"HOME": str(tmp_path)})]
    ours = list(claude.usual_places(str(tmp_path)))
    # The last one of theirs lies in the daemon's own Python, if it is there.
    assert theirs[: len(ours)] == ours
    assert len(theirs) - len(ours) <= 1


def test_the_path_comes_before_the_usual_places(tmp_path):
    usual = _install(tmp_path / ".local/bin/claude")
    assert claude.find_cli({"PATH": str(tmp_path), "HOME": str(tmp_path)}) == usual
    on_path = _install(tmp_path / "bin/claude")
    assert claude.find_cli({"PATH": f"{tmp_path}/bin", "HOME": str(tmp_path)}) == on_path


@pytest.mark.parametrize("program", ["ocpctl/claude.py", "dist/ocpctl/ocpctl"])
def test_what_was_fetched_into_the_checkout_is_found_from_there(tmp_path, program):
    assert claude.find_fetched(str(tmp_path / program)) == ""
    there = ".venv/lib/python3.11/site-packages/claude_agent_sdk/_bundled/claude"
    fetched = _install(tmp_path / there)
    assert claude.find_fetched(str(tmp_path / program)) == fetched
    assert claude.find_fetched(str(tmp_path / "elsewhere" / program)) == ""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.1.330 (Claude Code)", (2, 1, 330)),
        ("2.1.330\n", (2, 1, 330)),
        ("2.1", None),
        ("banana", None),
        ("", None),
    ],
)
def test_versions_are_read(text, version):
    assert claude.read_version(text) == version


def test_installing_is_explained_for_each_system_without_a_registry():
    mac = claude.install_commands("darwin", "")
    assert mac[0] == "brew install --cask claude-code"
    linux = claude.install_commands("linux", "")
    assert linux[0].endswith("| bash")
    assert "npm install -g @anthropic-ai/claude-code" in linux[1]
    assert claude.install_commands("linux", "ocpd")[0].endswith("| sudo -u ocpd -H bash")


@pytest.mark.parametrize(
    ("real_path", "user", "command"),
    [
        ("/opt/homebrew/Caskroom/claude-code/2/claude", "", "brew upgrade --cask claude-code"),
        (
            "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js",
            "",
            "npm install -g @anthropic-ai/claude-code@latest",
        ),
        ("/x/claude", "", "/x/claude update"),
        ("/x/claude", "ocpd", "sudo -u ocpd -H /x/claude update"),
    ],
)
def test_updating_is_what_brought_it(real_path, user, command):
    assert claude.update_command("/x/claude", real_path, user) == command


def test_what_the_doctor_says_of_the_cli_is_nowhere_else():
    assert "claude.ai" not in (TOP / "ocpctl/diagnosis.py").read_text()
