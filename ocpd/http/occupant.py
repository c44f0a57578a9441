"""Who holds a TCP port: for the one message that matters when it is taken.

What may live here: looking it up in /proc. Elsewhere, or without the rights, nobody is named.
"""

import contextlib
import os
from pathlib import Path

LISTEN = "0A"
"""TCP_LISTEN in /proc/net/tcp."""


def find_occupant(port: int, proc: Path = Path("/proc")) -> str | None:
    """Return "name (pid 123)" of the process that listens on ``port``, None if it cannot be
    told."""
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in proc.glob("[0-9]*"):
        if _holds(process, wanted):
            with contextlib.suppress(OSError):
                name = (process / "comm").read_text().strip()
                return f"{name} (pid {process.name})"
    return None


def _listening_inodes(port: int, proc: Path) -> set[str]:
    found: set[str] = set()
    for table in ("net/tcp", "net/tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


def _holds(process: Path, wanted: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(descriptor) in wanted:
                    return True
    return False
