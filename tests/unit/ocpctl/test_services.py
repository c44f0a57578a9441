"""Which service manager is the daemon's."""

import pytest

from ocpctl.client import Client
from ocpctl.places import GIVEN, SYSTEM, USER, Place
from ocpctl.services import choose_manager, find_managers, wait_answering
from tests.unit.ocpctl.fake_daemon import answered


def _client(kind=None, pid=None):
    """A client that has talked to the process ``pid`` on a socket of this kind."""
    client = Client([], warn=lambda _text: None)
    client.place = Place(kind, "/x") if kind else None
    client.peer_pid = pid
    return client


@pytest.fixture
def both(machine):
    """A machine where the user's and the system's ocpd run."""
    machine.add_systemd()
    machine.set_unit("user.ocpd", "active", pid=100)
    machine.set_unit("system.ocpd", "active", pid=200)
    return find_managers(None)


def test_a_machine_without_managers_has_none(programs):
    assert find_managers(None) == []


def test_managers_that_do_not_know_ocpd_do_not_count(machine):
    machine.add_systemd()
    machine.add_brew("none")
    (machine.state / "brew").unlink()
    assert find_managers(None) == []


def test_the_process_decides(both):
    assert choose_manager(both, _client(GIVEN, 100)).kind == USER
    assert choose_manager(both, _client(GIVEN, 200)).kind == SYSTEM
    assert choose_manager(both, _client(SYSTEM, 300)) is None


@pytest.mark.parametrize("pid", [1, None])
def test_behind_socket_activation_the_place_decides(both, pid):
    assert choose_manager(both, _client(USER, pid)).kind == USER
    assert choose_manager(both, _client(SYSTEM, pid)).kind == SYSTEM
    assert choose_manager(both, _client(GIVEN, pid)) is None
    assert choose_manager(both[:1], _client(GIVEN, pid)).kind == USER


def test_when_nobody_answers_the_one_that_runs_is_chosen_else_the_first(machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd")
    machine.set_unit("system.ocpd", "active")
    assert choose_manager(find_managers(None), _client()).kind == SYSTEM
    (machine.state / "system.ocpd.service.active").unlink()
    assert choose_manager(find_managers(None), _client()).kind == USER
    assert choose_manager([], _client()) is None


def test_of_two_that_rest_it_is_the_one_that_was_switched_on(machine):
    machine.add_systemd()
    machine.set_unit("user.ocpd")
    machine.set_unit("system.ocpd", "enabled")
    assert [each.kind for each in find_managers(None)] == [SYSTEM, USER]
    assert choose_manager(find_managers(None), _client()).kind == SYSTEM
    machine.set_unit("user.ocpd", "enabled")
    assert choose_manager(find_managers(None), _client()).kind == USER


def test_a_unit_that_is_masked_is_there_and_says_how_to_get_it_back(machine):
    machine.add_systemd()
    (machine.state / "system.ocpd.service.more").write_text("LoadState=masked\n")
    (found,) = find_managers(None)
    assert (found.is_masked, found.start_command) == (True, "systemctl unmask ocpd.service")


def test_waiting_to_be_well_tells_the_last_answer_that_was_not(daemon, monkeypatch):
    monkeypatch.setattr("ocpctl.services.ANSWER_WITHIN_S", 0.1)
    monkeypatch.setattr("ocpctl.services._LOOK_EVERY_S", 0.01)
    client = Client([Place(GIVEN, str(daemon.path))], warn=lambda _text: None)
    daemon.answers["GET /health"] = answered({"status": "degraded", "uptime": 0})
    health = wait_answering(client, since=0.0, is_well=True)
    assert health.text("status") == "degraded"
    states = iter(["degraded", "degraded", "ok"])
    daemon.answers["GET /health"] = lambda _heard: answered({"status": next(states), "uptime": 0})
    assert wait_answering(client, since=0.0, is_well=True).text("status") == "ok"
