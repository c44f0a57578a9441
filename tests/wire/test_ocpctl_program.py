"""ocpctl as a program of its own, from the source and, where ``make ocpctl`` has built it, frozen:
exit codes, signals, pipes, terminals, and a socket that is not for everybody."""

import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager

import pytest

from tests.arch.tree import TOP
from tests.unit.ocpctl.fake_daemon import FakeDaemon, answered

FROZEN = TOP / "dist/ocpctl/ocpctl"
NOBODY = 65534

MAIN = f"import sys; sys.path.insert(0, {str(TOP)!r}); from ocpctl.__main__ import main; "
SOURCE = [sys.executable, "-I", "-c", f"{MAIN}sys.exit(main())"]

KEYS = {
    "keys": [
        {
            "id": number,
            "name": f"laptop-{number}",
            "keyPreview": "ocp_abcd...wxyz",
            "created_at": "2026-11-21 11:00:00",
            "revoked": number % 2,
            "note": "a long note that does not fit on a line of a small terminal",
        }
        for number in range(400)
    ]
}

AS_NOBODY = """\
import json, locale, os
from ocpctl import cli, desk, fields
for word, _, _ in cli.TABLE[:8]:
    cli.load_command(word)
os.setgroups([])
os.setgid({nobody})
os.setuid({nobody})
sys.exit(cli.run({argv!r}))
"""


@pytest.fixture(
    params=[
        pytest.param(SOURCE, id="source"),
        pytest.param(
            [str(FROZEN)],
            id="frozen",
            marks=pytest.mark.skipif(not FROZEN.exists(), reason="make ocpctl builds it"),
        ),
    ]
)
def program(request):
    return request.param


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    with FakeDaemon(tmp_path / "ocpd.sock") as running:
        monkeypatch.setenv("OCPD_SOCKET", str(running.path))
        yield running


def _run(program, *argv, **more):
    return subprocess.run(
        [*program, *argv], capture_output=True, text=True, timeout=30, check=False, **more
    )


