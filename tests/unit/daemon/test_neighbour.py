"""Promise: whoever finds the port taken by the system's ocpd hears how to switch that off."""

import socket
from pathlib import Path

import pytest

from ocpd import __main__ as room
from ocpd.daemon.neighbour import REMEDY, find_remedy
from ocpd.daemon.start import CannotListen


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


@pytest.mark.parametrize(("remedy", "code"), [("", 1), ("sudo systemctl disable", 69)])
def test_a_port_that_the_systems_ocpd_has_ends_it_for_good(
    remedy: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def refuse(*_: object) -> int:
        raise CannotListen("cannot listen on 127.0.0.1:3456")

    monkeypatch.setattr(room, "_run", refuse)
    monkeypatch.setattr(room, "find_remedy", lambda _own: remedy)
    assert room.serve(room.read_start([])) == code
    told = capsys.readouterr().err
    assert "cannot listen on 127.0.0.1" in told
    assert remedy in told
