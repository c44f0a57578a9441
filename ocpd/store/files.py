"""The state directory on disk: modes, the lock, the file that is moved aside.

What may live here: paths, permissions and the lock of the directory. The database file itself is
never opened here while SQLite has it open: closing any descriptor of it would drop SQLite's locks.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import stat
from pathlib import Path

from ocpd.errors import Overloaded
from ocpd.store.faults import unavailable

DATABASE = "ocpd.db"
LOCK = "ocpd.lock"
SCRATCH = ".ocp-import-"
"""How scratch directories begin; what a crash left of them is removed at the next start."""

_BESIDE = ("", "-wal", "-shm", "-journal")

_log = logging.getLogger("ocpd.store")


def claim_directory(directory: Path) -> int:
    """Make ``directory`` (0700), take its lock, and return the lock's descriptor.

    ``release_directory`` must follow. Raises Overloaded ``store_in_use`` when another ocpd has it,
    and ``store_unavailable`` when it cannot be made or locked.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _tighten(directory)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unavailable(f"{directory}: {error.strerror}", str(error)) from error
    try:
        os.fchmod(lock, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BlockingIOError as error:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace") or "unknown"
        os.close(lock)
        raise Overloaded(
            f"another ocpd (process {holder}) uses {directory}; stop it, or set OCPD_STATE_DIR.",
            status=503,
            code="store_in_use",
        ) from error
    except OSError as error:
        os.close(lock)
        raise unavailable(f"{directory}: {error.strerror}", str(error)) from error
    return lock


def release_directory(lock: int) -> None:
    """Give the lock back. The file stays: removing it would race with the next holder."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
    os.close(lock)


def remove_scratch(directory: Path) -> None:
    """Remove what a crash left of our scratch directories. Only with the lock held."""
    for path in directory.glob(f"{SCRATCH}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def make_private(path: Path) -> None:
    """See to it that ``path`` exists with mode 0600, whatever the umask.

    SQLite gives -wal and -shm the mode of the file beside them. Raises OSError.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    for name in _BESIDE:
        file = path.with_name(path.name + name)
        if file.exists() and stat.S_IMODE(file.stat().st_mode) != 0o600:
            file.chmod(0o600)


def move_aside(path: Path) -> Path:
    """Rename a damaged database and what lies beside it; return the new path. Raises OSError."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    for name in _BESIDE:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + name).rename(aside.with_name(aside.name + name))
    return aside


def _tighten(directory: Path) -> None:
    """Take the directory from group and others, unless it is plainly not only ours."""
    state = directory.stat()
    if state.st_uid != os.geteuid() or state.st_mode & stat.S_ISVTX:
        return
    if stat.S_IMODE(state.st_mode) != 0o700:
        directory.chmod(0o700)
        if state.st_mode & 0o077:
            _log.info("file_modes_tightened", extra={"path": str(directory)})
