"""Where children live: the state directory and the empty directory they are started in.

What may live here: paths and their modes. Credentials are not ours: the CLI finds its own login
through HOME or CLAUDE_CONFIG_DIR, and nothing here opens them.
"""

from collections.abc import Mapping
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
