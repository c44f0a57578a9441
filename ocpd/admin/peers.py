"""Users of this machine, as the system's books name them.

What may live here: look-ups in the password and group files. Who connects to a socket is decided
by its mode; this is the second look, in case the mode was changed.
"""

import functools
import grp
import os
import pwd
from collections.abc import Callable


def make_guest_list(group: str | None) -> Callable[[int], bool]:
    """Return what says of a uid whether it may come in: root, our own user, and members of
    ``group`` if the socket has one."""
    own = os.geteuid()

    def may_enter(uid: int) -> bool:
        return uid in (0, own) or (group is not None and is_member(uid, group))

    return may_enter


def is_member(uid: int, group: str) -> bool:
    """Whether the user is in ``group``; False if either is unknown. Not cached: membership that
    was taken away must not linger."""
    try:
        wanted = grp.getgrnam(group)
        user = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return False
    return user.pw_gid == wanted.gr_gid or user.pw_name in wanted.gr_mem


@functools.lru_cache(maxsize=256)
def find_user(uid: int) -> str | None:
    """Return the user's name, or None if there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return None
