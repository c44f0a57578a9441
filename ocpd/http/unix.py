"""A Unix socket's file: taken over if its owner is dead, with the mode and group that were asked.

What may live here: the file system's side of listening. Connections are ``listener``'s.
"""

import contextlib
import errno
import grp
import os
import socket
import stat
from pathlib import Path

import msgspec

MAX_PATH_BYTES = 100
"""sun_path holds 108 bytes on Linux and 104 on macOS, with a NUL."""


class Bound(msgspec.Struct, frozen=True):
    """A bound socket and its file; ``inode`` tells the file from a successor's."""

    socket: socket.socket
    path: Path
    inode: int

    def remove_file(self) -> None:
        """Remove the file, unless somebody else's is there by now."""
        with contextlib.suppress(FileNotFoundError):
            if self.path.lstat().st_ino == self.inode:
                self.path.unlink()


def bind_unix(path: Path, *, mode: int, group: str | None) -> Bound:
    """Return a socket bound to ``path``, not listening yet.

    A file nobody answers on is replaced; one that answers, or that is no socket, is left alone and
    raises OSError (EADDRINUSE). ``group`` gets the file if it exists and we may give it away.
    Raises OSError also for a path that is too long or cannot be made.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"longer than {MAX_PATH_BYTES} bytes", str(path))
    path.parent.mkdir(mode=0o755 if group else 0o700, parents=True, exist_ok=True)
    _clear_way(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Born closed to everyone; opened as far as asked once the group is right.
        old = os.umask(0o177)
        try:
            bound.bind(str(path))
        finally:
            os.umask(old)
        if group is not None:
            with contextlib.suppress(KeyError, PermissionError):
                os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(mode)
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return Bound(bound, path, path.lstat().st_ino)


def _clear_way(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EADDRINUSE, "there is a file that is no socket", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1.0)
        try:
            trial.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise OSError(errno.EADDRINUSE, "somebody may be listening", str(path)) from error
    raise OSError(errno.EADDRINUSE, "another ocpd is listening", str(path))
