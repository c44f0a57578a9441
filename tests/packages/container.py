"""A Debian with a real systemd, in a container that starts from the same tree each time.

What may live here: boot, commands inside, the end. What is installed there stands in ``machine``.
systemd-nspawn registers nowhere, so commands go in with nsenter.
"""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.packages.network import network_of

_BOOTS_WITHIN_S = 60.0
_STOPS_WITHIN_S = 30.0
_RUNS_WITHIN_S = 120.0

# What systemd-nspawn makes on this machine and, killed, leaves there: empty folders.
_CGROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
_PROPAGATE = Path("/run/systemd/nspawn/propagate")

_numbers = itertools.count()

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRON = {
    "PATH": _PATH,
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}

Done = subprocess.CompletedProcess[str]


class Container:
    """Runs while its block is open. ``binds`` are folders of this machine, read-only inside.

    What it writes goes into memory, and with it; into ``tree`` if it ``keeps`` that.
    """

    def __init__(
        self,
        tree: Path,
        scratch: Path,
        binds: Mapping[Path, str] | None = None,
        *,
        keeps: bool = False,
    ) -> None:
        self._tree = tree
        self._keeps = keeps
        self._scratch = scratch
        self._binds = dict(binds or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._name = f"ocpd-test-{os.getpid()}-{next(_numbers)}"
        self.leader = 0

    def __enter__(self) -> Self:
        self._scratch.mkdir(parents=True, exist_ok=True)
        address = str(self._scratch / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(address)
            with self.console.open("wb") as console:
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=console,
                    env={
                        **_ENVIRON,
                        "NOTIFY_SOCKET": address,
                        # The machine's own layout of cgroups may be the older one.
                        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    },
                    start_new_session=True,
                )
            try:
                self._wait_ready(told)
            except BaseException:
                self._stop()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def power_off(self) -> None:
        """Have it shut down properly, and wait for that."""
        assert self._process is not None
        self.run("systemctl", "poweroff", "--no-block")
        self._process.wait(_STOPS_WITHIN_S)

    @property
    def console(self) -> Path:
        """What the container wrote to its console."""
        return self._scratch / "console.log"

    def network(self) -> contextlib.AbstractContextManager[None]:
        """Be in its network; see ``network_of``."""
        return network_of(self.leader)

    def run(
        self,
        *command: str,
        user: str = "root",
        stdin: str = "",
        within_s: float = _RUNS_WITHIN_S,
        environ: Mapping[str, str] | None = None,
    ) -> Done:
        """Run ``command`` inside as ``user``; returns whatever became of it, stderr in stdout."""
        return subprocess.run(
            self.enter(*command, user=user, environ=environ),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            check=False,
        )

    def check(self, *command: str, user: str = "root", stdin: str = "") -> str:
        """Run ``command`` inside, which must succeed; returns what it printed."""
        done = self.run(*command, user=user, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, *command: str, user: str = "root") -> Iterator["subprocess.Popen[str]"]:
        """Run ``command`` inside in the background; it is waited for when the block is left."""
        with subprocess.Popen(
            self.enter(*command, user=user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def enter(
        self, *command: str, user: str = "root", environ: Mapping[str, str] | None = None
    ) -> Sequence[str]:
        """The command of this machine that runs ``command`` inside as ``user``."""
        pairs = [f"{name}={value}" for name, value in {**_ENVIRON, **(environ or {})}.items()]
        person = () if user == "root" else ("runuser", "-u", user, "--")
        spaces = ("-m", "-u", "-i", "-n", "-p", "-C")
        inside = ("env", "-i", *pairs, *person, *command)
        return ("nsenter", "-t", str(self.leader), *spaces, "--", *inside)

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Put ``text`` into the file ``path`` inside, with the folders it needs."""
        self.check("install", "-D", "-m", mode, "/dev/stdin", path, stdin=text)

    def put(self, source: Path, path: str) -> None:
        """Copy the file ``source`` of this machine to ``path`` inside."""
        with source.open("rb") as file:
            subprocess.run(
                self.enter("install", "-D", "-m", "644", "/dev/stdin", path),
                stdin=file,
                check=True,
            )

    def read(self, path: str) -> str:
        """The text of the file ``path`` inside."""
        return self.check("cat", path)

    def exists(self, path: str) -> bool:
        """Whether there is a file, a folder or a socket at ``path`` inside."""
        return self.run("test", "-e", path).returncode == 0

    def journal(self) -> str:
        """The end of what everything in it has logged."""
        return self.run("journalctl", "--no-pager", "-q", "-n", "150", "-o", "short-precise").stdout

    def _command(self) -> Sequence[str]:
        return (
            # In a cgroup of its own: two containers must not see each other's.
            *("sh", "-c", 'mkdir "$0" && echo $$ >"$0/cgroup.procs"; exec "$@"'),
            str(self._cgroup()),
            # And whatever becomes of us: it ends.
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("systemd-nspawn", "--quiet", "--boot", f"--directory={self._tree}"),
            *(() if self._keeps else ("--volatile=overlay",)),
            # There is no systemd here to register with.
            *("--register=no", "--keep-unit"),
            *(f"--machine={self._name}", "--private-network", "--notify-ready=yes"),
            # Its console must not be a terminal that could be ours.
            "--console=pipe",
            *(f"--bind-ro={path}:{inside}" for path, inside in self._binds.items()),
        )

    def _wait_ready(self, told: socket.socket) -> None:
        """Wait for PID 1's word that everything that starts at boot has started."""
        deadline = time.monotonic() + _BOOTS_WITHIN_S
        is_ready = False
        while not (is_ready and self.leader):
            told.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                lines = told.recv(4096).decode().splitlines()
            except TimeoutError:
                log = self.console.read_text("utf-8", "replace")[-4000:]
                raise TimeoutError(f"the container did not boot:\n{log}") from None
            fields = dict(line.partition("=")[::2] for line in lines)
            self.leader = int(fields.get("X_NSPAWN_LEADER_PID", self.leader))
            is_ready = is_ready or fields.get("READY") == "1"

    def _stop(self) -> None:
        """End it. Nothing in it is of use afterwards, so nobody inside is asked."""
        assert self._process is not None
        if self.leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)
        else:
            self._process.kill()
        try:
            self._process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(FileNotFoundError):
            (_PROPAGATE / self._name).rmdir()
        for folder in sorted(self._cgroup().rglob("*/"), reverse=True):
            folder.rmdir()
        with contextlib.suppress(FileNotFoundError):
            self._cgroup().rmdir()

    def _cgroup(self) -> Path:
        found = (place for place in _CGROUPS if (place / "cgroup.procs").exists())
        return next(found, _CGROUPS[-1]) / self._name
