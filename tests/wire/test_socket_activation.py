"""Sockets that a service manager listens on: served, left alone, and nobody who comes to them is
refused, also while ocpd is restarted."""

import contextlib
import http.client
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.fake_script import Answer, make_fake_cli
from tests.wire.operator import Operator
from tests.wire.process import Ocpd, environ_of, run
from tests.wire.stage import family_of, fetch


class Manager:
    """Listens as systemd would, and starts ocpd with what it has."""

    def __init__(self, folder: Path) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.path = folder / "s"
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(self.path))
        self.unix.listen()
        self.path.chmod(0o640)
        self.environ = environ_of(
            folder / "home", make_fake_cli(folder / "bin", Answer(("one", "two"), delay_s=0.5))
        )
        del self.environ["OCPD_PORT"]

    @property
    def port(self) -> int:
        number: int = self.tcp.getsockname()[1]
        return number

    @property
    def sockets(self) -> list[socket.socket]:
        return [self.tcp, self.unix]

    def start(self, **more: str) -> Ocpd:
        return Ocpd(self.environ | more, sockets=self.sockets)

    def close(self) -> None:
        self.tcp.close()
        self.unix.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.close()


def test_it_serves_where_the_manager_listens_and_leaves_its_file_alone(
    manager: Manager, tmp_path: Path
) -> None:
    before = manager.path.stat()
    with manager.start() as ocpd:
        assert ocpd.port == manager.port
        assert f"--socket {manager.path} status" in "\n".join(ocpd.greeting())
        url = f"http://127.0.0.1:{manager.port}"
        assert fetch(manager.port, "GET", "/health").json()["urls"] == [url]
        operator = Operator(str(manager.path), tmp_path)
        assert url in operator.run("status").stdout
        ocpd.signal(signal.SIGTERM)
        assert ocpd.wait_end().code == 0
    after = manager.path.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert stat.S_ISSOCK(after.st_mode)


def test_its_children_know_nothing_of_the_sockets(manager: Manager) -> None:
    inodes = {os.fstat(each.fileno()).st_ino for each in manager.sockets}
    with manager.start() as ocpd, ocpd.call("hello", stream=True) as caller:
        caller.read_until(b"one")
        (child, *_) = family_of(ocpd.process.pid)
        environ = Path(f"/proc/{child}/environ").read_bytes()
        assert b"LISTEN_" not in environ
        held = {os.stat(each).st_ino for each in Path(f"/proc/{child}/fd").iterdir()}
        assert not held & inodes
        caller.read_until(b"[DONE]")


def test_several_ports_and_a_socket_without_a_file_are_all_served(
    manager: Manager, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as second, socket.socket(socket.AF_UNIX) as bare:
        bare.bind(f"\0ocpd-test-{os.getpid()}")
        bare.listen()
        with Ocpd(manager.environ, sockets=[manager.tcp, second, bare]) as ocpd:
            door = f"@ocpd-test-{os.getpid()}"
            assert f"--socket {door} status" in "\n".join(ocpd.greeting())
            urls = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in (manager.tcp, second)]
            for each in (manager.tcp, second):
                page = fetch(each.getsockname()[1], "GET", "/health")
                assert page.json()["urls"] == urls
            told = Operator(door, tmp_path).run("status")
            assert all(url in told.stdout for url in urls), told


def test_what_the_unit_leaves_out_is_opened_by_ocpd(manager: Manager, tmp_path: Path) -> None:
    with Ocpd(manager.environ, sockets=[manager.tcp]) as ocpd:
        assert ocpd.port == manager.port
        told = Operator(manager.environ["OCPD_SOCKET"], tmp_path).run("status")
        assert f":{manager.port}" in told.stdout
    with Ocpd(manager.environ | {"OCPD_PORT": "0"}, sockets=[manager.unix]) as ocpd:
        told = Operator(str(manager.path), tmp_path).run("status")
        assert f":{ocpd.port}" in told.stdout


