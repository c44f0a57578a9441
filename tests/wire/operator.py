"""An operator with ocpctl, and a stranger with another uid.

What may live here: running the real program against a daemon's socket, reading what it says, and
asking on a Unix socket by hand. What is expected stands in the tests.
"""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.wire.stage import Page, body_of, fetch

TOP = Path(__file__).parents[2]
FROZEN = TOP / "dist/ocpctl/ocpctl"
NOBODY = 65534

_MAIN = f"import sys; sys.path.insert(0, {str(TOP)!r}); from ocpctl.__main__ import main; "
SOURCE = (sys.executable, "-I", "-c", f"{_MAIN}sys.exit(main())")

_AS_NOBODY = """\
import json, os, socket, sys
path, request = sys.argv[1], sys.argv[2].encode()
os.setgroups([])
os.setgid({nobody})
os.setuid({nobody})
with socket.socket(socket.AF_UNIX) as asking:
    try:
        asking.connect(path)
    except PermissionError:
        sys.exit("kept out")
    asking.sendall(request)
    while data := asking.recv(65536):
        sys.stdout.buffer.write(data)
"""


def find_program() -> tuple[str, ...]:
    """The frozen ocpctl, if it is there and no older than its source; else the source."""
    if FROZEN.exists():
        newest = max(path.stat().st_mtime for path in (TOP / "ocpctl").rglob("*.py"))
        if FROZEN.stat().st_mtime >= newest:
            return (str(FROZEN),)
    return SOURCE


class Operator:
    """Somebody at a terminal of the daemon's machine."""

    def __init__(self, socket_path: str, home: Path) -> None:
        self.environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "OCPD_SOCKET": socket_path,
            "LANG": "C.UTF-8",
        }
        self.program = find_program()

    def run(
        self, *argv: str, typed: str = "", environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ocpctl to its end, whatever that is."""
        return subprocess.run(
            [*self.program, *argv],
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**self.environ, **(environ or {})},
        )

    def does(self, *argv: str, typed: str = "") -> str:
        """What ocpctl prints; it must succeed and have nothing to remark."""
        done = self.run(*argv, typed=typed)
        assert (done.returncode, done.stderr) == (0, ""), (argv, done)
        return done.stdout

    def fails(self, *argv: str, code: int = 1, typed: str = "") -> str:
        """What ocpctl remarks when it fails, as it must."""
        done = self.run(*argv, typed=typed)
        assert done.returncode == code, (argv, done)
        assert "Traceback" not in done.stderr
        return done.stderr

    def told(self, *argv: str, typed: str = "") -> dict[str, Any]:
        """The answer as programs get it."""
        return msgspec.json.decode(self.does("--json", *argv, typed=typed), type=dict[str, Any])

    def add_key(self, name: str, *more: str) -> str:
        """Make a key; returns its secret."""
        secret: str = self.told("keys", "add", name, *more)["key"]
        return secret

    def audit(self) -> list[dict[str, Any]]:
        """Every change that was written down, oldest first."""
        entries: list[dict[str, Any]] = self.told("audit")["entries"]
        return entries


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def ask_unix(
    path: str, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Page:
    """One HTTP request over a Unix socket."""
    connection = _UnixConnection(path)
    try:
        connection.request(method, target, body or None, dict(headers or {}))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Page(response.status, found, response.read())
    finally:
        connection.close()


def ask_as_nobody(path: str, method: str, target: str) -> subprocess.CompletedProcess[str]:
    """The same from a process of another user; its stdout is the raw answer. Needs root."""
    request = f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    return subprocess.run(
        [sys.executable, "-I", "-c", _AS_NOBODY.format(nobody=NOBODY), path, request],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def ask_with(port: int, token: str, asked: str = "hello", **more: Any) -> Page:
    """One chat request over TCP with ``token``."""
    return fetch(
        port, "POST", "/v1/chat/completions", body_of(asked, **more), bearer(token, json=True)
    )


def bearer(token: str, *, json: bool = False) -> dict[str, str]:
    """The headers that carry ``token``."""
    kind = {"content-type": "application/json"} if json else {}
    return {"authorization": f"Bearer {token}", **kind}


def names_of(rows: Sequence[Mapping[str, Any]], field: str = "name") -> list[str]:
    """One field of each row."""
    return [row[field] for row in rows]
