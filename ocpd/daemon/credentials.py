"""Secrets that systemd hands over as files: LoadCredential= in systemd.exec(5).

What may live here: reading them into the variables that mean the same. They are read once, at the
start, and a variable that is set wins. What is in them is never shown.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ocpd.daemon.office import ADMIN_VARIABLES
from ocpd.pool.token import VARIABLE
from ocpd.settings.knob import SettingsError
from ocpd.settings.table import BY_KEY

DIRECTORY_VARIABLE: Final = "CREDENTIALS_DIRECTORY"

PREFIX: Final = "ocpd_"
"""What systemd puts before the names of files of a directory: LoadCredential=ocpd:/etc/..."""

LARGEST_BYTES: Final = 65_536


def _names(key: str) -> tuple[str, ...]:
    return (BY_KEY[key].variable, *BY_KEY[key].aliases)


VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "claude-oauth-token": (VARIABLE,),
    "admin-key": ADMIN_VARIABLES,
    "api-keys": _names("sharedKeys"),
    "anonymous-key": _names("anonymousKey"),
}
"""Which variables mean the same as a file; the first one is set, if none of them is."""


LISTS: Final = frozenset({"api-keys"})
"""Those that may have several lines."""


class Credentials(msgspec.Struct, frozen=True):
    """Variables to be set, and lines worth logging."""

    variables: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()


def read_credentials(environ: Mapping[str, str]) -> Credentials:
    """Read what lies in $CREDENTIALS_DIRECTORY; nothing if there is none.

    Raises SettingsError naming a file that cannot be used.
    """
    directory = environ.get(DIRECTORY_VARIABLE, "")
    variables: dict[str, str] = {}
    notes: list[str] = []
    for path in _list_files(directory):
        name = path.name.removeprefix(PREFIX)
        if name not in VARIABLES:
            # Others may be for settings, by their path: only ours can be misspelled.
            if path.name.startswith(PREFIX):
                known = ", ".join(VARIABLES)
                notes.append(f"the credential {path.name} has no effect: there are {known}")
            continue
        names = VARIABLES[name]
        given = next((each for each in names if environ.get(each)), None)
        if given is not None:
            notes.append(f"the credential {path.name} has no effect: {given} wins")
            continue
        if names[0] in variables:
            raise SettingsError(
                f"credentials {name} and {PREFIX}{name} mean the same; remove one of them"
            )
        variables[names[0]] = ",".join(_read_lines(path, is_list=name in LISTS))
    return Credentials(variables, tuple(notes))


def _list_files(directory: str) -> list[Path]:
    if not directory:
        return []
    try:
        if Path(directory).stat().st_mode & stat.S_IWOTH:
            raise SettingsError(
                f"{DIRECTORY_VARIABLE}: {directory}: anybody may write to it; run: chmod 700"
                f" {directory}"
            )
        return sorted(Path(directory).iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingsError(f"{DIRECTORY_VARIABLE}: {directory}: {error.strerror}") from error


def _read_lines(path: Path, *, is_list: bool) -> list[str]:
    """The lines of a file, without those that are blank: one, or several of a list."""
    lines = _read(path)
    if not lines:
        # Whoever put it there means something to be closed.
        raise SettingsError(f"credential {path}: it is empty; fill it, or remove it")
    if len(lines) > 1 and not is_list:
        raise SettingsError(f"credential {path}: it has {len(lines)} lines; one is wanted")
    return lines


def _read(path: Path) -> list[str]:
    try:
        with open(path, "rb", opener=_open) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise SettingsError(f"credential {path}: it is no plain file")
            if mode & stat.S_IRWXO:
                raise SettingsError(
                    f"credential {path}: it is open to others than its owner; run: chmod 400 {path}"
                )
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"credential {path}: {error.strerror}") from error
    if len(data) > LARGEST_BYTES or b"\0" in data:
        raise SettingsError(f"credential {path}: it is no text, or longer than {LARGEST_BYTES}")
    try:
        # Editors of other systems put a mark at the beginning.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Without the error: it would carry what is in the file.
        raise SettingsError(f"credential {path}: it is no text in UTF-8") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _open(path: str, flags: int) -> int:
    # Not to wait for a writer, should it be a pipe.
    return os.open(path, flags | os.O_NONBLOCK)
