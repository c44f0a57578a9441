"""Who listens on a TCP port of this machine.

What may live here: looking it up, in /proc or with lsof.
"""

from __future__ import annotations

import os

from ocpctl.fields import clean_text
from ocpctl.runner import has_program, run_quietly

_LISTEN = "0A"


class Holder:
    """A process that listens. ``pid`` is 0 and ``name`` "" if it is not ours to see."""

    __slots__ = ("name", "pid")

    def __init__(self, pid: int, name: str) -> None:
        self.pid = pid
        self.name = name

    def __str__(self) -> str:
        return f"{self.name or 'a program'} (pid {self.pid})" if self.pid else "?"


def find_holders(port: int, proc: str = "/proc") -> list[Holder] | None:
    """Return who listens on ``port``; None if that cannot be found out here."""
    if os.path.exists(f"{proc}/net/tcp"):
        return _look_in_proc(port, proc)
    return _ask_lsof(port) if has_program("lsof") else None


def _look_in_proc(port: int, proc: str) -> list[Holder]:
    wanted = {f"socket:[{inode}]" for inode in _listening(port, proc)}
    if not wanted:
        return []
    pids = (name for name in os.listdir(proc) if name.isdecimal())
    found = [Holder(int(pid), _name_of(pid, proc)) for pid in pids if _holds(pid, wanted, proc)]
    return found or [Holder(0, "")]


def _listening(port: int, proc: str) -> set[str]:
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            with open(f"{proc}/net/{table}", encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue
        for row in rows:
            if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port:
                found.add(row[9])
    return found


def _holds(pid: str, wanted: set[str], proc: str) -> bool:
    folder = f"{proc}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"{folder}/{name}") in wanted:
                return True
        except OSError:
            continue
    return False


def _name_of(pid: str, proc: str) -> str:
    try:
        with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return clean_text(file.read().strip())
    except OSError:
        return ""


def _ask_lsof(port: int) -> list[Holder]:
    done = run_quietly(["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"])
    found: list[Holder] = []
    for line in done.output.splitlines():
        if line[:1] == "p" and line[1:].isdecimal():
            found.append(Holder(int(line[1:]), ""))
        elif line[:1] == "c" and found:
            found[-1].name = clean_text(line[1:])
    return found
