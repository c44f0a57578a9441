"""A fake daemon, ocpctl in this process, and fake programs on PATH."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ocpctl import cli
from tests.unit.ocpctl.fake_daemon import FakeDaemon
from tests.unit.ocpctl.machine import Machine, Programs


class Said(NamedTuple):
    """What ocpctl answered."""

    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """A stdin or stdout that people sit at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _no_socket_but_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OCPD_SOCKET", "OCPD_STATE_DIR", "OCPD_ADMIN_KEY", "SUDO_UID", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
        (tmp_path / name.lower()).mkdir()


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """A daemon on the socket that OCPD_SOCKET names."""
    with FakeDaemon(tmp_path / "ocpd.sock") as running:
        monkeypatch.setenv("OCPD_SOCKET", str(running.path))
        yield running


@pytest.fixture
def ctl(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs ocpctl in this process."""

    def run(*argv: str) -> Said:
        capsys.readouterr()
        code = cli.run(argv)
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Types a text at the terminal, for questions."""
    return lambda text: monkeypatch.setattr("sys.stdin", Terminal(text))


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Pipes a text into stdin, where there is no terminal."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Fake programs instead of those of this machine."""
    fakes = Programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(fakes.folder))
    return fakes


@pytest.fixture
def machine(programs: Programs, tmp_path: Path) -> Machine:
    """A machine whose service managers are fakes."""
    return Machine(programs, tmp_path / "state")


def is_root() -> bool:
    """Root may open and become everything: some tests need it, others cannot use it."""
    return os.geteuid() == 0
