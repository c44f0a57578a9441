"""Who listens on a port, as /proc and lsof tell it."""

import os
import socket

import pytest

from ocpctl.ports import find_holders

HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode"
)


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "net").mkdir()
    rows = ("0100007F:0D80 00000000:0000 0A", "0100007F:0D81 00000000:0000 01")
    lines = [f"   {n}: {row} 0:0 00:0 0 0 0 {700 + n} 1" for n, row in enumerate(rows)]
    (tmp_path / "net/tcp").write_text("\n".join((HEAD, *lines, "")))
    return tmp_path


def _run(proc, pid, name, inode):
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(f"{name}\n")
    (proc / str(pid) / "fd/3").symlink_to(f"socket:[{inode}]")


def test_a_port_has_those_who_hold_its_socket(proc):
    _run(proc, 12, "node", 700)
    _run(proc, 13, "other", 701)
    assert [str(holder) for holder in find_holders(3456, str(proc))] == ["node (pid 12)"]


def test_a_connection_is_no_listener(proc):
    assert find_holders(3457, str(proc)) == []


def test_a_program_that_is_not_ours_to_see_is_told_as_such(proc):
    assert [str(holder) for holder in find_holders(3456, str(proc))] == ["?"]


def test_this_process_is_found():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = find_holders(listening.getsockname()[1])
    assert [holder.pid for holder in found] == [os.getpid()]


def test_elsewhere_lsof_is_asked(programs, tmp_path):
    assert find_holders(3456, str(tmp_path)) is None
    programs.add("lsof", 'echo p77; echo cnode; echo f4; echo p78; echo "cPython"')
    found = find_holders(3456, str(tmp_path))
    assert [str(holder) for holder in found] == ["node (pid 77)", "Python (pid 78)"]
    assert programs.calls == ["lsof -nP -iTCP:3456 -sTCP:LISTEN -Fpc"]
