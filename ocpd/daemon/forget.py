"""The way back from a setting that was changed at run time and keeps ocpd from starting.

What may live here: taking such changes out of the store while no daemon runs, and the command that
does it. While one runs, ``ocpctl settings --reset`` does it.
"""

import os
import pwd
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ocpd.aio import wall_clock
from ocpd.errors import OcpdError
from ocpd.pool.home import state_directory
from ocpd.store.audit import AuditEntry
from ocpd.store.files import DATABASE
from ocpd.store.store import Store

FLAG = "--forget"


class CannotForget(Exception):
    """Nothing was forgotten; the text says why."""


async def forget(state: Path, keys: Sequence[str]) -> tuple[str, ...]:
    """Take back what was changed at run time of the settings ``keys``; returns those that were.

    Durable on return, and in the book of changes. Raises CannotForget when there is no database in
    ``state``, when it cannot be written, or when an ocpd that runs has it.
    """
    try:
        # The store would make one, and find nothing to forget in it.
        os.stat(state / DATABASE)
        async with Store(state) as store:
            found = store.knobs.all()
            forgotten = tuple(key for key in keys if key in found)
            if forgotten:
                await store.knobs.put(dict.fromkeys(forgotten), by=f"ocpd {FLAG}")
                await store.audit.write(_entry(forgotten))
    except OSError as error:
        raise CannotForget(
            f"{state / DATABASE}: {error.strerror}; OCPD_STATE_DIR names the folder it is in"
        ) from error
    except OcpdError as error:
        while_running = (
            f" While it runs: ocpctl settings --reset {' '.join(keys)}"
            if error.code == "store_in_use"
            else ""
        )
        raise CannotForget(f"{error.message}{while_running}") from error
    return forgotten


def _entry(keys: Sequence[str]) -> AuditEntry:
    uid = os.getuid()
    return AuditEntry(
        wall_clock(), uid, "command line", f"uid {uid}", "settings.reset", ", ".join(keys)
    )


def spell_forget(environ: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return the command that forgets ``keys`` of a daemon with this environment."""
    is_named = Path(sys.argv[0]).name == "ocpd"
    words = [sys.argv[0]] if is_named else [sys.executable, "-m", "ocpd"]
    if environ.get("OCPD_STATE_DIR") or environ.get("STATE_DIRECTORY"):
        # A service has it from elsewhere than whoever types the command.
        words = ["env", f"OCPD_STATE_DIR={state_directory(environ)}", *words]
    if environ.get("STATE_DIRECTORY", "").startswith("/var/lib/"):
        words = ["sudo", "-u", _own_name(), *words]
    return shlex.join([*words, FLAG, ",".join(keys)])


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"#{os.geteuid()}"
