"""ocpd as a process of its own: ``python -m ocpd`` as an installed one is run.

What may live here: starting it, what it prints, and its end.
"""

import contextlib
import os
import queue
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.kit.daemon import child_environ
from tests.wire.stage import Caller, Page, body_of, family_of, fetch

TOP = Path(__file__).parents[2]
WITHIN_S = 20.0


class Ended(msgspec.Struct, frozen=True):
    """A run that is over."""

    code: int
    stdout: str
    stderr: str


def environ_of(home: Path, cli: Path, **more: str) -> dict[str, str]:
    """The whole environment of the daemon; ``more`` is added."""
    home.mkdir(parents=True, exist_ok=True)
    return {**child_environ(home, cli), "PYTHONPATH": str(TOP), "OCPD_PORT": "0", **more}


def run(
    environ: Mapping[str, str],
    arguments: Sequence[str] = (),
    sockets: Sequence[socket.socket] = (),
) -> Ended:
    """Run it until it ends by itself."""
    done = subprocess.run(
        _command(sockets, arguments),
        env=dict(environ),
        cwd=environ["HOME"],
        pass_fds=[each.fileno() for each in sockets],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def wrap_cli(folder: Path, cli: Path, **environment: str) -> Path:
    """Write a ``claude`` that is ``cli`` with an environment of its own, because the daemon passes
    none of the variables that point the CLI at the scripted API. If it did, they would win."""
    folder.mkdir(parents=True, exist_ok=True)
    wrapper = folder / "claude"
    staged = folder / "claude.new"
    exports = [f'export {name}="${{{name}:-{value}}}"\n' for name, value in environment.items()]
    staged.write_text(f'#!/bin/sh\n{"".join(exports)}exec {shlex.quote(str(cli))} "$@"\n')
    staged.chmod(0o755)
    staged.rename(wrapper)
    return wrapper


# As systemd starts a service with sockets: they are descriptors 3 and up, and the process's own id
# says that they are meant for it.
_ACTIVATED = """\
import fcntl, os, sys
passed = sys.argv[1].split(",")
copies = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 100) for each in passed]
for number, copy in enumerate(copies, 3):
    os.dup2(copy, number)
    os.close(copy)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(passed))}
os.execv(sys.executable, [sys.executable, "-m", "ocpd", *sys.argv[2:]])
"""


def _command(sockets: Sequence[socket.socket], arguments: Sequence[str]) -> list[str]:
    if not sockets:
        return [sys.executable, "-m", "ocpd", *arguments]
    passed = ",".join(str(each.fileno()) for each in sockets)
    return [sys.executable, "-c", _ACTIVATED, passed, *arguments]


class Ocpd:
    """A running one. Leaving the block kills it if it still runs. ``sockets`` are passed on to it
    as a socket unit would."""

    def __init__(
        self,
        environ: Mapping[str, str],
        arguments: Sequence[str] = (),
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self.process = subprocess.Popen(
            _command(sockets, arguments),
            env=dict(environ),
            cwd=environ["HOME"],
            pass_fds=[each.fileno() for each in sockets],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._out = _Reader(self.process.stdout, "stdout")
        self._err = _Reader(self.process.stderr, "stderr")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        family = family_of(self.process.pid)
        self.process.kill()
        self.process.wait()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._out.close()
        self._err.close()

    @property
    def port(self) -> int:
        """Where it listens, as it said."""
        line = self._out.wait_for("listens on http")
        return int(line.rpartition(":")[2])

    def greeting(self) -> list[str]:
        """All that it printed for the person at the terminal."""
        self._out.wait_for("curl ")
        return self._out.lines()

    def wait_logged(self, event: str) -> dict[str, Any]:
        """Wait for a log line of this event."""
        line = self._err.wait_for(f'"event":"{event}"')
        return msgspec.json.decode(line, type=dict[str, Any])

    def call(self, asked: str, **more: Any) -> Caller:
        """Send a chat request and return it with nothing read."""
        return Caller(self.port, body_of(asked, **more))

    def get(self, path: str) -> Page:
        """What stands at ``path``."""
        return fetch(self.port, "GET", path)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait_end(self) -> Ended:
        """Wait until it has ended by itself."""
        code = self.process.wait(WITHIN_S)
        self._out.join()
        self._err.join()
        return Ended(code, "\n".join(self._out.lines()), "\n".join(self._err.lines()))


class _Reader:
    """The lines of a pipe, read on a thread."""

    def __init__(self, pipe: Any, name: str) -> None:
        self._pipe = pipe
        self._lines: list[str] = []
        self._fresh: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, name=f"ocpd-{name}")
        self._thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            self._fresh.put(line.decode().rstrip("\n"))
        self._fresh.put(None)

    def lines(self) -> list[str]:
        while not self._fresh.empty():
            self._take(self._fresh.get())
        return list(self._lines)

    def wait_for(self, wanted: str) -> str:
        """The first line that has ``wanted`` in it."""
        deadline = time.monotonic() + WITHIN_S
        while not (found := [line for line in self._lines if wanted in line]):
            try:
                line = self._fresh.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no {wanted!r} in {self._lines}") from None
            assert line is not None, f"it ended without {wanted!r}: {self._lines}"
            self._take(line)
        return found[0]

    def _take(self, line: str | None) -> None:
        if line is not None:
            self._lines.append(line)

    def join(self) -> None:
        self._thread.join(WITHIN_S)

    def close(self) -> None:
        self.join()
        self._pipe.close()