def test_help_and_version_are_told(program):
    done = _run(program, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ocpctl 0.1.0\n", "")
    done = _run(program, "--help")
    assert done.returncode == 0
    assert "Exit codes:" in done.stdout
    assert _run(program).stdout == done.stdout


def test_exit_codes_tell_what_happened(program, daemon, tmp_path):
    daemon.answers["GET /api/keys"] = answered(KEYS)
    daemon.answers["GET /admin/auth"] = answered({"signed_in": False})
    assert _run(program, "keys").returncode == 0
    assert _run(program, "sessions").returncode == 1
    assert _run(program, "sesions").returncode == 2
    assert _run(program, "keys", "--socket", str(tmp_path / "none")).returncode == 3
    assert _run(program, "auth", "status").returncode == 5


def test_every_command_can_be_loaded(program, daemon, tmp_path):
    """A frozen program may lack a module that is only imported when it is needed."""
    file = tmp_path / "file"
    file.write_bytes(b"x")
    daemon.answers |= {
        "GET /usage": answered({}),
        "GET /api/usage?all=true&since=2026-11-20%2010%3A00%3A00": answered({}),
        "GET /health": answered({"status": "ok", "recentErrors": [{"time": "x", "message": "é"}]}),
        "POST /api/keys": answered({"key": "ocp_x", "name": "ü"}, status=201),
        "PATCH /settings": answered({"results": {"a": {"ok": True, "value": 1}}}),
        "GET /admin/backup": answered(b"store"),
        "POST /admin/restore": answered({"keys": 1}),
        "POST /admin/import-ocp": answered({"keys": []}),
        "POST /admin/auth/token": answered({"stored": True}),
        "GET /logs?n=20&level=all&follow=1": [b"HTTP/1.1 200 OK\r\n\r\ndata: {}\n\n"],
        "POST /admin/reload": answered({"changed": {}}),
        "GET /admin/audit?n=50": answered({"entries": [{"user": "漢字"}]}),
    }
    plist = tmp_path / "Library/LaunchAgents/dev.ocp.proxy.plist"
    plist.parent.mkdir(parents=True)
    plist.write_bytes(b"<plist version='1.0'><dict/></plist>")
    environ = os.environ | {"HOME": str(tmp_path), "LC_ALL": "C", "PATH": str(tmp_path)}
    for argv in (
        ("usage",),
        ("usage", "--since", "2026-11-20T10:00Z"),
        ("health",),
        ("keys", "add", "ü"),
        ("settings", "a", "1"),
        ("backup", str(tmp_path / "copy")),
        ("restore", "--yes", str(file)),
        ("import-ocp", str(file)),
        ("import-ocp", "--takeover", "--dry-run", str(file)),
        ("logs", "-f"),
        ("reload",),
        ("restart", "gateway"),
        ("audit",),
        ("version",),
        ("completion", "zsh"),
        ("help", "keys"),
    ):
        done = _run(program, *argv, env=environ)
        assert done.returncode == 0, (argv, done.stderr)
    for argv, code, said in (
        (("doctor",), 5, "✗ cli"),
        (("update", "--check"), 1, "needs git"),
    ):
        done = _run(program, *argv, env=environ)
        assert done.returncode == code, (argv, done.stderr)
        assert re.search(said, done.stdout + done.stderr), (argv, done)
        assert "Traceback" not in done.stderr
    done = _run(program, "auth", "token", input="sk-token", env=environ)
    assert done.returncode == 0, done.stderr
    done = _run(program, "keyz", env=environ)
    assert "did you mean keys?" in done.stderr


def test_a_reader_that_has_enough_is_no_error(program, daemon):
    daemon.answers["GET /api/keys"] = answered(KEYS)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [*program, "keys"], stdout=closed, stderr=subprocess.PIPE, timeout=30, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_ctrl_c_ends_a_log_quietly(program, daemon):
    is_over = threading.Event()

    def follow(_heard):
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        frame = b'data: {"event": "one"}\n\n'
        yield b"%x\r\n%s\r\n" % (len(frame), frame)
        is_over.wait(30)

    daemon.answers["GET /logs?n=20&level=all&follow=1"] = follow
    with subprocess.Popen(
        # Tests that run in the background ignore the signal, and children inherit that.
        ["env", "--default-signal=INT", *program, "logs", "-f"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout.readline() == b"- | - | one\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
        is_over.set()
    assert (running.returncode, out, err) == (130, b"", b"")


def test_an_encoding_without_ticks_is_no_traceback(program, daemon):
    daemon.answers["GET /api/keys"] = answered(KEYS)
    environ = os.environ | {"PYTHONIOENCODING": "latin-1", "LC_ALL": "C"}
    # Isolated, Python would not look at these variables.
    argv = [arg for arg in program if arg != "-I"]
    done = subprocess.run([*argv, "keys"], capture_output=True, env=environ, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b" active " in done.stdout


# Terminals.


@contextmanager
def _terminal(columns):
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def _run_shown(program, *argv, columns=80, typed=b"", **environ):
    """Run it on a terminal; returns the exit code and what stood there."""
    with _terminal(columns) as (ours, theirs):
        shown = []
        with subprocess.Popen(
            [*program, *argv],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # Without a session of its own it would ask on the terminal of whoever runs the tests.
            start_new_session=True,
            env=os.environ | {"TERM": "xterm"} | environ,
        ) as running:
            os.write(ours, typed)
            reader = threading.Thread(target=_read_until_end, args=(ours, shown))
            reader.start()
            code = running.wait(30)
        # What is written last may still be on its way to us.
        os.write(theirs, b"\0end")
        reader.join(30)
    return code, b"".join(shown).decode().replace("\r\n", "\n").removesuffix("\0end")


def _read_until_end(descriptor, shown):
    while not b"".join(shown).endswith(b"\0end"):
        shown.append(os.read(descriptor, 65536))


def test_a_terminal_gets_colours_and_lines_that_fit(program, daemon):
    daemon.answers["GET /api/keys"] = answered({"keys": KEYS["keys"][:2]})
    code, shown = _run_shown(program, "keys", columns=90)
    assert code == 0
    assert "\x1b[32m✓ active\x1b[0m" in shown
    assert "\x1b[31m✗ revoked\x1b[0m" in shown
    assert "…" in shown
    code, plain = _run_shown(program, "keys", columns=90, NO_COLOR="1")
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 90


def test_a_pipe_gets_neither(program, daemon):
    daemon.answers["GET /api/keys"] = answered({"keys": KEYS["keys"][:2]})
    done = _run(program, "keys")
    assert "\x1b" not in done.stdout
    assert "does not fit on a line of a small terminal" in done.stdout


def test_a_token_that_is_typed_is_not_shown(program, daemon):
    stored = threading.Event()

    def store(heard):
        stored.set()
        return answered({"stored": True})

    daemon.answers["POST /admin/auth/token"] = store
    code, shown = _type_at_prompt(program, "auth", "token", typed=b"sk-hidden\n")
    assert code == 0
    assert stored.is_set()
    assert daemon.last.json == {"token": "sk-hidden"}
    assert "Token of" in shown
    assert "sk-hidden" not in shown


def _type_at_prompt(program, *argv, typed):
    """As _run_shown, but types only when a prompt is there: before, the terminal would echo."""
    with _terminal(80) as (ours, theirs):
        shown = b""
        with subprocess.Popen(
            [*program, *argv], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ) as running:
            while not shown.endswith(b": "):
                shown += os.read(ours, 65536)
            os.write(ours, typed)
            code = running.wait(30)
        os.write(theirs, b"\0end")
        while not shown.endswith(b"\0end"):
            shown += os.read(ours, 65536)
    return code, shown.decode()


# A socket that is not for everybody.


def test_a_socket_of_others_is_exit_code_4_with_advice(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "ocpd.sock"))
        listening.listen(1)
        argv = ["--socket", str(folder / "ocpd.sock"), "keys", "add", "my laptop"]
        folder.chmod(0)
        try:
            if os.geteuid() == 0:
                script = MAIN + AS_NOBODY.format(nobody=NOBODY, argv=argv)
                done = _run([sys.executable, "-I", "-c", script])
            else:
                done = _run(SOURCE, *argv)
        finally:
            folder.chmod(0o700)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    command = f"ocpctl keys add --socket {folder / 'ocpd.sock'} 'my laptop'"
    assert done.stderr == (
        f"ocpctl: you may not use {folder / 'ocpd.sock'}\n"
        f"  try: sudo {command}\n"
        "  or join group ocpd: sudo usermod -aG ocpd $USER, then log in again\n"
    )
