"""Promise: ``make run`` uses the login that is there, and a demo says loudly that it is one."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from ocpd.claude.argv import build_environment
from tests.kit.cli import find_real_cli
from tests.kit.demo import TOP, Start, choose_start, demo_lane, scripted_api
from tests.kit.fake_script import FakeScript, make_fake_cli

LAST_LINES = {Start.PLAIN: "/v1/chat/completions", Start.DEMO: " auth login"}


def environ(cli: Path, folder: Path, login: str = "") -> dict[str, str]:
    temporary = folder / "tmp"
    temporary.mkdir()
    return os.environ | {"CLAUDE_BIN": str(cli), "TMPDIR": str(temporary), "LOGIN": login}


def argv(*flags: str) -> list[str]:
    return [sys.executable, "-m", "tests.kit.demo", *flags]


def run(env: Mapping[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(*flags), cwd=TOP, env=env, capture_output=True, text=True, check=False
    )


@contextmanager
def running(env: Mapping[str, str], start: Start) -> Iterator[str]:
    """Start it, wait for its greeting and yield that; afterwards end it as a terminal would."""
    process = subprocess.Popen(
        argv("--port", "0"),
        cwd=TOP,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        greeting = ""
        while LAST_LINES[start] not in greeting:
            line = process.stdout.readline()
            assert line, f"it ended after: {greeting}"
            greeting += line
        yield greeting
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait() == 0


def ask(url: str, method: str, path: str, body: object = None) -> tuple[dict[str, str], object]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        data = None if body is None else msgspec.json.encode(body)
        connection.request(method, path, data, {"content-type": "application/json"})
        response = connection.getresponse()
        return dict(response.getheaders()), msgspec.json.decode(response.read())
    finally:
        connection.close()


def address(greeting: str) -> str:
    return greeting.splitlines()[0].partition("listens on ")[2]


@pytest.mark.parametrize(
    ("signed_in", "login", "start"),
    [
        (True, "", Start.PLAIN),
        (True, "required", Start.PLAIN),
        (False, "", Start.DEMO),
        (False, "somebody", Start.DEMO),
        (False, "required", Start.NOTHING),
        (None, "", Start.PLAIN),
        (None, "required", Start.PLAIN),
    ],
)
def test_only_a_clear_no_leads_to_a_demo(signed_in, login, start):
    assert choose_start(signed_in=signed_in, login=login) is start


def test_the_demos_cli_has_nothing_of_the_persons_but_the_path(tmp_path):
    theirs = {
        "PATH": "/bin",
        "HOME": "theirs",
        "CLAUDE_CONFIG_DIR": "theirs",
        "CLAUDE_CODE_OAUTH_TOKEN": "theirs",
        "TMPDIR": "theirs",
        "HTTPS_PROXY": "theirs",
        "http_proxy": "theirs",
        "NO_PROXY": "theirs",
    }
    lane = demo_lane("http://127.0.0.1:1", tmp_path)
    child = build_environment(theirs, lane=lane, version="0", cli_max_retries=0)
    assert child["PATH"] == "/bin"
    assert "theirs" not in child.values()
    assert child["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert lane.demo


def test_the_scripted_api_is_gone_with_its_block():
    with scripted_api() as url:
        _, answer = ask(url, "GET", "/nowhere")
        assert "not found" in str(answer)
    with pytest.raises(ConnectionRefusedError):
        ask(url, "GET", "/nowhere")


def test_without_a_login_that_is_required_it_says_how_to_sign_in(tmp_path):
    cli = make_fake_cli(tmp_path / "bin", FakeScript(logged_in=False))
    env = environ(cli, tmp_path, "required")
    done = run(env)
    assert done.returncode == 1
    assert f"{cli} auth login" in done.stderr
    assert not done.stdout
    assert not os.listdir(env["TMPDIR"])


def test_a_setting_that_does_not_fit_stops_it_before_anything_else(tmp_path):
    done = run(environ(tmp_path / "no-cli", tmp_path), "--port", "70000")
    assert done.returncode == 78
    assert "--port" in done.stderr


def test_with_a_login_it_is_the_daemon_and_nothing_else(tmp_path):
    cli = make_fake_cli(tmp_path / "bin", FakeScript(logged_in=True))
    with running(environ(cli, tmp_path, "required"), Start.PLAIN) as greeting:
        headers, health = ask(address(greeting), "GET", "/health")
    assert "DEMO" not in greeting
    assert health["demo"] is False
    assert "x-ocpd-demo" not in headers


@pytest.mark.real_cli
def test_without_a_login_it_is_a_demo_that_says_so_and_leaves_nothing(tmp_path):
    persons = {"HOME": str(tmp_path / "home"), "XDG_STATE_HOME": "", "XDG_RUNTIME_DIR": ""}
    env = environ(find_real_cli(), tmp_path) | persons
    with running(env, Start.DEMO) as greeting:
        url = address(greeting)
        assert f"--socket {env['TMPDIR']}/ocpd-demo-" in greeting
        question = {"model": "sonnet", "messages": [{"role": "user", "content": "Hello!"}]}
        headers, answer = ask(url, "POST", "/v1/chat/completions", question)
        _, health = ask(url, "GET", "/health")
        assert os.listdir(env["TMPDIR"])
    assert "DEMO: no login was found" in greeting
    assert "nothing reaches Anthropic" in " ".join(greeting.split())
    assert headers["x-ocpd-demo"] == "1"
    assert "canned" in answer["choices"][0]["message"]["content"]
    assert health["demo"] is True
    # The CLI itself was asked there whether anybody is signed in.
    assert not (tmp_path / "home/.local").exists()
    assert not os.listdir(env["TMPDIR"])
