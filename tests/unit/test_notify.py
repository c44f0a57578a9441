"""Promise: the service manager hears what is so, no more often than it changes, and only if it is
there."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpd.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "n"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        yield listening


def told(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(4096).decode())
        except BlockingIOError:
            return found


def test_a_status_is_told_when_it_changes(manager: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready("a")
    for status in ("a", "b", "b", "c"):
        notifier.alive(status)
    assert told(manager) == ["READY=1\nSTATUS=a", "STATUS=b", "STATUS=c"]
    notifier.close()


def test_a_watchdog_hears_every_beat_and_a_stop_asks_for_time(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = Notifier()
    assert notifier.watchdog_s == 2.0
    notifier.stopping("stopping")
    notifier.alive("stopping")
    notifier.alive("stopping; 1 turn running", 30)
    assert told(manager) == [
        "STOPPING=1\nSTATUS=stopping",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=stopping; 1 turn running\nEXTEND_TIMEOUT_USEC=30000000",
    ]
    notifier.close()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
    ],
)
def test_a_watchdog_that_is_not_meant_for_us_is_none(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    notifier = Notifier()
    assert notifier.is_heard
    assert notifier.watchdog_s is None
    notifier.close()


def test_a_manager_that_has_no_time_holds_nobody_up(manager: socket.socket) -> None:
    notifier = Notifier()
    for number in range(10_000):
        notifier.alive(f"{number}")
    assert told(manager)
    notifier.alive("9999")
    notifier.alive("9999")
    assert told(manager) == ["STATUS=9999"]
    notifier.close()


# The package leaves the socket that it could not connect to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_manager_that_is_gone_is_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    notifier = Notifier()
    # Else nobody would hear anything: the person at the terminal is not greeted then.
    assert not notifier.is_heard
    notifier.ready("a")
    notifier.alive("b")
    notifier.close()


def test_a_manager_without_a_file_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0ocpd-notify-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@ocpd-notify-{os.getpid()}")
        notifier = Notifier()
        notifier.ready("a")
        assert listening.recv(100) == b"READY=1\nSTATUS=a"
        notifier.close()


def test_without_a_manager_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    notifier = Notifier()
    assert not notifier.is_heard
    assert notifier.watchdog_s is None
    notifier.ready("a")
    notifier.alive("b", 1)
    notifier.close()
