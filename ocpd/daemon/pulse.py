"""What the service manager is told while the daemon runs and while it stops.

What may live here: the beat, and the words. The beat comes from the event loop itself: if that
stands still, it stops, and the manager starts another daemon.
"""

from typing import Final, assert_never

from ocpd.daemon.chores import pass_time
from ocpd.daemon.state import Daemon, State
from ocpd.notify import Notifier

STATUS_S: Final = 5.0
"""Seconds: how long the status may be behind."""

PATIENCE_S: Final = 30.0
"""Seconds that the manager is asked to wait on, with each beat, for turns that run to their end. It
goes by its own limit otherwise, which knows nothing of drainTimeout; and if we hang, this ends."""


async def beat(notifier: Notifier, daemon: Daemon) -> None:
    """Tell the manager that we live, and how we are, for ever. At once if nobody listens."""
    if not notifier.is_heard:
        return
    every_s = STATUS_S
    if notifier.watchdog_s is not None:
        every_s = min(every_s, notifier.watchdog_s / 2)
    while True:
        more_s = None if daemon.state is State.READY else max(PATIENCE_S, 3 * every_s)
        notifier.alive(spell_status(daemon), more_s)
        await pass_time(every_s)


def spell_status(daemon: Daemon) -> str:
    """Return the line for ``systemctl status``."""
    match daemon.state:
        case State.READY | State.STARTING:
            running = _spell_running(daemon)
            return f"serving on {', '.join(daemon.urls)}; {_spell_login(daemon)}; {running}"
        case State.DRAINING:
            return f"stopping; {_spell_running(daemon)}"
        case State.STOPPED:
            return "stopping"
        case _:
            assert_never(daemon.state)


def _spell_login(daemon: Daemon) -> str:
    match daemon.report().auth.ok:
        case True:
            return "signed in"
        case False:
            return "not signed in"
        case None:
            return "login unknown"


def _spell_running(daemon: Daemon) -> str:
    running = daemon.report().concurrency.inflight
    return f"{running} turn{'' if running == 1 else 's'} running"
