"""What an OCP installation has left in its user's home: store, admin key, environment.

What may live here: reading those files, with the rights of the caller. Nothing is changed, and
nothing in the store is looked at: that is the daemon's job.
"""

from __future__ import annotations

import os
import stat

from ocpctl.failures import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# The newest name first: it wins where two were left behind.
UNITS = ("ocp-proxy", "openclaw-proxy")
LABELS = ("dev.ocp.proxy", "ai.openclaw.proxy", "com.claude-max-api")

# What an OCP reads of its environment; the rest of it is none of ocpd's business.
_PREFIXES = ("CLAUDE_", "PROXY_", "OCP_")
_TRIES = 5
_LONGEST_TEXT = 64 * 1024


class Former:
    """What was found. ``wal`` is None without one, ``admin_key`` "" likewise; ``notes`` are
    remarks for the user."""

    __slots__ = ("admin_key", "db", "environment", "notes", "wal")

    def __init__(self, db: bytes, wal: bytes | None) -> None:
        self.db = db
        self.wal = wal
        self.admin_key = ""
        self.environment: dict[str, str] = {}
        self.notes: list[str] = []


def read_former(path: str, home: str) -> Former:
    """Read the store ``path``, the admin key beside it, and the environment of the service in
    ``home``. Raises Failure if there is no store."""
    db, wal = _read_store(path)
    former = Former(db, wal)
    former.admin_key = _read_text(os.path.join(os.path.dirname(path), "admin-key")).strip()
    for unit in reversed(UNITS):
        former.environment |= _read_unit(f"{home}/.config/systemd/user/{unit}.service", former)
    for label in reversed(LABELS):
        former.environment |= _read_plist(plist_path(home, label), former)
    return former


def plist_path(home: str, label: str) -> str:
    """Where launchd's description of a service lies."""
    return f"{home}/Library/LaunchAgents/{label}.plist"


# The store.


def _read_store(path: str) -> tuple[bytes, bytes | None]:
    """Read store and log of one moment: the old daemon may be writing."""
    for _ in range(_TRIES):
        before = _fingerprints(path)
        found = _read_file(path), _maybe_read(f"{path}-wal")
        if before == _fingerprints(path):
            return found
    raise Failure(f"{path} is being written all the time", ("stop the old service first",))


def _fingerprints(path: str) -> list[tuple[int, int, int] | None]:
    found: list[tuple[int, int, int] | None] = []
    for name in (path, f"{path}-wal"):
        try:
            about = os.stat(name)
            found.append((about.st_ino, about.st_size, about.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def _read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Failure(f"{path} is no file")
            return file.read()
    except OSError as error:
        raise Failure(
            f"{path}: {(error.strerror or str(error)).lower()}",
            ("name the old store: ocpctl import-ocp PATH/ocp.db",),
        ) from error


def _maybe_read(path: str) -> bytes | None:
    return _read_file(path) or None if os.path.lexists(path) else None


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST_TEXT)
    except OSError:
        return ""


# The environment.


def _read_unit(path: str, former: Former) -> dict[str, str]:
    """Read the Environment= lines of a unit and of what ``systemctl edit`` put beside it."""
    folder = f"{path}.d"
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    files = [path, *(f"{folder}/{name}" for name in names if name.endswith(".conf"))]
    found: dict[str, str] = {}
    for file in files:
        for line in _read_text(file).replace("\\\n", " ").splitlines():
            name, _, value = line.strip().partition("=")
            if name == "Environment":
                found = found | _read_words(value) if value else {}
            elif name == "EnvironmentFile":
                former.notes.append(f"not read: {value}, which {os.path.basename(file)} names")
    return found


def _read_words(text: str) -> dict[str, str]:
    from shlex import split  # noqa: PLC0415 - systemd quotes as shells do

    try:
        words = split(text)
    except ValueError:
        words = text.split()
    pairs = (word.partition("=") for word in words)
    return _ours((name, value.replace("%%", "%")) for name, equals, value in pairs if equals)


def _read_plist(path: str, former: Former) -> dict[str, str]:
    if not os.path.lexists(path):
        return {}
    import plistlib  # noqa: PLC0415 - macOS only
    from xml.parsers.expat import ExpatError  # noqa: PLC0415 - what plistlib lets through

    try:
        content = plistlib.loads(_read_file(path))
    except (ValueError, ExpatError):
        former.notes.append(f"not read: {path}, which is no property list")
        return {}
    told = content.get("EnvironmentVariables") if isinstance(content, dict) else None
    pairs = told.items() if isinstance(told, dict) else ()
    return _ours((str(name), value) for name, value in pairs if isinstance(value, str))


def _ours(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in pairs if name.startswith(_PREFIXES)}