def test_another_address_is_the_socket_unit_s_to_choose(manager: Manager, tmp_path: Path) -> None:
    with manager.start() as ocpd:
        assert ocpd.port == manager.port
        operator = Operator(str(manager.path), tmp_path)
        told = operator.fails("settings", "bind", "0.0.0.0,::")
        for words in (
            "systemctl edit ocpd.socket",
            f"[Socket] / ListenStream= / ListenStream=0.0.0.0:{manager.port}",
            f" / ListenStream=[::]:{manager.port} / ListenStream={manager.path}",
        ):
            assert words in told
        told = operator.fails("settings", "port", "4711")
        assert "ListenStream=127.0.0.1:4711" in told
        assert fetch(manager.port, "GET", "/health").status == 200
        # What is so already is no change.
        operator.does("settings", "port", str(manager.port))
        assert "systemd's socket unit" in operator.does("settings", "--explain", "bind")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"OCPD_BIND": "0.0.0.0"}, "OCPD_BIND: bind cannot be 0.0.0.0"),
        ({"CLAUDE_PROXY_PORT": "1"}, "CLAUDE_PROXY_PORT: port cannot be 1"),
    ],
)
def test_a_setting_that_wants_another_address_ends_it_with_78(
    manager: Manager, more: dict[str, str], named: str
) -> None:
    ended = run(manager.environ | more, sockets=manager.sockets)
    assert (ended.code, ended.stdout) == (78, "")
    assert named in ended.stderr
    assert "systemctl edit ocpd.socket" in ended.stderr


def test_an_address_that_others_reach_is_warned_of_whoever_chose_it(
    manager: Manager, tmp_path: Path
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as wide:
        with Ocpd(manager.environ, sockets=[wide]) as ocpd:
            assert "bind is 0.0.0.0" in ocpd.wait_logged("door_is_open")["warning"]
        ended = run(manager.environ | {"OCPD_ALLOWED_TOOLS": "Read"}, sockets=[wide])
        assert (ended.code, "allowedTools: not with bind" in ended.stderr) == (78, True)


def test_a_descriptor_that_is_no_listening_socket_ends_it_with_78(manager: Manager) -> None:
    with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for wrong in (idle, datagrams):
            ended = run(manager.environ, sockets=[wrong])
            assert ended.code == 78
            assert "LISTEN_FDS: descriptor 3 cannot be used" in ended.stderr


def test_sockets_that_are_meant_for_another_process_are_none_of_its_business(
    manager: Manager,
) -> None:
    more = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "OCPD_PORT": "0"}
    with Ocpd(manager.environ | more) as ocpd:
        assert ocpd.get("/health").status == 200


# A restart...


def test_a_stream_ends_in_the_old_process_and_who_comes_meanwhile_waits_for_the_new_one(
    manager: Manager,
) -> None:
    with manager.start() as old, old.call("hello", stream=True) as caller:
        caller.read_until(b"one")
        old.signal(signal.SIGTERM)
        old.wait_logged("daemon_draining")
        with socket.create_connection(("127.0.0.1", manager.port), 20) as waits:
            waits.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            caller.read_all()
            assert caller.seen.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            assert old.wait_end().code == 0
            with manager.start() as new:
                assert waits.recv(65_536).startswith(b"HTTP/1.1 200 ")
                assert new.port == manager.port


@pytest.mark.parametrize("is_tls", [False, True])
def test_nobody_is_refused_while_it_is_restarted_again_and_again(
    manager: Manager, tmp_path: Path, is_tls: bool
) -> None:
    done = threading.Event()
    seen: list[object] = []
    trusting = None
    if is_tls:
        authority = Authority(tmp_path / "authority")
        pair, trusting = authority.issue(), authority.trusting()
        manager.environ["OCPD_TLS_CERTIFICATE"] = str(pair.certificate)
        manager.environ["OCPD_TLS_KEY"] = str(pair.key)

    def ask() -> int:
        if trusting is None:
            return fetch(manager.port, "GET", "/health").status
        connection = http.client.HTTPSConnection(
            "127.0.0.1", manager.port, timeout=30, context=trusting
        )
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            return connection.getresponse().status

    def keep_asking() -> None:
        while not done.is_set():
            try:
                seen.append(ask())
            except Exception as error:  # noqa: BLE001 - whatever a caller would see
                seen.append(error)

    callers = [threading.Thread(target=keep_asking) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(3):
            with manager.start() as ocpd:
                ocpd.wait_logged("daemon_ready")
                wanted = len(seen) + 20
                wait_for(lambda: len(seen) > wanted)  # noqa: B023 - called at once
                ocpd.signal(signal.SIGTERM)
                assert ocpd.wait_end().code == 0
        with manager.start() as ocpd:
            ocpd.wait_logged("daemon_ready")
            done.set()
            for caller in callers:
                caller.join()
    finally:
        done.set()
    assert set(seen) == {200}


def wait_for(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        threading.Event().wait(0.01)
    raise AssertionError("that took longer than 20 s")
