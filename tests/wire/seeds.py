"""The examples of the programs that ocpd stands in for, and a terminal to run them in.

What may live here: reading ``tests/golden/seeds/examples.toml``, and running what stands there.
What is expected stands in the tests.

An example runs as it stands, through ``sh`` and with the real ``curl``. Filled in is only this:

- the port behind ``127.0.0.1:`` and ``localhost:``, where it is the program's usual one (3456,
  4523);
- names in ``<>`` and ``[]``, and ``:id`` in a path, by the test;
- ``ocp`` is ocpctl, by the alias that docs/from-ocp.md gives, and ``claude-proxy`` is ocpd.

How curl shows what it got is set by its own rc file, not in the command line.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.wire.operator import find_program
from tests.wire.stage import Page

TOP = Path(__file__).parents[2]

ALIAS = "alias ocp=ocpctl"

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")

_USUAL_PORT = re.compile(r"(?<=127\.0\.0\.1:)3456|(?<=localhost:)(?:3456|4523)")


class Example(msgspec.Struct, frozen=True):
    """One command line or program. ``of`` is whose."""

    name: str
    of: str
    run: str

    @property
    def has_key(self) -> bool:
        """Whether it brings one."""
        return "Authorization" in self.run

    @property
    def changes(self) -> bool:
        """Whether it wants something changed."""
        return " -X PATCH " in self.run or " -X DELETE " in self.run


class Examples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them."""

    curl: list[Example]
    python: list[Example]
    text: dict[str, str]
    models: dict[str, list[str]]
    routes: dict[str, list[str]]
    commands: dict[str, list[str]]
    environment: dict[str, str]
    defaults: dict[str, dict[str, str]]

    def curl_of(self, name: str) -> Example:
        """The command line of that name."""
        (found,) = (example for example in self.curl if example.name == name)
        return found

    def variables(self, *names: str) -> dict[str, str]:
        """What these environments set together."""
        words = " ".join(self.environment[name] for name in names)
        return dict(word.split("=", 1) for word in shlex.split(words))


EXAMPLES = msgspec.convert(
    tomllib.loads((TOP / "tests/golden/seeds/examples.toml").read_text()), Examples
)


class NotYet(NamedTuple):
    """An example that does not run, and why."""

    example: str
    reason: str


class Terminal:
    """A shell of somebody on the daemon's machine."""

    def __init__(self, folder: Path, port: int, socket: str = "", **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port = port
        self._headers = folder / "headers"
        (folder / ".curlrc").write_text(
            f'silent\nshow-error\nmax-time = 30\ndump-header = "{self._headers}"\n'
        )
        programs = folder / "programs"
        programs.mkdir(exist_ok=True)
        write_program(programs / "ocpctl", *find_program())
        self.environ = {
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "OCPD_SOCKET": socket,
            **environ,
        }

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run one command line to its end, whatever that is."""
        return self._finish(["sh", "-c", f"{ALIAS}\n{self.fill_in(command)}"])

    def run_python(self, program: str) -> subprocess.CompletedProcess[str]:
        """The same of a program in Python."""
        return self._finish([sys.executable, "-c", self.fill_in(program)])

    def curl(self, command: str) -> Page:
        """What the command line was answered."""
        done = self.run(command)
        assert (done.returncode, done.stderr) == (0, ""), done
        first, *lines = self._headers.read_text().splitlines()
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        told = {name.lower(): value for name, value in headers.items()}
        return Page(int(first.split()[1]), told, done.stdout.encode())

    def fill_in(self, text: str) -> str:
        """``text`` with the daemon's port."""
        return _USUAL_PORT.sub(str(self._port), text)

    def _finish(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, env=self.environ, capture_output=True, text=True, timeout=60, check=False
        )


def write_program(path: Path, *words: str) -> None:
    """Write a program that runs these words with what it is given."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    path.chmod(0o755)


def replace(text: str, names: Mapping[str, str]) -> str:
    """``text`` with each of these names filled in; each must stand there."""
    for name, value in names.items():
        assert name in text, (name, text)
        text = text.replace(name, value)
    return text


def wait_for(example: str, page: Page, not_yet: tuple[NotYet, ...]) -> None:
    """What is not built yet may be missing; once it is there, it must be right."""
    reasons = dict(not_yet)
    if page.status == 404 and example in reasons:
        pytest.xfail(reasons[example])
