"""Is the system's ocpd in the way of this one?

What may live here: a look at that one's socket, and the remedy.
"""

import errno
import socket
from pathlib import Path

SYSTEM_SOCKET = Path("/run/ocpd/ocpd.sock")

REMEDY = (
    "the system's ocpd runs, too; to have your own instead:"
    " sudo systemctl disable --now ocpd ocpd.socket ocpd-admin.socket"
    " (or give yours another port, OCPD_PORT)"
)


def find_remedy(own: Path, system: Path = SYSTEM_SOCKET) -> str:
    """Return what to do about the system's ocpd, "" if there is none, or if that is us.

    ``own`` is the path of our own Unix socket. Asked when an address was taken.
    """
    if own == system or not system.is_socket():
        return ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1.0)
        try:
            trial.connect(str(system))
        except OSError as error:
            # Who is not in its group may not connect; a dead one's file would be refused.
            return REMEDY if error.errno in (errno.EACCES, errno.EPERM, errno.EAGAIN) else ""
    return REMEDY
