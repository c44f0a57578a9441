"""``python -m ocpd`` as a whole: how it greets, starts, refuses to start, drains and ends."""

import os
import shlex
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.kit.fake_script import Answer, FakeScript, Silent
from tests.kit.leaks import is_alive
from tests.kit.script import Hang, Say
from tests.kit.upstream import Upstream
from tests.wire.conftest import MakeFake
from tests.wire.process import Ended, Ocpd, environ_of, run, wrap_cli
from tests.wire.stage import Caller, body_of, family_of, fetch

Environ = Callable[..., dict[str, str]]

MARKER = "qx7-marker-of-the-caller"
TOKEN = "sk-ant-oat01-not-a-real-token"


@pytest.fixture
def environ(make_fake: MakeFake, tmp_path: Path) -> Environ:
    """Makes the environment of a daemon with a fake CLI."""

    def make(script: object = (), **more: str) -> dict[str, str]:
        return environ_of(tmp_path / "home", make_fake(script), **more)

    return make


@pytest.fixture
def real_environ(upstream: Upstream, real_cli: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a daemon with the real CLI and the scripted API."""
    cli = wrap_cli(
        tmp_path / "bin",
        real_cli,
        ANTHROPIC_BASE_URL=upstream.url,
        CLAUDE_CODE_OAUTH_TOKEN="scripted",
    )
    return environ_of(tmp_path / "home", cli)


# It greets...


def test_it_greets_with_address_cli_login_and_a_curl_that_works(environ: Environ) -> None:
    surroundings = environ()
    with Ocpd(surroundings) as ocpd:
        first, cli, login, *_, curl = ocpd.greeting()
        assert f"listens on http://127.0.0.1:{ocpd.port}" in first
        assert surroundings["PATH"].split(":")[0] + "/claude" in cli
        assert "2.1.330" in cli
        assert login.strip().startswith("signed in:")
        words = shlex.split(curl)
        url, body = words[1], words[words.index("-d") + 1]
        assert url == f"http://127.0.0.1:{ocpd.port}/v1/chat/completions"
        page = fetch(ocpd.port, "POST", "/v1/chat/completions", body.encode())
        assert page.json()["choices"][0]["message"]["content"] == "Hello there, friend."


def test_it_greets_somebody_who_is_not_signed_in_with_the_command(environ: Environ) -> None:
    with Ocpd(environ(FakeScript(logged_in=False))) as ocpd:
        assert "not signed in; run: claude auth login" in "\n".join(ocpd.greeting())


def test_a_service_manager_is_told_and_not_greeted(environ: Environ, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.settimeout(20)
        notified.bind(str(tmp_path / "n"))
        more = {"NOTIFY_SOCKET": str(tmp_path / "n"), "INVOCATION_ID": "1"}
        with Ocpd(environ(**more)) as ocpd:
            assert b"READY=1" in notified.recv(4096)
            ocpd.signal(signal.SIGTERM)
            assert b"STOPPING=1" in notified.recv(4096)
            assert (ocpd.wait_end().code, ocpd.wait_end().stdout) == (0, "")


def test_a_watchdog_is_fed_and_the_status_is_true_until_the_end(
    environ: Environ, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.settimeout(20)
        notified.bind(str(tmp_path / "n"))

        def hear(wanted: str) -> str:
            while wanted not in (told := notified.recv(4096).decode()):
                pass
            return told

        more = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "100000"}
        script = Answer(("one", "two"), delay_s=1.0)
        with Ocpd(environ(script, **more)) as ocpd:
            told = hear("READY=1")
            assert "STATUS=serving on http://127.0.0.1:" in told
            assert told.endswith("; signed in; 0 turns running")
            port = int(told.rpartition("http://127.0.0.1:")[2].partition(";")[0])
            for _ in range(3):
                hear("WATCHDOG=1")
            with Caller(port, body_of("hello", stream=True)) as caller:
                assert "WATCHDOG=1" in hear("; 1 turn running")
                caller.read_until(b"one")
                ocpd.signal(signal.SIGTERM)
                assert "STATUS=stopping" in hear("STOPPING=1")
                told = hear("STATUS=stopping; 1 turn running")
                assert "WATCHDOG=1" in told
                assert "EXTEND_TIMEOUT_USEC=30000000" in told
                caller.read_until(b"[DONE]")
            assert ocpd.wait_end().code == 0


# It stops...


@pytest.mark.real_cli
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_running_stream_finish(
    real_environ: dict[str, str], upstream: Upstream, number: signal.Signals
) -> None:
    upstream.script(Hang(after=1))
    with Ocpd(real_environ) as ocpd:
        with ocpd.call("hello", stream=True) as caller:
            caller.read_until(b"Hello")
            children = family_of(ocpd.process.pid)
            ocpd.signal(number)
            ocpd.wait_logged("daemon_draining")
            # Refused, or reset if it knocked in the moment of closing.
            with pytest.raises(ConnectionError):
                ocpd.get("/health")
            upstream.release()
            caller.read_all()
            assert b'"content":", friend."' in caller.seen
            assert caller.seen.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert ocpd.wait_end().code == 0
        assert not [pid for pid in children if is_alive(pid)]


def test_a_second_signal_stops_it_now(environ: Environ) -> None:
    with Ocpd(environ(Silent(after=1))) as ocpd, ocpd.call("hello", stream=True) as caller:
        caller.read_until(b"word0")
        children = family_of(ocpd.process.pid)
        ocpd.signal(signal.SIGTERM)
        ocpd.wait_logged("daemon_draining")
        ocpd.signal(signal.SIGTERM)
        assert ocpd.wait_end().code == 0
        assert not [pid for pid in children if is_alive(pid)]


def test_a_drain_ends_when_its_time_is_up(environ: Environ) -> None:
    with (
        Ocpd(environ(Silent(after=1), OCPD_DRAIN_TIMEOUT="0")) as ocpd,
        ocpd.call("hello", stream=True) as caller,
    ):
        caller.read_until(b"word0")
        ocpd.signal(signal.SIGTERM)
        assert ocpd.wait_end().code == 0


@pytest.mark.real_cli
def test_an_idle_daemon_that_is_stopped_takes_its_spares_along(
    real_environ: dict[str, str],
) -> None:
    with Ocpd(real_environ) as ocpd:
        spares = wait_parked(ocpd)
        ocpd.signal(signal.SIGTERM)
        assert ocpd.wait_end().code == 0
        assert not [pid for pid in spares if is_alive(pid)]


@pytest.mark.real_cli
def test_a_daemon_that_is_killed_leaves_no_spare_behind(real_environ: dict[str, str]) -> None:
    with Ocpd(real_environ) as ocpd:
        spares = wait_parked(ocpd)
        ocpd.signal(signal.SIGKILL)
        assert ocpd.wait_end().code == -signal.SIGKILL
        wait_until(lambda: not [pid for pid in spares if is_alive(pid)])


def wait_parked(ocpd: Ocpd) -> frozenset[int]:
    def parked() -> int:
        processes = ocpd.get("/health").json()["processes"]
        return sum(processes["parked"].values())

    wait_until(lambda: parked() == 1)
    return family_of(ocpd.process.pid)


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        threading.Event().wait(0.01)
    raise AssertionError("that took longer than 10 s")


# It refuses to start...


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_ends_it_at_once_and_says_who_holds_it(
    environ: Environ, taken_port: int
) -> None:
    ended = run(environ(OCPD_PORT=str(taken_port)))
    assert ended.code == 1
    assert f"cannot listen on 127.0.0.1:{taken_port}" in ended.stderr
    assert f"(pid {os.getpid()})" in ended.stderr
    assert ended.stdout == ""


BAD_VALUES = {
    "not a number": ({"OCPD_MAX_QUEUE": "banana"}, ["OCPD_MAX_QUEUE", "banana", "0 to 10000"]),
    "with a unit": ({"CLAUDE_TIMEOUT": "5s"}, ["CLAUDE_TIMEOUT", "5s", "30000 to 1800000"]),
    "out of range": (
        {"CLAUDE_MAX_CONCURRENT": "99"},
        ["CLAUDE_MAX_CONCURRENT", "99", "[1, 32]"],
    ),
    "no choice": ({"OCPD_LOG_LEVEL": "loud"}, ["OCPD_LOG_LEVEL", "loud", "debug, info"]),
    "no such CLI": ({"CLAUDE_BIN": "/nowhere/claude"}, ["claudeBin", "/nowhere/claude"]),
    "no executable": ({"CLAUDE_BIN": "/etc/passwd"}, ["claudeBin", "/etc/passwd"]),
    "no model": ({"OCPD_DEFAULT_MODEL": "gpt-5"}, ["defaultModel", "gpt-5", "sonnet"]),
    "no such file": ({"OCPD_CONFIG": "/nowhere.toml"}, ["/nowhere.toml", "does not exist"]),
}


@pytest.mark.parametrize(("values", "named"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_bad_value_ends_it_with_78_and_names_what_does_not_fit(
    environ: Environ, values: dict[str, str], named: list[str]
) -> None:
    refused_with(run(environ(**values)), *named)


def refused_with(ended: Ended, *named: str) -> None:
    assert (ended.code, ended.stdout) == (78, "")
    assert "Traceback" not in ended.stderr
    for text in named:
        assert text in ended.stderr


FILES = {
    "an unknown key": ("maxQeue = 5\n", "maxQeue"),
    "a value out of range": ("port = 70000\n", "70000"),
    "no TOML": ("port: 5\n", "ocpd.toml"),
    "a value of the wrong kind": ("port = true\n", "True"),
}


@pytest.mark.parametrize(("text", "named"), FILES.values(), ids=FILES.keys())
def test_a_config_file_that_does_not_fit_ends_it_with_78(
    environ: Environ, tmp_path: Path, text: str, named: str
) -> None:
    file = tmp_path / "ocpd.toml"
    file.write_text(text)
    surroundings = environ()
    del surroundings["OCPD_PORT"]
    refused_with(run(surroundings, ["--config", str(file)]), named)


def test_flags_beat_the_environment_and_that_beats_the_file(
    environ: Environ, tmp_path: Path
) -> None:
    folder = tmp_path / "home/.config/ocpd"
    folder.mkdir(parents=True)
    (folder / "ocpd.toml").write_text('maxQueue = 1\nmaxConcurrent = 2\ndefaultModel = "haiku"\n')
    surroundings = environ(OCPD_MAX_CONCURRENT="3", OCPD_DEFAULT_MODEL="opus")
    with Ocpd(surroundings, ["--default-model", "fable"]) as ocpd:
        told = ocpd.get("/health").json()
        assert told["concurrency"]["maxQueue"] == 1
        assert told["config"]["maxConcurrent"] == 3
        assert told["config"]["defaultModel"] == "fable"


def test_help_and_version_need_nothing_else(environ: Environ) -> None:
    told = run(environ(), ["--help"])
    assert told.code == 0
    assert "--max-concurrent" in told.stdout
    assert "OCPD_MAX_CONCURRENT" in told.stdout
    assert run(environ(), ["--version"]).stdout.startswith("ocpd ")
    assert run(environ(), ["--no-such-flag"]).code == 2


# It writes things down...


def test_logs_are_json_lines_without_a_word_of_a_caller_or_a_token(environ: Environ) -> None:
    surroundings = environ(Answer((MARKER,)), CLAUDE_CODE_OAUTH_TOKEN=TOKEN, OCPD_LOG_LEVEL="debug")
    with Ocpd(surroundings) as ocpd:
        headers = ("authorization: Bearer ocp_secret_of_the_caller",)
        with ocpd.call(MARKER, stream=True, user=MARKER) as caller:
            caller.read_until(b"[DONE]")
        body = msgspec.json.encode({"model": MARKER, "messages": [], "x": headers})
        assert fetch(ocpd.port, "POST", f"/{MARKER}?key={MARKER}", body).status == 404
        turn = ocpd.wait_logged("turn_finished")
        ocpd.signal(signal.SIGTERM)
        ended = ocpd.wait_end()
    assert len(turn["turn"]) == 32
    lines = [msgspec.json.decode(line) for line in ended.stderr.splitlines()]
    assert {"daemon_ready", "child_spawned", "turn_finished"} <= {line["event"] for line in lines}
    for text in (MARKER, TOKEN, "ocp_secret"):
        assert text not in ended.stderr + ended.stdout


@pytest.mark.real_cli
def test_the_real_cli_points_where_it_is_told_and_not_where_the_service_points(
    real_environ: dict[str, str], upstream: Upstream
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        # An ocpd that is itself somebody's upstream has such an environment.
        port = own.getsockname()[1]
    surroundings = real_environ | {
        "OCPD_PORT": str(port),
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
        "ANTHROPIC_API_KEY": "sk-ant-of-the-service",
        "OPENAI_API_KEY": "sk-of-the-service",
    }
    upstream.script(Say("straight"))
    with Ocpd(surroundings) as ocpd:
        with ocpd.call("hello", stream=True) as caller:
            assert b"straight" in caller.read_until(b"[DONE]")
        stats = ocpd.get("/health").json()["stats"]
        assert stats["totalRequests"] == 1
    (request,) = upstream.requests
    assert "x-api-key" not in request.headers
