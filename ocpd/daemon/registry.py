"""The files of MCP servers, as they are on disk.

What may live here: reading them. They hold credentials and commands that are run, so nobody but
their owner may read or change them. What stands in them is ``turn.servers``' business.
"""

import os
import stat

from ocpd.settings.knob import SettingsError
from ocpd.settings.values import Settings
from ocpd.turn.servers import Registry, Server, make_registry, parse_servers

LARGEST_BYTES = 1_048_576


def read_registry(settings: Settings) -> Registry:
    """Read the files that ``mcpConfig`` and ``mcpRegistry`` name.

    Raises SettingsError naming the setting, the file, and its entry or what to do about it.
    """
    always = _read_servers("mcpConfig", settings.mcp_config)
    named = _read_servers("mcpRegistry", settings.mcp_registry)
    try:
        return make_registry(always or (), named)
    except ValueError as error:
        raise SettingsError(f"mcpRegistry: {settings.mcp_registry}: {error}") from error


def _read_servers(setting: str, path: str) -> tuple[Server, ...] | None:
    if not path:
        return None
    try:
        return parse_servers(_read_file(path))
    except OSError as error:
        raise SettingsError(f"{setting}: {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{setting}: {path}: {error}") from error


def _read_file(path: str) -> bytes:
    with open(path, "rb", opener=_open) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no plain file")
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"it is open to others than its owner; run: chmod 600 {path}")
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"it has more than {LARGEST_BYTES} bytes")
    return data


def _open(path: str, flags: int) -> int:
    # Not to wait for a writer, should it be a pipe.
    return os.open(path, flags | os.O_NONBLOCK)
