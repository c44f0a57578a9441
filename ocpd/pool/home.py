"""Where children live: the state directory, the empty directory they are started in, and a place
for their temporary files.

What may live here: paths and their modes. Credentials are not ours: the CLI finds its own login
through HOME or CLAUDE_CONFIG_DIR, and nothing here opens them.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return ocpd's state directory: OCPD_STATE_DIR, systemd's STATE_DIRECTORY, else XDG's."""
    if own := environ.get("OCPD_STATE_DIR"):
        return Path(own)
    if systemd := environ.get("STATE_DIRECTORY"):
        # systemd separates several with colons; the first is the service's own.
        return Path(systemd.split(":")[0])
    if xdg := environ.get("XDG_STATE_HOME"):
        return Path(xdg) / "ocpd"
    return Path(environ.get("HOME") or "/var/lib") / ".local" / "state" / "ocpd"


def empty_directory(state: Path) -> Path:
    """Return the neutral working directory of children, made anew if it is missing.

    The CLI names its working directory to the model and looks for files in it: so it is empty,
    and not writable either. Raises OSError when it cannot be made.
    """
    directory = state / "empty"
    if not directory.is_dir():
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o500, exist_ok=True)
    return directory


@contextlib.contextmanager
def scratch_directory(state: Path) -> Iterator[Path]:
    """Make a directory for children's temporary files; it is removed when the block ends.

    The CLI keeps a socket there and leaves it behind when it is killed; in /tmp those would pile
    up. What a killed daemon left is removed too. Raises OSError when it cannot be made.
    """
    directory = state / "tmp" / str(os.getpid())
    for other in (state / "tmp").glob("[0-9]*"):
        if not _is_alive(int(other.name)):
            shutil.rmtree(other, ignore_errors=True)
    # One by one: the mode is not for parents.
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
