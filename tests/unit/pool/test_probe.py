"""Promise: the CLI is found where people put it, asked once per version, and never for long."""

import os
import sys
from pathlib import Path

import pytest

from ocpd.claude.version import Standing
from ocpd.errors import Upstream
from ocpd.pool import probe as room
from ocpd.pool.probe import (
    Probe,
    find_cli,
    is_executable,
    run_briefly,
    sign_in_command,
)
from tests.kit.fake_script import FakeScript, make_fake_cli
from tests.kit.leaks import descendants, is_alive
from tests.unit.http.stage import run
from tests.unit.pool.stage import environment_of, until


def write_cli(path: Path, text: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".new")
    staged.write_text(f"#!/bin/sh\n{text}\n")
    staged.chmod(0o755)
    staged.rename(path)
    return path


# Where it is...


def test_a_configured_path_is_the_only_one(tmp_path: Path) -> None:
    there = write_cli(tmp_path / "there/claude")
    environ = {"PATH": str(there.parent)}
    assert find_cli(str(there), {}) == str(there)
    assert find_cli("/nowhere/claude", environ) is None


def test_the_path_comes_before_the_usual_places(tmp_path: Path) -> None:
    on_path = write_cli(tmp_path / "bin/claude")
    write_cli(tmp_path / ".local/bin/claude")
    environ = {"PATH": str(on_path.parent), "HOME": str(tmp_path)}
    assert find_cli("", environ) == str(on_path)


USUAL = [
    ".local/bin/claude",
    ".claude/local/claude",
    ".npm-global/bin/claude",
    ".nvm/versions/node/v24.1.0/bin/claude",
    ".local/share/fnm/node-versions/v24.1.0/installation/bin/claude",
    ".asdf/installs/nodejs/24.1.0/bin/claude",
]


@pytest.mark.parametrize("place", USUAL)
def test_it_is_found_in_the_usual_places(tmp_path: Path, place: str) -> None:
    cli = write_cli(tmp_path / place)
    found = find_cli("", {"PATH": "/nowhere", "HOME": str(tmp_path)})
    # The machine that runs the tests may have one for all users.
    assert found in (str(cli), "/opt/homebrew/bin/claude", "/usr/local/bin/claude")


def test_the_binary_of_the_official_wheel_is_the_last_resort(tmp_path: Path) -> None:
    places = [str(path) for path in room._usual_places({"HOME": str(tmp_path)})]
    assert places[-1].endswith("claude_agent_sdk/_bundled/claude")


def test_without_the_wheel_there_is_no_last_resort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "claude_agent_sdk", None)
    assert not [p for p in room._usual_places({"HOME": str(tmp_path)}) if "_bundled" in str(p)]


def test_only_a_file_that_may_be_run_is_executable(tmp_path: Path) -> None:
    cli = write_cli(tmp_path / "claude")
    assert is_executable(str(cli))
    assert not is_executable(str(tmp_path))
    cli.chmod(0o644)
    assert not is_executable(str(cli))


# How to sign in...


def test_the_sign_in_command_is_as_short_as_it_can_be(tmp_path: Path) -> None:
    cli = str(write_cli(tmp_path / "claude"))
    on_path = {"PATH": str(tmp_path)}
    assert sign_in_command(cli, on_path) == "claude auth login"
    assert sign_in_command(cli, {"PATH": "/nowhere"}) == f"{cli} auth login"
    moved = {**on_path, "CLAUDE_CONFIG_DIR": "/etc/c"}
    assert sign_in_command(cli, moved) == "CLAUDE_CONFIG_DIR=/etc/c claude auth login"


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ("/var/lib/ocpd", "sudo ocpctl auth login"),
        ("/var/lib/ocpd-guest", "sudo ocpctl auth login --instance guest"),
        ("/var/lib/other", "claude auth login"),
    ],
)
def test_the_systems_service_is_signed_in_as_its_own_user(
    tmp_path: Path, state: str, command: str
) -> None:
    cli = str(write_cli(tmp_path / "claude"))
    environ = {"PATH": str(tmp_path), "STATE_DIRECTORY": state}
    assert sign_in_command(cli, environ) == command


@pytest.mark.parametrize("folder", ["with space", "quo'te", "$dollar;rm"])
def test_the_sign_in_command_can_be_pasted_into_a_shell(tmp_path: Path, folder: str) -> None:
    cli = write_cli(tmp_path / folder / "claude", 'echo "signs in: $CLAUDE_CONFIG_DIR $*"')
    config = str(tmp_path / folder / "config")
    command = sign_in_command(str(cli), {"PATH": "/nowhere", "CLAUDE_CONFIG_DIR": config})

    async def main() -> None:
        ran = await run_briefly(("/bin/sh", "-c", command), {}, 10)
        assert ran.stdout.decode().strip() == f"signs in: {config} auth login"

    run(main())


