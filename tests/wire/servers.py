"""MCP servers for tests: the file that names them, and the processes that run them.

What may live here: writing the one, finding the others. The program is ``tests.kit.mcp_server``.
"""

import re
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.kit import mcp_server
from tests.kit.leaks import is_alive

WITHIN_S = 10.0

_TOLD_HERE = re.compile(r"\w+ of \d+ with [0-9a-f]{16}: \{.*\}")


class Pids:
    """The processes that servers leave word of in ``folder``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def all(self) -> set[int]:
        """Every one that was started."""
        return {int(path.name) for path in self.folder.iterdir()}

    def running(self) -> set[int]:
        """Those that run now."""
        return {pid for pid in self.all() if is_alive(pid)}

    def wait_running(self, count: int) -> set[int]:
        """Wait until ``count`` are left; return them. Raises TimeoutError."""
        deadline = time.monotonic() + WITHIN_S
        waiting = threading.Event()
        while len(found := self.running()) != count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} servers run, not {count}")
            waiting.wait(0.01)
        return found


def here(*told: str) -> bool:
    """Whether these are answers of such servers."""
    return all(_TOLD_HERE.fullmatch(text) for text in told)


def server(*tools: str, **environment: str) -> dict[str, Any]:
    """The entry of a server with these tools."""
    return {
        "command": sys.executable,
        "args": ["-I", str(mcp_server.__file__), ",".join(tools)],
        "env": environment,
    }


def write_servers(path: Path, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a file of servers as the daemon takes it; return its path."""
    path.touch(0o600)
    path.write_bytes(msgspec.json.encode({"mcpServers": entries}))
    return str(path)
