"""Looks at files, folders and groups for ``checkup``: whose they are, and who may use them.

What may live here: stat and the like. Nothing is opened but files of settings, and nothing raises:
what cannot be looked at is not there, or unknown.
"""

from __future__ import annotations

import os
import stat

from ocpctl.facts import IN_GROUP, NO_GROUP, NOT_YET, OUTSIDE, Entry
from ocpctl.runner import find_account, groups_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocpctl.runner import Account

_MEGABYTE = 1024 * 1024
_LONGEST_FILE = 1024 * 1024


def look_at(path: str) -> Entry:
    """Look at one file or folder."""
    entry = Entry(path)
    try:
        about = os.stat(path) if path else None
    except OSError:
        about = None
    if about is not None:
        entry.is_there = True
        entry.uid = about.st_uid
        entry.owner = find_account(about.st_uid).name
        entry.group = _group_name(about.st_gid)
        entry.mode = stat.S_IMODE(about.st_mode)
    return entry


def _group_name(gid: int) -> str:
    from grp import getgrgid  # noqa: PLC0415 - only for the doctor

    try:
        return getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def find_membership(group: str, account: Account) -> str:
    """Say whether ``account`` is in ``group``: IN_GROUP, NOT_YET, OUTSIDE or NO_GROUP."""
    from grp import getgrnam  # noqa: PLC0415 - only for the doctor

    try:
        gid = getgrnam(group).gr_gid
    except KeyError:
        return NO_GROUP
    if account.is_self and gid in (os.getegid(), *os.getgroups()):
        return IN_GROUP
    if gid in groups_of(account):
        return NOT_YET if account.is_self else IN_GROUP
    return OUTSIDE


def find_hindrance(path: str, account: Account, wanted: int) -> str:
    """Return the first folder on the way that ``account`` may not enter, or ``path`` itself if it
    may not do ``wanted`` (os.R_OK and the like) with it; "" if nothing is seen to be in the way."""
    if account.uid == 0:
        return ""
    groups = set(groups_of(account))
    parts = path.strip("/").split("/")
    for count in range(1, len(parts) + 1):
        place = "/" + "/".join(parts[:count])
        try:
            about = os.stat(place)
        except OSError:
            return ""
        is_last = count == len(parts)
        if not _may(about, account.uid, groups, wanted if is_last else os.X_OK):
            return place
    return ""


def _may(about: os.stat_result, uid: int, groups: set[int], wanted: int) -> bool:
    if about.st_uid == uid:
        bits = about.st_mode >> 6
    elif about.st_gid in groups:
        bits = about.st_mode >> 3
    else:
        bits = about.st_mode
    return bits & wanted == wanted


def read_entry(path: str, name: str) -> str:
    """Return the value of ``name`` at the top of a TOML file, without its quotes; "" if it is not
    there. It reads plain lines only: a daemon that could be asked would know better."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(_LONGEST_FILE).splitlines() if path else []
    except OSError:
        return ""
    for line in lines:
        key, equals, value = line.partition("=")
        if key.strip().startswith("["):
            break
        if equals and key.strip() == name:
            return value.partition("#")[0].strip().strip("\"'")
    return ""


def free_mb(path: str) -> int | None:
    """How many megabytes the disk of ``path`` has left for us; None if nobody knows."""
    while path and not os.path.exists(path):
        path = os.path.dirname(path) if path != "/" else ""
    try:
        about = os.statvfs(path) if path else None
    except OSError:
        about = None
    return None if about is None else about.f_bavail * about.f_frsize // _MEGABYTE


def memory_mb(path: str = "/proc/meminfo") -> int | None:
    """How many megabytes of memory programs can still have; None if nobody knows."""
    try:
        with open(path, encoding="ascii") as file:
            rows = [line.split() for line in file]
    except (OSError, ValueError):
        return None
    told = [row[1] for row in rows if len(row) > 1 and row[0] == "MemAvailable:"]
    return int(told[0]) // 1024 if told and told[0].isdecimal() else None
