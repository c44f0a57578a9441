"""What systemd hears of us: ready, status, reloading, stopping.

What may live here: our few states on top of the ``sdnotify`` package. Without NOTIFY_SOCKET all
of it does nothing.
"""

import sdnotify


class Notifier:
    """Talks to the service manager that started us, if one did."""

    def __init__(self) -> None:
        self._systemd = sdnotify.SystemdNotifier()

    def ready(self, status: str) -> None:
        """We serve; ``status`` is one line for ``systemctl status``."""
        self._systemd.notify(f"READY=1\nSTATUS={status}")

    def reloading(self, steady_s: float) -> None:
        """We read our files again; ``ready`` ends it. ``steady_s`` is now on the steady clock
        (Type=notify-reload needs it, sd_notify(3))."""
        self._systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={int(steady_s * 1_000_000)}")

    def stopping(self) -> None:
        """We are going down, as asked."""
        self._systemd.notify("STOPPING=1\nSTATUS=finishing running turns")
