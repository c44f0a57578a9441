"""What a key may be called.

What may live here: the rules for names, and how a name from elsewhere is made to fit. A name is
never a role: the reserved ones are how the books call callers without a key.
"""

import re
from collections.abc import Container

from ocpd.errors import BadRequest

RESERVED = frozenset({"admin", "anonymous", "local", "remote", "shared", "owner", "root", "all"})

_LONGEST = 64
_NAME = re.compile(r"[A-Za-z0-9 ._-]{1,64}")
# As the books call the second shared key, and so on.
_SHARED = re.compile(r"shared-[0-9]+")
_ILLEGAL = re.compile(r"[^A-Za-z0-9 ._-]")


def check_name(name: str) -> str:
    """Return ``name``. Raises BadRequest, param ``name``, saying what is wrong with it."""
    if (fault := find_fault(name)) is not None:
        raise BadRequest(f"name {fault}", param="name")
    return name


def find_fault(name: str) -> str | None:
    """Say what is wrong with ``name``; None if nothing is."""
    if not _NAME.fullmatch(name):
        return "must be 1 to 64 of letters, digits, space, dot, underscore and hyphen"
    if name != name.strip(" ") or not any(c.isalnum() for c in name):
        return "must hold a letter or digit, and neither begin nor end with a space"
    if name.isdigit():
        return "must not be only digits: those are ids"
    if name.lower() in RESERVED or _SHARED.fullmatch(name.lower()):
        return f"{name!r} is reserved"
    return None


def fit_name(name: str, taken: Container[str]) -> str:
    """Return a legal name near ``name`` whose lower-case form is not in ``taken``.

    ``name`` itself if it will do; else without illegal characters, and "-2", "-3", … behind it.
    """
    if find_fault(name) is None and name.lower() not in taken:
        return name
    clean = _ILLEGAL.sub("-", name)[:_LONGEST].strip(" ")
    if not any(c.isalnum() for c in clean):
        clean = "key"
    if clean != name and find_fault(clean) is None and clean.lower() not in taken:
        return clean
    number = 2
    while True:
        suffix = f"-{number}"
        candidate = clean[: _LONGEST - len(suffix)].rstrip(" ") + suffix
        if find_fault(candidate) is None and candidate.lower() not in taken:
            return candidate
        number += 1
