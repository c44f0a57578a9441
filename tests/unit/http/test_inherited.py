"""Sockets that were passed to us: taken if they are meant for us, told apart, and kept to us."""

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpd.http.inherited import Inherited, take_sockets
from ocpd.settings.knob import SettingsError

FIRST = 200
"""Where a test passes them: the usual places are taken."""


def environ_of(count: int, **more: str) -> dict[str, str]:
    told = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "a:b"}
    return {"PATH": "/bin", **told, **more}


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """Passes on a TCP and a Unix socket."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        for number, each in enumerate((tcp, unix), FIRST):
            os.dup2(each.fileno(), number)
        yield [tcp, unix]


def close(inherited: Inherited) -> None:
    for each in (*inherited.tcp, *inherited.unix):
        each.close()


def test_they_are_told_apart_and_kept_to_us(passed: list[socket.socket], tmp_path: Path) -> None:
    environ = environ_of(2, LISTEN_FDNAMES="my-ocpd.socket:web")
    found = take_sockets(environ, FIRST)
    assert environ == {"PATH": "/bin"}
    (tcp,), (unix,) = found.tcp, found.unix
    assert tcp.getsockname() == passed[0].getsockname()
    assert found.path == unix.getsockname() == str(tmp_path / "s")
    assert found.unit is not None
    assert found.unit.name == "my-ocpd.socket"
    assert found.unit.addresses == (passed[0].getsockname(),)
    for each in (tcp, unix):
        assert fcntl.fcntl(each.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    close(found)


@pytest.mark.parametrize(
    "more", [{"LISTEN_PID": "1"}, {"LISTEN_PID": ""}, {"LISTEN_FDS": ""}, {"LISTEN_FDS": "-1"}]
)
def test_what_is_not_meant_for_us_is_left_alone(more: dict[str, str]) -> None:
    environ = environ_of(2, **more)
    found = take_sockets(environ, FIRST)
    assert (found.tcp, found.unix, found.unit, found.path) == ((), (), None, None)
    assert environ == {"PATH": "/bin"}


def test_without_tcp_sockets_addresses_are_ours_to_choose(passed: list[socket.socket]) -> None:
    os.close(FIRST)
    found = take_sockets(environ_of(1), FIRST + 1)
    assert found.unit is None
    assert found.path is not None
    assert found.name == "ocpd.socket"
    close(found)


def test_a_socket_without_a_file_is_spelled_as_others_do() -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0ocpd-test-{os.getpid()}")
        assert Inherited(unix=(unix,)).path == f"@ocpd-test-{os.getpid()}"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_what_does_not_listen_is_refused(kind: socket.SocketKind) -> None:
    with socket.socket(type=kind) as odd:
        os.dup2(odd.fileno(), FIRST)
        with pytest.raises(SettingsError, match=f"LISTEN_FDS: descriptor {FIRST} cannot be used"):
            take_sockets(environ_of(1), FIRST)
        os.close(FIRST)


def test_a_descriptor_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="Bad file descriptor"):
        take_sockets(environ_of(1), FIRST)


ADMIN = "ocpd-admin.socket:ocpd.socket"


def swap(passed: list[socket.socket]) -> None:
    for number, each in enumerate(reversed(passed), FIRST):
        os.dup2(each.fileno(), number)


def test_each_socket_has_the_name_of_its_own_unit(
    passed: list[socket.socket], tmp_path: Path
) -> None:
    swap(passed)
    cgroup = tmp_path / "cgroup"
    cgroup.write_text("0::/system.slice/ocpd.service\n")
    found = take_sockets(environ_of(2, LISTEN_FDNAMES=ADMIN), FIRST, cgroup)
    unit = found.unit
    assert unit is not None
    assert (unit.name, unit.paths, unit.service) == ("ocpd.socket", (), "ocpd.service")
    assert found.path == str(tmp_path / "s")
    close(found)


def test_a_unit_with_both_keeps_its_unix_socket(
    passed: list[socket.socket], tmp_path: Path
) -> None:
    found = take_sockets(environ_of(2, LISTEN_FDNAMES="ocpd.socket:ocpd.socket"), FIRST)
    assert found.unit is not None
    assert found.unit.paths == (str(tmp_path / "s"),)
    close(found)


@pytest.mark.parametrize(
    ("text", "service", "is_users"),
    [
        ("0::/system.slice/system-ocpd.slice/ocpd@guest.service\n", "ocpd@guest.service", False),
        ("1:name=systemd:/system.slice/ocpd.service\n0::/\n", "ocpd.service", False),
        ("0::/user.slice/user@7.service/app.slice/mine.service\n", "mine.service", True),
        ("0::/user.slice/user@7.service/app.slice/some.scope\n", "web.service", False),
        ("0::/init.scope\n", "web.service", False),
        (None, "web.service", False),
    ],
)
def test_the_service_that_runs_us_is_the_kernels_word(
    passed: list[socket.socket], tmp_path: Path, text: str | None, service: str, is_users: bool
) -> None:
    cgroup = tmp_path / "cgroup"
    if text is not None:
        cgroup.write_text(text)
    found = take_sockets(environ_of(2, LISTEN_FDNAMES="web.socket:x.socket"), FIRST, cgroup)
    assert found.unit is not None
    assert (found.unit.service, found.unit.is_users) == (service, is_users)
    close(found)


def test_a_name_that_is_no_units_is_not_told_as_one(
    passed: list[socket.socket], tmp_path: Path
) -> None:
    (tmp_path / "cgroup").write_text("0::/system.slice/ocpd@guest.service\n")
    found = take_sockets(environ_of(2, LISTEN_FDNAMES="http:admin"), FIRST, tmp_path / "cgroup")
    assert found.name == "ocpd@guest.socket"
    close(found)
