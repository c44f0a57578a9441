"""A Unix socket's file: born closed, opened as far as asked, never taken from the living."""

import errno
import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from ocpd.http.unix import MAX_PATH_BYTES, bind_unix


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Short enough, and in a folder that is not there yet."""
    return tmp_path / "run" / "s"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_mode_and_folder_are_as_private_as_asked(path: Path) -> None:
    with bind_unix(path, mode=0o600, group=None).socket:
        assert mode_of(path) == 0o600
        assert mode_of(path.parent) == 0o700


def test_a_group_gets_it_and_one_that_is_missing_costs_nothing(path: Path) -> None:
    own = os.getegid()
    name = grp.getgrgid(own).gr_name
    with bind_unix(path, mode=0o660, group=name).socket:
        assert (mode_of(path), path.stat().st_gid) == (0o660, own)
        assert mode_of(path.parent) == 0o755
    with bind_unix(path.with_name("t"), mode=0o660, group="no-such-group").socket:
        assert mode_of(path.with_name("t")) == 0o660


def test_what_the_dead_left_is_replaced_and_the_living_are_left_alone(path: Path) -> None:
    bind_unix(path, mode=0o600, group=None).socket.close()
    bound = bind_unix(path, mode=0o600, group=None)
    with bound.socket:
        bound.socket.listen(1)
        with pytest.raises(OSError, match="another ocpd is listening") as caught:
            bind_unix(path, mode=0o600, group=None)
        assert caught.value.errno == errno.EADDRINUSE
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda p: p.symlink_to("/etc/passwd")])
def test_what_is_no_socket_is_left_alone(path: Path, make) -> None:
    path.parent.mkdir()
    make(path)
    with pytest.raises(OSError, match="no socket"):
        bind_unix(path, mode=0o600, group=None)
    assert os.path.lexists(path)


def test_a_path_that_no_socket_may_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"longer than {MAX_PATH_BYTES} bytes"):
        bind_unix(tmp_path / ("x" * MAX_PATH_BYTES), mode=0o600, group=None)


def test_only_its_own_file_is_removed(path: Path) -> None:
    bound = bind_unix(path, mode=0o600, group=None)
    with bound.socket:
        moved = path.with_name("moved")
        path.rename(moved)
        path.touch()
        bound.remove_file()
        assert path.exists()
        path.unlink()
        bound.remove_file()
        moved.rename(path)
        bound.remove_file()
        assert not path.exists()
