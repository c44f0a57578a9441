"""The service hangs, restarts and sleeps: what systemd does then."""

import threading

import pytest

from tests.packages.machine import wait_until

TIME_LIMIT_S = 180


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_replaced(installed):
    assert installed.show("WatchdogUSec") == "30s"
    # The same watchdog, in a hurry.
    installed.drop_in("ocpd.service", "[Service]\nWatchdogSec=3\nRestartSec=100ms\n")
    installed.systemctl("restart", "ocpd")
    before = installed.main_pid()
    installed.container.check("kill", "-STOP", before)
    wait_until(lambda: installed.show("NRestarts") != "0", 40, "the restart")
    wait_until(lambda: installed.show("ActiveState") == "active", 20, "the new one")
    assert installed.main_pid() != before
    assert "Watchdog timeout" in installed.container.journal()
    assert installed.health()["status"]


def test_a_daemon_that_works_is_left_alone_by_the_watchdog(installed):
    installed.drop_in("ocpd.service", "[Service]\nWatchdogSec=1\n")
    installed.systemctl("restart", "ocpd")
    before = installed.main_pid()
    # Several of its periods, of which the service itself tells the length.
    started = float(installed.health()["uptime"])
    wait_until(lambda: installed.health().get("uptime", 0) - started > 3500, 30, "3.5 s of uptime")
    assert installed.main_pid() == before
    assert installed.show("NRestarts") == "0"


def test_with_sockets_the_first_request_starts_it(installed):
    _use_sockets(installed)
    assert not installed.is_active()
    assert installed.fetch("GET", "/health").status == 200
    assert installed.is_active()


def test_with_sockets_no_connection_is_refused_while_it_restarts(installed):
    _use_sockets(installed)
    with _Visitors(installed) as visitors:
        for _ in range(3):
            visitors.wait_for_more(5)
            installed.systemctl("restart", "ocpd")
        visitors.wait_for_more(5)
    assert not visitors.failures


def test_with_sockets_another_port_is_refused_with_commands_that_bring_it(installed):
    _use_sockets(installed)
    told = installed.ocpctl("settings", "port", "4000")
    assert told.returncode != 0
    assert "systemctl edit ocpd.socket" in told.stdout
    lines = told.stdout.partition("with the lines ")[2].partition("; then: ")
    # As told: the lines, and then the commands.
    installed.drop_in("ocpd.socket", "\n".join(lines[0].split(" / ")))
    for command in lines[2].strip().split("; "):
        installed.container.check(*command.split())
    assert "http://127.0.0.1:4000\n" in installed.ocpctl("status").stdout
    assert installed.is_active("ocpd-admin.socket")


@pytest.mark.parametrize("word", ["stop", "restart"])
def test_with_sockets_ocpctl_finds_its_socket_after_the_service_stopped(installed, word):
    _use_sockets(installed)
    installed.container.check("ocpctl", "keys")
    installed.systemctl(word, "ocpd")
    installed.container.check("ocpctl", "keys")
    assert installed.is_active()


def test_it_comes_back_when_the_machine_kills_it(installed):
    before = installed.main_pid()
    installed.container.check("kill", "-KILL", before)
    wait_until(lambda: installed.main_pid() not in (before, "0"), 30, "the new one")
    wait_until(installed.health, 10, "an answer")


def test_ocpctl_restart_has_systemd_do_it_and_names_the_new_process(installed):
    before = installed.main_pid()
    done = installed.ocpctl("restart")
    assert done.returncode == 0, done.stdout
    assert installed.main_pid() not in (before, "0")
    assert installed.health()["pid"] == int(installed.main_pid())
    assert installed.show("NRestarts") == "0"


def _use_sockets(machine):
    machine.systemctl("disable", "--now", "ocpd.service")
    machine.systemctl("enable", "--now", "ocpd.socket", "ocpd-admin.socket")


class _Visitors:
    """Somebody who comes again and again, until the block is left."""

    def __init__(self, machine):
        self._machine = machine
        self._enough = threading.Event()
        self._served = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._visit, name="kit-visitors")
        self.failures = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._enough.set()
        self._thread.join()

    def wait_for_more(self, count):
        """Wait until ``count`` more have been served."""
        for _ in range(count):
            assert self._served.acquire(timeout=20), self.failures

    def _visit(self):
        while not self._enough.is_set() and len(self.failures) < 5:
            try:
                status = self._machine.fetch("GET", "/health").status
            except OSError as error:
                status = error
            if status != 200:
                self.failures.append(status)
            self._served.release()
