"""argv in, exit code out.

What may live here: reading the command line, the environment and the two files (settings and
models), signals, and the exit code. 0: stopped as asked. 1: could not run, for example because the
port is taken. 69 (EX_UNAVAILABLE): the system's ocpd has it. 78 (EX_CONFIG): a setting does not
fit. After those two trying again will not help.
"""

import argparse
import asyncio
import os
import signal
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import uvloop

from ocpd.aio import Nursery, steady_clock
from ocpd.daemon.credentials import read_credentials
from ocpd.daemon.forget import FLAG, CannotForget, forget
from ocpd.daemon.greeting import describe
from ocpd.daemon.house import open_daemon
from ocpd.daemon.neighbour import find_remedy
from ocpd.daemon.pulse import beat, spell_status
from ocpd.daemon.start import CannotListen, CannotStart, Start, find_door, load_with
from ocpd.daemon.state import Daemon
from ocpd.daemon.version import VERSION
from ocpd.http.inherited import take_sockets
from ocpd.log import configure
from ocpd.models import Models, load_models
from ocpd.notify import Notifier
from ocpd.pool.home import state_directory
from ocpd.settings.knob import SettingsError
from ocpd.settings.load import load_settings
from ocpd.settings.table import BY_KEY, KNOBS
from ocpd.settings.values import Settings

EX_UNAVAILABLE = 69
EX_CONFIG = 78


def main() -> int:
    """Run ocpd in the foreground until SIGINT or SIGTERM."""
    try:
        if (named := vars(_parser().parse_args(sys.argv[1:]))["forget"]) is not None:
            return _forget(read_names(named))
        start = read_start(sys.argv[1:])
        if "--check" in sys.argv[1:]:
            load_with(start, {})
            return 0
    except ValueError as error:
        return _refuse(error)
    return serve(start)


def read_start(argv: list[str]) -> Start:
    """Read command line, environment, config file and models table.

    Raises SettingsError naming what does not fit. Raises SystemExit for flags that do not exist,
    for --help and for --version.
    """
    arguments = vars(_parser().parse_args(argv))
    config, _, _ = (arguments.pop(name) for name in ("config", "check", "forget"))
    given = {key: value for key, value in arguments.items() if value is not None}
    inherited = take_sockets(os.environ)
    file = read_config(config, os.environ)
    credentials = read_credentials(os.environ)
    environ = {**os.environ, **credentials.variables}
    loaded = load_settings(given, environ, file, unit=inherited.unit)
    return Start(
        environ=environ,
        argv=given,
        file=file,
        config_file=str(find_config(config, os.environ) or ""),
        loaded=loaded,
        inherited=inherited,
        notes=credentials.notes,
        read_file=lambda: read_config(config, os.environ),
        read_models=read_models,
    )


