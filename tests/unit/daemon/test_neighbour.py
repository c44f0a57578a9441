"""Promise: whoever finds the port taken by the system's ocpd hears how to switch that off."""

import socket
from pathlib import Path

from ocpd.daemon.neighbour import REMEDY, find_remedy


def test_a_system_service_that_listens_is_named_with_its_remedy(tmp_path: Path) -> None:
    system = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(system))
        listening.listen()
        told = find_remedy(tmp_path / "own", system)
    assert told == REMEDY
    assert "sudo systemctl disable --now ocpd" in told


def test_the_system_service_itself_does_not_blame_itself(tmp_path: Path) -> None:
    system = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(system))
        listening.listen()
        assert find_remedy(system, system) == ""


def test_what_a_dead_one_left_is_nobody(tmp_path: Path) -> None:
    system = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as once:
        once.bind(str(system))
    assert find_remedy(tmp_path / "own", system) == ""
    system.unlink()
    system.write_text("no socket")
    assert find_remedy(tmp_path / "own", system) == ""
    assert find_remedy(tmp_path / "own", tmp_path / "missing") == ""
