"""A started program with its three streams on the loop, and its exit.

What may live here: file descriptors, pids and signals; nothing of what the program says.

``subprocess.Popen`` starts it and not the loop's own ``subprocess_exec``: Popen can use vfork,
which took 0.8 ms and 0.1 ms CPU where uvloop's fork blocked the loop for 15 ms (measured with a
CLI of 380 MB on two cores). Every stream that runs meanwhile would feel that.

Its streams are socket pairs and not pipes: uvloop 0.23 closes the descriptor of a pipe object
twice (seen with strace), and between the two another thread may have been given that number.
"""

import asyncio
import contextlib
import errno
import functools
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ocpd.aio import finish

CONNECT_S = 5.0
"""How long connecting three sockets may take; it takes well under a millisecond."""


class Audience(Protocol):
    """Who hears what the program does. Called on the loop, never after ``exited``'s turn."""

    def stdout_received(self, data: bytes) -> None:
        """It wrote ``data``."""
        ...

    def stderr_received(self, data: bytes) -> None:
        """It wrote ``data`` to stderr."""
        ...

    def stdout_ended(self) -> None:
        """It, and whoever shares its stdout, will write no more."""
        ...

    def exited(self, status: int) -> None:
        """It has ended and is reaped; a negative status is a signal's number. What it wrote
        before may still be in the pipe."""
        ...


class _Reader(asyncio.Protocol):
    """One output stream."""

    def __init__(self, audience: Audience, *, is_stdout: bool) -> None:
        self._hear = audience.stdout_received if is_stdout else audience.stderr_received
        self._end = audience.stdout_ended if is_stdout else None

    def data_received(self, data: bytes) -> None:
        self._hear(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end()


class Process:
    """A running program in a process group of its own. Made by ``start``."""

    def __init__(
        self, popen: subprocess.Popen[bytes], audience: Audience, ends: Sequence[socket.socket]
    ) -> None:
        self._popen = popen
        self._audience = audience
        self._transports: list[asyncio.BaseTransport] = []
        # Our ends of stdin, stdout and stderr, as long as no transport holds them.
        self._loose = list(ends)
        self._stdin: asyncio.WriteTransport | None = None
        self._stdout: asyncio.ReadTransport | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._popen.returncode

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        audience: Audience,
    ) -> "Process":
        """Start ``argv``. Raises OSError if it cannot be started.

        If cancelled, the program is killed.
        """
        pairs = [socket.socketpair() for _ in range(3)]
        try:
            popen = _popen(argv, environment, directory, [theirs for _, theirs in pairs])
        except BaseException:
            for ours, _ in pairs:
                ours.close()
            raise
        finally:
            for _, theirs in pairs:
                theirs.close()
        process = cls(popen, audience, [ours for ours, _ in pairs])
        process._watch_exit()
        try:
            # To its end also if cancelled: half-made transports could not be closed.
            await finish(process._connect(), CONNECT_S)
            process._check_streams()
        except BaseException:
            process.signal_group(signal.SIGKILL)
            process.close()
            raise
        return process

    def write(self, data: bytes) -> None:
        """Write to its stdin; buffered, never blocks. Lost if it has closed it."""
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(data)

    def close_stdin(self) -> None:
        """End its input."""
        if self._stdin is not None:
            self._stdin.close()

    def pause_stdout(self) -> None:
        """Read no more for now; the pipe fills and the program waits."""
        if self._stdout is not None and not self._stdout.is_closing():
            self._stdout.pause_reading()

    def resume_stdout(self) -> None:
        """Read on."""
        if self._stdout is not None and not self._stdout.is_closing():
            self._stdout.resume_reading()

    def signal_group(self, number: signal.Signals) -> None:
        """Signal it and all it started. An exited program's group is left alone: the number may
        be somebody else's by now."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, number)

    def close(self) -> None:
        """Close the streams; call it once the program has exited."""
        if self._stdin is not None:
            # What it did not read it will never read.
            self._stdin.abort()
        for transport in self._transports:
            transport.close()
        for end in self._loose:
            end.close()

    async def _connect(self) -> None:
        audience = self._audience
        self._stdin = await self._hold(asyncio.Protocol())
        self._stdout = await self._hold(_Reader(audience, is_stdout=True))
        await self._hold(_Reader(audience, is_stdout=False))

    async def _hold(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_unix_connection(lambda: protocol, sock=self._loose[0])
        # It closes the socket from here on.
        del self._loose[0]
        self._transports.append(transport)
        return transport

    def _check_streams(self) -> None:
        if self._loose:
            raise TimeoutError("the streams of a new program could not be connected")

    def _watch_exit(self) -> None:
        loop = asyncio.get_running_loop()
        if hasattr(os, "pidfd_open"):
            descriptor = os.pidfd_open(self._popen.pid)
            loop.add_reader(descriptor, self._on_pidfd, descriptor)
        else:
            # macOS has no pidfd; a thread that sleeps in waitpid costs next to nothing.
            threading.Thread(target=self._wait, args=(loop,), daemon=True).start()

    def _on_pidfd(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        # What it started and left behind. Until it is reaped the number is nobody else's.
        self.signal_group(signal.SIGKILL)
        self._reap()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._popen.wait()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._reap)

    def _reap(self) -> None:
        self._audience.exited(self._popen.wait())


@functools.cache
def _leash() -> tuple[str, ...]:
    """What ties a program's life to ours: if we are killed, the kernel ends it too. Otherwise its
    turn would go on and use the plan. (Linux with util-linux; elsewhere the service manager must
    see to it.)"""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()


def _popen(
    argv: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    ends: Sequence[socket.socket],
) -> subprocess.Popen[bytes]:
    stdin, stdout, stderr = (end.fileno() for end in ends)
    # The leash would start, and only then find out.
    os.stat(argv[0])
    if not os.access(argv[0], os.X_OK):
        raise PermissionError(errno.EACCES, "not an executable file", argv[0])
    return subprocess.Popen(  # noqa: S603 - the command is ours, see claude.argv
        [*_leash(), *argv],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=dict(environment),
        cwd=directory,
        # A group of its own, so that a kill reaches what the program itself starts.
        start_new_session=True,
    )
