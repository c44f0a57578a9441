"""Is there a Claude CLI here, which version, and is it signed in?

What may live here: looking. The CLI is found anew whenever the last one is gone or changed on
disk, so that installing or updating it needs no restart. Whether a version is safe is judged in
``claude.version``.
"""

import asyncio
import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ocpd.aio import steady_clock
from ocpd.claude.version import FLOOR, Standing, Verdict, dotted, judge_version
from ocpd.errors import Upstream
from ocpd.pool.process import Process

VERSION_TIMEOUT_S = 20.0

UNREADABLE_S = 30.0
"""How long a CLI that told no version is taken at its word."""

INSTALL_ADVICE = (
    f"install Claude Code {dotted(FLOOR)} or newer, or set CLAUDE_BIN to its path; "
    "`pip install claude-agent-sdk` brings the official binary along"
)


class Cli(msgspec.Struct, frozen=True):
    """A CLI as found. ``signature`` changes when the file on disk does."""

    path: str
    verdict: Verdict
    signature: tuple[int, ...]


class LoginAnswer(msgspec.Struct):
    """What ``claude auth status`` prints, as far as we read it."""

    loggedIn: bool = False  # noqa: N815 - the CLI's spelling
    authMethod: str = "none"  # noqa: N815
    email: str | None = None
    subscriptionType: str | None = None  # noqa: N815


class Ran(msgspec.Struct, frozen=True):
    """What a short command did; ``status`` is None when it had to be killed."""

    status: int | None
    stdout: bytes


_login: msgspec.json.Decoder[LoginAnswer] = msgspec.json.Decoder(LoginAnswer)


def find_cli(configured: str, environ: Mapping[str, str]) -> str | None:
    """Return the path of the CLI: the configured one, PATH, the usual places, the wheel's."""
    if configured:
        return find_configured(configured, environ)
    if found := shutil.which("claude", path=environ.get("PATH", "")):
        return found
    return next((str(p) for p in _usual_places(environ) if is_executable(str(p))), None)


def find_configured(configured: str, environ: Mapping[str, str]) -> str | None:
    """Return the path of the CLI that setting claudeBin names; a bare name is looked up on PATH."""
    if "/" not in configured:
        return shutil.which(configured, path=environ.get("PATH", ""))
    return configured if is_executable(configured) else None


def is_executable(path: str) -> bool:
    """Whether ``path`` is a file that we may run."""
    return Path(path).is_file() and os.access(path, os.X_OK)


