"""What a caller writes is in no command line, no environment, no file and no log."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.daemon import scripted_lane
from tests.kit.script import Hang
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage, family_of, say

pytestmark = pytest.mark.real_cli

MARKER = "qx7-marker-of-the-caller"
EVERYWHERE = [
    {"role": "system", "content": f"system {MARKER}"},
    *say(f"old {MARKER}", f"said {MARKER}", f"new {MARKER}"),
]


def hang_with_marker(stage: Stage) -> None:
    """Have a turn under way, everything of it with the marker; ``release`` ends it."""
    stage.upstream.script(Hang(after=1))


def about(pid: int) -> tuple[str, str]:
    process = Path(f"/proc/{pid}")
    return (process / "cmdline").read_text(), (process / "environ").read_text()


@pytest.fixture
def debugging(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_nothing_of_a_caller_is_in_argv_or_environment(stage: Stage) -> None:
    hang_with_marker(stage)
    asked = stage.call(EVERYWHERE, stream=True, max_tokens=4321, user=MARKER, session_id=MARKER)
    with asked:
        asked.read_until(b"Hello")
        assert MARKER.encode() in stage.heard().raw
        children = family_of(os.getpid())
        assert children
        for pid in children:
            command, environment = about(pid)
            assert "--tools" in command
            assert MARKER not in command + environment
            assert "4321" not in command + environment
        stage.upstream.release()
        asked.read_until(b"[DONE]")


def test_nothing_of_a_caller_is_left_on_disk(stage: Stage, tmp_path: Path) -> None:
    stage.ask(EVERYWHERE)
    stage.assert_at_rest()
    written = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert written, "the CLI writes its own state, so this looks in the right place"
    for path in written:
        assert MARKER.encode() not in path.read_bytes(), path


def test_nothing_of_a_caller_is_logged(
    debugging: pytest.LogCaptureFixture, open_real: OpenStage
) -> None:
    with open_real() as stage:
        stage.ask(EVERYWHERE, user=MARKER)
        stage.stream(EVERYWHERE)
        stage.post(EVERYWHERE, n=2)
    assert any(record.message == "turn_finished" for record in debugging.records)
    assert MARKER not in "".join(repr(record.__dict__) for record in debugging.records)


def test_a_child_starts_in_an_empty_directory_that_it_cannot_write(stage: Stage) -> None:
    hang_with_marker(stage)
    with stage.call("hello", stream=True) as asked:
        asked.read_until(b"Hello")
        for pid in family_of(os.getpid()):
            directory = Path(os.readlink(f"/proc/{pid}/cwd"))
            assert list(directory.iterdir()) == []
            assert directory.stat().st_mode & 0o222 == 0
        stage.upstream.release()
        asked.read_until(b"[DONE]")


SERVICE = {
    "ANTHROPIC_API_KEY": "sk-ant-of-the-service",
    "ANTHROPIC_AUTH_TOKEN": "token-of-the-service",
    "ANTHROPIC_MODEL": "claude-opus-5-5",
    "OPENAI_API_KEY": "sk-of-the-service",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "5",
    "CLAUDE_CODE_EXTRA_BODY": '{"temperature": 0}',
    "CLAUDECODE": "1",
    "CLAUDE_CODE_ENTRYPOINT": "cli",
    "NODE_OPTIONS": "--inspect",
    "NO_PROXY": "127.0.0.1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "LC_TIME": "de_DE.UTF-8",
}
PASSED = {"NO_PROXY", "HTTPS_PROXY", "LC_TIME"}


def test_a_child_gets_proxies_and_locale_and_no_keys(open_real: OpenStage) -> None:
    with open_real(environ=SERVICE) as stage:
        stage.upstream.script(Hang(after=1))
        with stage.call("hello", stream=True) as asked:
            asked.read_until(b"Hello")
            (pid,) = family_of(os.getpid())
            found = dict(entry.split("=", 1) for entry in about(pid)[1].split("\0") if entry)
            stage.upstream.release()
            asked.read_until(b"[DONE]")
        assert {name: found.get(name) for name in PASSED} == {n: SERVICE[n] for n in PASSED}
        assert not (SERVICE.keys() - PASSED) & found.keys()
        assert found["DISABLE_AUTO_COMPACT"] == "1"
        assert found["CLAUDE_CODE_MAX_RETRIES"] == "1"
        assert found["CLAUDE_AGENT_SDK_CLIENT_APP"].startswith("ocpd/")
        lane = dict(scripted_lane(stage.upstream.url).environment)
        assert {name: found[name] for name in lane} == lane