def read_names(text: str) -> list[str]:
    """Read names of settings with commas between them. Raises SettingsError for one that is
    none."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in BY_KEY:
            raise SettingsError(f"{FLAG}: unknown setting {name!r}")
    return names


def _forget(keys: list[str]) -> int:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            forgotten = runner.run(forget(state_directory(os.environ), keys))
    except CannotForget as error:
        print(f"ocpd: {error}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return 1
    for key in keys:
        did = "forgotten" if key in forgotten else "was not changed at run time"
        print(f"{key}: {did}")  # noqa: T201 - for the person at the terminal
    return 0


def serve(start: Start, notice: str = "") -> int:
    """Serve until a signal; returns the exit code. ``notice`` is printed with the greeting."""
    settings = start.loaded.settings
    ring = configure(settings.log_level, settings.log_format, sys.stderr)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(msgspec.structs.replace(start, ring=ring), notice))
    except SettingsError as error:
        return _refuse(error)
    except CannotStart as error:
        print(f"ocpd: {error}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return _blame_system(start) if isinstance(error, CannotListen) else 1


def _blame_system(start: Start) -> int:
    """Say so if the system's ocpd is in the way; returns the exit code."""
    door = find_door(start.environ, state_directory(start.environ))
    remedy = find_remedy(door.path)
    if not remedy:
        return 1
    print(f"ocpd: {remedy}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
    return EX_UNAVAILABLE


async def _run(start: Start, notice: str) -> int:
    notifier = Notifier()
    stop = asyncio.Event()
    stop_now = asyncio.Event()

    def on_signal() -> None:
        (stop_now if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    # Until it is ready there is nothing to reload; without this, SIGHUP would end it.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    # The beat goes on until everything is taken down.
    async with (
        Nursery("pulse") as pulse,
        open_daemon(start) as daemon,
        Nursery("reload") as nursery,
    ):
        loop.add_signal_handler(
            signal.SIGHUP, lambda: nursery.spawn(_reload(daemon, notifier), "SIGHUP")
        )
        notifier.ready(spell_status(daemon))
        pulse.spawn(beat(notifier, daemon), "beat")
        if not notifier.is_heard:
            print(describe(daemon) + notice, flush=True)  # noqa: T201 - the greeting
        await stop.wait()
        notifier.stopping("stopping")
        await _drain(daemon, stop_now)
    return 0


async def _reload(daemon: Daemon, notifier: Notifier) -> None:
    notifier.reloading(steady_clock())
    await daemon.reload()
    notifier.ready(spell_status(daemon))


async def _drain(daemon: Daemon, stop_now: asyncio.Event) -> None:
    """Wait for the running turns, or for a second signal."""
    async with asyncio.TaskGroup() as group:
        draining = group.create_task(daemon.drain())
        hurrying = group.create_task(stop_now.wait())
        await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        hurrying.cancel()


def find_config(path: str | None, environ: Mapping[str, str]) -> Path | None:
    """Return where ocpd.toml is: the one named, else the user's, else the system's, else None.

    The named one may be missing.
    """
    if named := path or environ.get("OCPD_CONFIG"):
        return Path(named)
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    places = (home / "ocpd/ocpd.toml", Path("/etc/ocpd/ocpd.toml"))
    return next((place for place in places if os.path.lexists(place)), None)


def read_config(path: str | None, environ: Mapping[str, str]) -> dict[str, object]:
    """Read ocpd.toml where ``find_config`` finds it; without one nothing is set.

    Raises SettingsError when the named one is missing, or one that is there cannot be read.
    """
    place = find_config(path, environ)
    if place is None:
        return {}
    try:
        return tomllib.loads(place.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"config file: {place} does not exist") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"config file: {place}: {error}") from error


def read_models(settings: Settings) -> Models:
    """Read the models table that ocpd carries, changed by setting modelsFile.

    Raises SettingsError naming the entry that does not fit.
    """
    here = Path(__file__).parent
    inside = here / "models.json"
    own = (inside if inside.exists() else here.parent / "models.json").read_bytes()
    if not settings.models_file:
        return load_models(own)
    try:
        return load_models(own, Path(settings.models_file).read_bytes())
    except OSError as error:
        raise SettingsError(f"modelsFile: {settings.models_file}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{error} (in {settings.models_file})") from error


def _refuse(error: Exception) -> int:
    print(f"ocpd: {error}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
    return EX_CONFIG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocpd", description="Serve your Claude login as an OpenAI-style API."
    )
    parser.add_argument("--version", action="version", version=f"ocpd {VERSION}")
    parser.add_argument("--config", metavar="FILE", help="ocpd.toml to read")
    parser.add_argument("--check", action="store_true", help="only say whether the settings fit")
    parser.add_argument(
        FLAG,
        metavar="KEY,KEY",
        help="only forget what was changed of these settings at run time, and do not start",
    )
    for knob in KNOBS:
        if knob.secret:
            # Every user of the machine sees the flags of its processes.
            continue
        unit = f" ({knob.unit})" if knob.unit else ""
        parser.add_argument(
            knob.flag,
            dest=knob.key,
            metavar=knob.type.name,
            help=f"{knob.help}{unit} [{knob.variable}]".replace("%", "%%"),
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