# What it says...


def test_a_short_command_is_heard_out(tmp_path: Path) -> None:
    async def main() -> None:
        ran = await run_briefly(("/bin/sh", "-c", "echo hello; echo no >&2; exit 4"), {}, 10)
        assert (ran.status, ran.stdout) == (4, b"hello\n")
        with pytest.raises(FileNotFoundError):
            await run_briefly(("/nowhere",), {}, 10)

    run(main())


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(tmp_path: Path) -> None:
    async def main() -> None:
        before = descendants(os.getpid())
        argv = ("/bin/sh", "-c", "sleep 60 & sleep 60")
        ran = await run_briefly(argv, {"PATH": os.environ["PATH"]}, 0.1)
        assert ran.status is None
        # What it started is not our child: nobody tells when the kernel is done with it.
        await until(lambda: not [p for p in descendants(os.getpid()) - before if is_alive(p)])

    run(main())


def probe_of(folder: Path, configured: str = "") -> Probe:
    environ = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}
    return Probe(configured, environ, environment_of(folder) | environ)


COUNTING = 'echo x >> "$HOME/asked"; echo "2.1.300 (Claude Code)"'


def asked(folder: Path) -> int:
    return len((folder / "asked").read_text().splitlines())


def test_a_version_is_asked_once_and_again_when_the_file_changed(tmp_path: Path) -> None:
    async def main() -> None:
        write_cli(tmp_path / "claude", COUNTING)
        probe = probe_of(tmp_path)
        for _ in range(3):
            cli = await probe.current()
            assert (cli.path, cli.verdict.text) == (str(tmp_path / "claude"), "2.1.300")
        assert asked(tmp_path) == 1
        write_cli(tmp_path / "claude", COUNTING.replace("300", "301"))
        assert (await probe.current()).verdict.text == "2.1.301"
        assert asked(tmp_path) == 2

    run(main())


def test_a_version_that_could_not_be_read_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "UNREADABLE_S", 0.0)
    stumbles = '[ -e "$HOME/stumbled" ] && echo "2.1.300"; : > "$HOME/stumbled"'

    async def main() -> None:
        write_cli(tmp_path / "claude", stumbles)
        probe = probe_of(tmp_path)
        with pytest.raises(Upstream, match="no version"):
            await probe.current()
        assert (await probe.current()).verdict.text == "2.1.300"

    run(main())


def test_a_cli_that_may_not_serve_is_503(tmp_path: Path) -> None:
    async def main() -> None:
        write_cli(tmp_path / "claude", "echo 2.1.247")
        probe = probe_of(tmp_path)
        with pytest.raises(Upstream, match=r"2\.1\.248") as caught:
            await probe.current()
        assert (caught.value.status, caught.value.code) == (503, "claude_cli_unusable")
        assert probe.latest is not None
        assert probe.latest.verdict.standing is Standing.TOO_OLD

    run(main())


def test_no_cli_is_503_until_there_is_one(tmp_path: Path) -> None:
    async def main() -> None:
        probe = probe_of(tmp_path, configured=str(tmp_path / "claude"))
        with pytest.raises(Upstream, match="CLAUDE_BIN") as caught:
            await probe.current()
        assert (caught.value.status, caught.value.code) == (503, "claude_cli_missing")
        assert await probe.ask_login(10) is None
        write_cli(tmp_path / "claude", "echo 2.1.300")
        assert (await probe.current()).verdict.may_serve

    run(main())


def test_a_login_is_what_the_cli_says_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        cli = make_fake_cli(tmp_path / "bin", FakeScript(logged_in=True))
        answer = await probe_of(tmp_path, str(cli)).ask_login(10)
        assert answer is not None
        assert (answer[0].status, answer[1].loggedIn) == (0, True)
        assert answer[1].authMethod == "oauth_token"

    run(main())


@pytest.mark.parametrize(
    ("says", "logged_in"),
    [("echo nonsense", True), ("exit 1", False), ("echo '[]'; exit 1", False)],
)
def test_a_login_without_readable_words_is_what_the_exit_code_says(
    tmp_path: Path, says: str, logged_in: bool
) -> None:
    async def main() -> None:
        write_cli(tmp_path / "claude", f'[ "$1" = auth ] || exec echo 2.1.300\n{says}')
        answer = await probe_of(tmp_path).ask_login(10)
        assert answer is not None
        assert answer[1].loggedIn is logged_in

    run(main())
