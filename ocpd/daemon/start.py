"""What a daemon is started with, and whether it can be.

What may live here: the sources of settings as they were at the start, the checks of the settings as
a whole, and the places a daemon uses on disk.
"""

import contextlib
import functools
import grp
import itertools
import logging
import os
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ocpd.claude.argv import Lane
from ocpd.daemon.forget import spell_forget
from ocpd.daemon.registry import read_registry
from ocpd.errors import BadRequest
from ocpd.http.identity import CERTIFICATE, KEY, Identity, UnusablePair
from ocpd.http.inherited import Inherited
from ocpd.log import Ring
from ocpd.models import Models
from ocpd.pool.probe import find_configured
from ocpd.settings.doors import open_addresses, read_doors, requires_keys
from ocpd.settings.entrance import ENTRANCE
from ocpd.settings.knob import SettingsError
from ocpd.settings.load import Loaded, load_settings
from ocpd.settings.table import BY_KEY
from ocpd.settings.values import Settings
from ocpd.turn.own_tools import parse_tools
from ocpd.turn.servers import Registry

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
    environment and file came to; ``config_file`` is that file's path, "" without one.
    ``read_file`` reads it anew and ``read_models`` the models table under the given settings: both
    raise SettingsError. ``ring`` holds the last lines of the log, ``inherited`` the sockets that
    the service manager listens on for us, ``notes`` what is worth logging of all this."""

    environ: Mapping[str, str]
    loaded: Loaded
    read_models: Callable[[Settings], Models]
    argv: Mapping[str, str] = {}
    file: Mapping[str, object] = {}
    config_file: str = ""
    read_file: Callable[[], Mapping[str, object]] = dict
    lane: Lane = msgspec.field(default_factory=Lane)
    ring: Ring = msgspec.field(default_factory=Ring)
    inherited: Inherited = msgspec.field(default_factory=Inherited)
    notes: tuple[str, ...] = ()


class Files(msgspec.Struct, frozen=True):
    """What settings name on disk, as it was read."""

    models: Models
    registry: Registry
    identity: Identity | None


def read_files(start: Start, settings: Settings) -> Files:
    """Read what ``settings`` name on disk. Raises SettingsError naming setting and file."""
    return Files(start.read_models(settings), read_registry(settings), read_identity(settings))


def read_identity(settings: Settings) -> Identity | None:
    """Read certificate and key; None if there are none. Raises SettingsError naming setting, file
    and remedy."""
    pair = {CERTIFICATE: settings.tls_certificate, KEY: settings.tls_key}
    given = [key for key, path in pair.items() if path]
    if not given:
        return None
    if len(given) == 1:
        (missing,) = pair.keys() - set(given)
        raise SettingsError(
            f"{missing}: it is missing, and {given[0]} is set; set both at once, or neither"
            f" (ocpctl settings --reset {CERTIFICATE} {KEY})"
        )
    try:
        return Identity(
            settings.tls_certificate, settings.tls_key, settings.header_timeout_ms / 1000
        )
    except UnusablePair as error:
        raise SettingsError(str(error)) from error


def check_start(settings: Settings, models: Models, environ: Mapping[str, str]) -> None:
    """Check what no single value shows. Raises SettingsError with the remedy."""
    has_keys_required = requires_keys(read_doors(settings))
    check_server_tools(settings, has_keys_required=has_keys_required, is_root=os.geteuid() == 0)
    if settings.claude_bin and find_configured(settings.claude_bin, environ) is None:
        raise SettingsError(f"claudeBin: {settings.claude_bin!r} is not an executable file")
    try:
        models.resolve(settings.default_model, default="sonnet", unknown="refuse")
    except BadRequest as error:
        raise SettingsError(f"defaultModel: {error.message}") from error


def check_server_tools(settings: Settings, *, has_keys_required: bool, is_root: bool) -> None:
    """Refuse tools that run on this machine where strangers could have them run.

    ``has_keys_required`` says that nobody is served without a key, ``is_root`` that the daemon
    runs as root. Keys that have tools of their own need no check: nobody gets those without the
    key. Raises SettingsError naming setting, reason and remedy.
    """
    try:
        tools = parse_tools(settings.allowed_tools)
    except ValueError as error:
        raise SettingsError(f"allowedTools: {error}") from error
    if not tools and not settings.skip_permissions:
        return
    setting = "skipPermissions" if settings.skip_permissions else "allowedTools"
    reached = ", ".join(open_addresses(settings))
    if not has_keys_required and reached:
        raise SettingsError(
            f"{setting}: not with bind {reached!r} and without keys: whoever reaches that"
            " address could run programs on this machine; unset it, bind 127.0.0.1, or set authMode"
            " to shared, or to multi without an anonymousKey"
        )
    if settings.skip_permissions and is_root:
        raise SettingsError(
            "skipPermissions: never as root, where a model could do anything to this machine, and"
            " the CLI refuses it too; run ocpd as a user of its own, or unset it"
        )


@functools.cache
def find_names() -> tuple[str, ...]:
    """Return what this machine calls itself: its name, and the one it has in its local network."""
    name = socket.gethostname().lower().removesuffix(".")
    short = name.partition(".")[0]
    return tuple(dict.fromkeys((name, short, f"{short}.local"))) if short else ()


def load_with(start: Start, runtime: Mapping[str, object]) -> Loaded:
    """Lay what was changed at run time over the settings of the start.

    A change that does not fit any more (another version of ocpd, another models table) is left
    out and logged: nobody could take it back while the daemon does not run. But not one about who
    may come in: without it the door might stand open. Raises SettingsError for that.
    """
    if not runtime:
        _check(start, start.loaded.settings)
        return start.loaded
    try:
        return _load(start, runtime)
    except SettingsError:
        pass
    usable = {knob.key: runtime[knob.key] for knob in ENTRANCE if knob.key in runtime}
    try:
        _load(start, usable)
    except SettingsError as error:
        culprits = _find_culprits(start, usable)
        flags = ", ".join(BY_KEY[key].flag for key in culprits)
        raise SettingsError(
            f"{error}. Changed at run time: {', '.join(culprits)}; to forget that:"
            f" {spell_forget(start.environ, culprits)} (or override it: {flags})"
        ) from error
    for key, value in runtime.items():
        if key in usable:
            continue
        try:
            _load(start, usable | {key: value})
        except SettingsError as error:
            _log.error("stored_setting_left_out", extra={"setting": key, "reason": str(error)})
        else:
            usable[key] = value
    return _load(start, usable)


def _find_culprits(start: Start, runtime: Mapping[str, object]) -> tuple[str, ...]:
    """Return the fewest changes without which the rest fits: none that guards the door is to be
    forgotten without need."""
    for count in (1, 2):
        for keys in itertools.combinations(runtime, count):
            rest = {key: value for key, value in runtime.items() if key not in keys}
            with contextlib.suppress(SettingsError):
                _load(start, rest)
                return keys
    return tuple(runtime)


def _load(start: Start, runtime: Mapping[str, object]) -> Loaded:
    loaded = load_settings(start.argv, start.environ, start.file, runtime, start.inherited.unit)
    _check(start, loaded.settings)
    return loaded


def _check(start: Start, settings: Settings) -> None:
    check_start(settings, read_files(start, settings).models, start.environ)


class Door(msgspec.Struct, frozen=True):
    """The Unix socket: its path, and who may use it. ``group`` is None for the owner alone."""

    path: Path
    mode: int
    group: str | None


def inherited_door(path: str) -> Door:
    """Return the door that the service manager made: its file says who may use it."""
    group: str | None = None
    mode = 0o600
    with contextlib.suppress(OSError, KeyError):
        found = Path(path).stat()
        mode = stat.S_IMODE(found.st_mode)
        if mode & stat.S_IWGRP:
            group = grp.getgrgid(found.st_gid).gr_name
    return Door(Path(path), mode, group)


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