def _usual_places(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME") or "/nonexistent")
    yield home / ".local/bin/claude"
    yield home / ".claude/local/claude"
    yield Path("/opt/homebrew/bin/claude")
    yield Path("/usr/local/bin/claude")
    yield Path("/usr/bin/claude")
    yield home / ".npm-global/bin/claude"
    # Version managers of Node: the newest first, by name.
    for tree in (".nvm/versions/node", ".local/share/fnm/node-versions", ".asdf/installs/nodejs"):
        with contextlib.suppress(OSError):
            for version in sorted((home / tree).iterdir(), reverse=True):
                yield version / "bin/claude"
                yield version / "installation/bin/claude"
    bundle = _bundled()
    if bundle is not None:
        yield bundle


def _bundled() -> Path | None:
    """The binary inside the official SDK's wheel, if our extra ``cli`` is installed."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "_bundled" / "claude"


def sign_in_command(path: str, environ: Mapping[str, str]) -> str:
    """Return the exact command that signs in the CLI at ``path``: of the system's service, whose
    login is not the one of whoever reads this, the one that does so as its user."""
    state = environ.get("STATE_DIRECTORY", "")
    if state == "/var/lib/ocpd" or state.startswith("/var/lib/ocpd-"):
        instance = state.removeprefix("/var/lib/ocpd").removeprefix("-")
        return f"sudo ocpctl auth login{instance and f' --instance {shlex.quote(instance)}'}"
    on_path = shutil.which("claude", path=environ.get("PATH", "")) == path
    command = f"{'claude' if on_path else shlex.quote(path)} auth login"
    if directory := environ.get("CLAUDE_CONFIG_DIR"):
        command = f"CLAUDE_CONFIG_DIR={shlex.quote(directory)} {command}"
    return command


class _Ear:
    """What a short command says, and that it is over."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.exit = asyncio.Event()
        self.silence = asyncio.Event()

    def stdout_received(self, data: bytes) -> None:
        """Keep what it prints."""
        self.out += data

    def stderr_received(self, data: bytes) -> None:
        """Nobody reads what it complains about."""

    def stdout_ended(self) -> None:
        """It prints no more."""
        self.silence.set()

    def exited(self, _status: int) -> None:
        """It is gone."""
        self.exit.set()


async def run_briefly(argv: tuple[str, ...], env: Mapping[str, str], within_s: float) -> Ran:
    """Run a short command and return what it printed. Raises OSError if it cannot be started.

    Past the deadline, or if cancelled, the whole process group is killed.
    """
    ear = _Ear()
    process = await Process.start(argv, env, Path("/"), ear)
    try:
        process.close_stdin()
        async with asyncio.timeout(within_s):
            await ear.exit.wait()
            await ear.silence.wait()
        return Ran(process.status, bytes(ear.out))
    except TimeoutError:
        # One that left something behind which holds its output has still said what it had to say.
        return Ran(process.status, bytes(ear.out) if ear.exit.is_set() else b"")
    finally:
        process.signal_group(signal.SIGKILL)
        await ear.exit.wait()
        process.close()


class Probe:
    """Knows the CLI. ``latest`` is what was last found (None: nothing, or not looked yet)."""

    def __init__(
        self, configured: str, environ: Mapping[str, str], child_environment: Mapping[str, str]
    ) -> None:
        self._configured = configured
        self._environ = environ
        self._child_environment = child_environment
        self._lock = asyncio.Lock()
        self._inspected_at = 0.0
        self.latest: Cli | None = None

    def change(self, configured: str, child_environment: Mapping[str, str]) -> None:
        """Look for the CLI that setting claudeBin names now, and run it in this environment."""
        self._child_environment = child_environment
        if configured != self._configured:
            self._configured, self.latest = configured, None

    @property
    def sign_in(self) -> str:
        """The command that signs in."""
        return sign_in_command(self.latest.path if self.latest else "claude", self._environ)

    async def current(self) -> Cli:
        """Return a CLI that may serve. Raises Upstream (503) when there is none."""
        cli = await self.look()
        if cli is None:
            raise Upstream(
                f"no Claude CLI found: {INSTALL_ADVICE}", status=503, code="claude_cli_missing"
            )
        if not cli.verdict.may_serve:
            raise Upstream(cli.verdict.advice, status=503, code="claude_cli_unusable")
        return cli

    async def look(self) -> Cli | None:
        """Find the CLI and its version; both are kept until the file changes. A CLI that told no
        version is asked again after a while."""
        if self.latest is not None and self._is_current(self.latest, self.latest.path):
            return self.latest
        async with self._lock:
            path = find_cli(self._configured, self._environ)
            if path is None:
                self.latest = None
            elif self.latest is None or not self._is_current(self.latest, path):
                self.latest = await self._inspect(path)
                self._inspected_at = steady_clock()
            return self.latest

    def _is_current(self, cli: Cli, path: str) -> bool:
        if cli.signature != _signature(path):
            return False
        if cli.verdict.standing is not Standing.UNREADABLE:
            return True
        # Perhaps it only stumbled: a machine that has just started is slow.
        return steady_clock() - self._inspected_at < UNREADABLE_S

    async def _inspect(self, path: str) -> Cli:
        signature = _signature(path)
        try:
            argv = (path, "--version")
            ran = await run_briefly(argv, self._child_environment, VERSION_TIMEOUT_S)
        except OSError:
            ran = Ran(None, b"")
        return Cli(path, judge_version(ran.stdout.decode("utf-8", "replace")), signature)

    async def ask_login(self, within_s: float) -> tuple[Ran, LoginAnswer] | None:
        """Run ``claude auth status``; None when there is no CLI to ask or it did not start."""
        cli = await self.look()
        if cli is None:
            return None
        try:
            argv = (cli.path, "auth", "status")
            ran = await run_briefly(argv, self._child_environment, within_s)
        except OSError:
            return None
        try:
            return ran, _login.decode(ran.stdout)
        except msgspec.DecodeError:
            return ran, LoginAnswer(loggedIn=ran.status == 0)


def _signature(path: str) -> tuple[int, ...]:
    try:
        info = os.stat(path)
    except OSError:
        return ()
    return info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size
