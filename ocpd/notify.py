"""What systemd hears of us: ready, status, stopping.

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

    def stopping(self) -> None:
        """We are going down, as asked."""
        self._systemd.notify("STOPPING=1\nSTATUS=finishing running turns")
