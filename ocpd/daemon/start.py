"""What a daemon is started with, and whether it can be.

What may live here: the sources of settings as they were at the start, the checks of the settings as
a whole, and the places a daemon uses on disk.
"""

import ipaddress
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ocpd.claude.argv import Lane
from ocpd.errors import BadRequest
from ocpd.log import Ring
from ocpd.models import Models
from ocpd.pool.probe import find_configured
from ocpd.settings.knob import SettingsError
from ocpd.settings.load import Loaded, load_settings
from ocpd.settings.values import Settings

SOCKET_VARIABLE = "OCPD_SOCKET"
GROUP = "ocpd"
"""Who may use the socket of the system's service."""

_log = logging.getLogger("ocpd.daemon")


class CannotStart(OSError):
    """Something that is needed cannot be had; the text says what, and who holds it."""


class CannotListen(CannotStart):
    """An address cannot be had."""


class Start(msgspec.Struct, frozen=True):
    """What ``open_daemon`` needs. ``argv`` maps settings to texts; ``loaded`` is what argv,
    environment and file came to; ``read_file`` reads the config file anew and ``read_models`` the
    models table under the given settings: both raise SettingsError. ``ring`` holds the last
    lines of the log."""

    environ: Mapping[str, str]
    loaded: Loaded
    read_models: Callable[[Settings], Models]
    argv: Mapping[str, str] = {}
    file: Mapping[str, object] = {}
    read_file: Callable[[], Mapping[str, object]] = dict
    lane: Lane = msgspec.field(default_factory=Lane)
    ring: Ring = msgspec.field(default_factory=Ring)


def check_start(settings: Settings, models: Models, environ: Mapping[str, str]) -> None:
    """Check what no single value shows. Raises SettingsError with the remedy."""
    if not is_loopback(settings.bind):
        raise SettingsError(
            f"bind: {settings.bind!r} is not a loopback address; ocpd has no keys yet, so it "
            "serves this machine only (127.0.0.1, ::1 or localhost)"
        )
    if settings.claude_bin and find_configured(settings.claude_bin, environ) is None:
        raise SettingsError(f"claudeBin: {settings.claude_bin!r} is not an executable file")
    try:
        models.resolve(settings.default_model, default="sonnet", unknown="refuse")
    except BadRequest as error:
        raise SettingsError(f"defaultModel: {error.message}") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_with(start: Start, runtime: Mapping[str, object]) -> Loaded:
    """Lay what was changed at run time over the settings of the start.

    A change that does not fit any more (another version of ocpd, another models table) is left
    out and logged: nobody could take it back while the daemon does not run.
    """
    if not runtime:
        check_start(start.loaded.settings, start.read_models(start.loaded.settings), start.environ)
        return start.loaded
    try:
        return _load(start, runtime)
    except SettingsError:
        pass
    usable: dict[str, object] = {}
    for key, value in runtime.items():
        try:
            _load(start, usable | {key: value})
        except SettingsError as error:
            _log.error("stored_setting_left_out", extra={"setting": key, "reason": str(error)})
        else:
            usable[key] = value
    return _load(start, usable)


def _load(start: Start, runtime: Mapping[str, object]) -> Loaded:
    loaded = load_settings(start.argv, start.environ, start.file, runtime)
    check_start(loaded.settings, start.read_models(loaded.settings), start.environ)
    return loaded


class Door(msgspec.Struct, frozen=True):
    """The Unix socket: its path, and who may use it. ``group`` is None for the owner alone."""

    path: Path
    mode: int
    group: str | None


def find_door(environ: Mapping[str, str], state: Path) -> Door:
    """Return where the Unix socket belongs: OCPD_SOCKET, the folder that systemd made for us, the
    user's run time directory, else the state directory.

    Only the system's service, which systemd gives a folder below /run, opens it to its group.
    """
    runtime = Path((environ.get("RUNTIME_DIRECTORY") or "").split(":")[0] or "/nowhere")
    is_system = runtime.is_relative_to("/run") and not runtime.is_relative_to("/run/user")
    group, mode = (GROUP, 0o660) if is_system else (None, 0o600)
    if own := environ.get(SOCKET_VARIABLE):
        return Door(Path(own), mode, group)
    if environ.get("RUNTIME_DIRECTORY"):
        return Door(runtime / "ocpd.sock", mode, group)
    if user := environ.get("XDG_RUNTIME_DIR"):
        return Door(Path(user) / "ocpd/ocpd.sock", mode, group)
    return Door(state / "ocpd.sock", mode, group)
