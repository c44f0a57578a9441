"""What systemd hears of us: ready, status, alive, reloading, stopping.

What may live here: our few states on top of the ``sdnotify`` package. Without NOTIFY_SOCKET all
of it does nothing.
"""

import os
from typing import Final

import sdnotify

PATIENCE_S: Final = 1.0
"""Seconds that a manager may take to take what it must not miss."""


class Notifier:
    """Talks to the service manager that started us, if one did."""

    def __init__(self) -> None:
        self._systemd = _connect() if os.environ.get("NOTIFY_SOCKET") else None
        self.is_heard = self._systemd is not None
        self.watchdog_s = _read_watchdog() if self.is_heard else None
        """How often the manager wants to hear that we live, in seconds; None if it does not."""
        self._status = ""

    def ready(self, status: str) -> None:
        """We serve; ``status`` is one line for ``systemctl status``."""
        self._status = status
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self, steady_s: float) -> None:
        """We read our files again; ``ready`` ends it. ``steady_s`` is now on the steady clock
        (Type=notify-reload needs it, sd_notify(3))."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(steady_s * 1_000_000)}")

    def stopping(self, status: str) -> None:
        """We are going down, as asked."""
        self._status = status
        self._tell(f"STOPPING=1\nSTATUS={status}")

    def alive(self, status: str, more_s: float | None = None) -> None:
        """We live. ``status`` is sent if it is another than before; ``more_s`` asks for so many
        seconds more before we are given up while we stop."""
        told = [] if self.watchdog_s is None else ["WATCHDOG=1"]
        if status != self._status:
            told.append(f"STATUS={status}")
        if more_s is not None:
            told.append(f"EXTEND_TIMEOUT_USEC={int(more_s * 1_000_000)}")
        # A manager that has no time now hears the next one; we are not to stand still for it.
        if told and self._tell("\n".join(told), patience_s=0.0):
            self._status = status

    def close(self) -> None:
        """Tell nothing more."""
        if self._systemd is not None:
            self._systemd.socket.close()

    def _tell(self, message: str, patience_s: float = PATIENCE_S) -> bool:
        if self._systemd is None:
            return False
        self._systemd.socket.settimeout(patience_s)
        try:
            self._systemd.notify(message)
        except (OSError, UnicodeError):
            return False
        return True


def _connect() -> sdnotify.SystemdNotifier | None:
    try:
        # Its word for: let failures be seen.
        return sdnotify.SystemdNotifier(debug=True)
    except OSError:
        return None


def _read_watchdog() -> float | None:
    # sd_watchdog_enabled(3): meant for us if it names us, or nobody.
    usec = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    return int(usec) / 1_000_000 if is_ours and usec.isdecimal() and int(usec) > 0 else None
