"""What a test left behind: processes, threads, open files.

What may live here: looking at this process and its family through /proc, before and after. The
fixture that does so around every test is in ``tests/conftest.py``.
"""

import gc
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

_LOOK_EVERY_S = 0.01
# Files that libraries open once and keep: a log, a database of time zones, a random device.
_TOLERATED_FILES = 3
# The kernel's number for it in /proc/net/tcp.
_LISTENING = "0A"


class Snapshot(Struct, frozen=True):
    """What there was at one moment: process ids, thread names by id, targets by descriptor."""

    processes: frozenset[int]
    threads: Mapping[int, str]
    files: Mapping[int, str]


def take_snapshot() -> Snapshot:
    """What there is now. ``processes`` are all on the machine, to know the new ones later."""
    return Snapshot(
        processes=frozenset(_all_processes()),
        threads=_threads(),
        files=_files(),
    )


def leaks_since(before: Snapshot, *, within_s: float, marks: tuple[str, ...] = ()) -> list[str]:
    """One line for each thing that is new since ``before`` and does not go away ``within_s``.

    New are: descendants of this process (zombies too), processes anywhere whose command line,
    working directory or environment contains one of ``marks`` (orphans of this test run),
    non-daemon threads, sockets and pipes, and more than a few other open files. A connection that
    a listener older than ``before`` has accepted is not new: its fixture outlives the test.
    """
    deadline = time.monotonic() + within_s
    collected = False
    waiting = threading.Event()
    while found := _new_since(before, marks):
        if not collected:
            # A socket in a reference cycle is closed when the cycle goes.
            gc.collect()
            collected = True
        elif time.monotonic() > deadline:
            break
        else:
            waiting.wait(_LOOK_EVERY_S)
    return found


def _new_since(before: Snapshot, marks: tuple[str, ...]) -> list[str]:
    family = descendants(os.getpid())
    processes = family - before.processes
    strangers = set(_all_processes()) - before.processes - processes - {os.getpid()}
    orphans = {pid for pid in strangers if _is_marked(pid, marks)}
    lines = [f"process {_describe(pid)}" for pid in sorted(processes | orphans)]
    threads = _threads()
    lines += [f"thread {threads[at]}" for at in threads.keys() - before.threads.keys()]
    return lines + _new_files(before)


def _new_files(before: Snapshot) -> list[str]:
    found = {
        f"open file {at}: {target}"
        for at, target in _files().items()
        if before.files.get(at) != target
    }
    endings = {line for line in found if "socket:" in line or "pipe:" in line}
    others = found - endings
    if any("socket:" in line for line in endings):
        accepted = tuple(_accepted_since(before))
        endings = {line for line in endings if not line.endswith(accepted)}
    return sorted(endings | others if len(others) > _TOLERATED_FILES else endings)


def _accepted_since(before: Snapshot) -> Iterator[str]:
    """Sockets of listeners that are older than the test: those look after them, not the test."""
    sockets = [line.split() for line in _read(os.getpid(), "net/tcp").splitlines()[1:]]
    older = set(before.files.values())
    ports = {
        fields[1].rpartition(":")[2]
        for fields in sockets
        if fields[3] == _LISTENING and f"socket:[{fields[9]}]" in older
    }
    for fields in sockets:
        if fields[1].rpartition(":")[2] in ports:
            yield f"socket:[{fields[9]}]"


def descendants(pid: int) -> frozenset[int]:
    """Every process below ``pid``, zombies included."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        children = _children(waiting.pop())
        found |= children
        waiting += children
    return frozenset(found)


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs: neither gone nor a zombie."""
    return _state(pid) not in {"", "Z", "X"}


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        found |= set(map(int, _read(pid, f"task/{thread}/children").split()))
    return found


def _threads() -> dict[int, str]:
    return {
        id(thread): f"{thread.name} ({thread.ident})"
        for thread in threading.enumerate()
        if not thread.daemon
    }


def _files() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _is_marked(pid: int, marks: tuple[str, ...]) -> bool:
    if not marks or not is_alive(pid):
        return False
    try:
        folder = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    about = f"{folder}\0{_read(pid, 'cmdline')}\0{_read(pid, 'environ')}"
    return any(mark in about for mark in marks)


def _describe(pid: int) -> str:
    command = _read(pid, "cmdline").replace("\0", " ").strip() or _read(pid, "comm").strip()
    zombie = " (a zombie: nobody waited for it)" if _state(pid) == "Z" else ""
    return f"{pid}: {command[:200]}{zombie}"


def _state(pid: int) -> str:
    # The name before it may hold blanks and brackets.
    return _read(pid, "stat").rpartition(") ")[2][:1]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
