"""What the lock files name: versions and the hashes of their files.

What may live here: reading a lock, and holding files against it. Standard library only: it runs
where packages are built.
"""

import hashlib
import re
from pathlib import Path

Lock = dict[str, tuple[str, frozenset[str]]]
"""Normalised name to version and the SHA-256 of every file that may stand for it."""

_ENTRY = re.compile(
    r"^([A-Za-z0-9._-]+)==([^\s\\;]+)(.*?)(?=^[A-Za-z0-9]|\Z)", re.MULTILINE | re.DOTALL
)


def normalise(name: str) -> str:
    """Spell a distribution's name as indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> Lock:
    """Read one lock file. Raises ValueError for one without entries."""
    found: Lock = {}
    for name, version, rest in _ENTRY.findall(path.read_text("utf-8")):
        found[normalise(name)] = (version, frozenset(re.findall(r"sha256:([0-9a-f]{64})", rest)))
    if not found:
        raise ValueError(f"{path}: no requirement with a version in it")
    return found


def check_file(path: Path, lock: Lock) -> tuple[str, str, str]:
    """Return name, version and SHA-256 of a wheel or source archive that the lock allows.

    Raises ValueError for any other file.
    """
    name, version = _name_of(path)
    wanted, hashes = lock.get(name, ("", frozenset[str]()))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if version != wanted or digest not in hashes:
        raise ValueError(f"{path.name}: not what the lock names; remove it and build again")
    return name, version, digest


def _name_of(path: Path) -> tuple[str, str]:
    if path.name.endswith(".whl"):
        name, version = path.name.split("-")[:2]
    elif path.name.endswith(".tar.gz"):
        name, _, version = path.name.removesuffix(".tar.gz").rpartition("-")
    else:
        raise ValueError(f"{path.name}: neither a wheel nor a source archive")
    return normalise(name), version
