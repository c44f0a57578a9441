"""What systemd's socket unit decided: it listens for us, so the addresses are not ours to choose.

What may live here: those addresses as values of settings, and the words for who wants others. Pure.
"""

import ipaddress

import msgspec

from ocpd.settings.knob import Knob

ORIGIN = "systemd's socket unit"

_LOCALHOST = "localhost"
_LOOPBACK = ("127.0.0.1", "::1")
"""What that stands for. A unit takes addresses only."""


class SocketUnit(msgspec.Struct, frozen=True):
    """The unit's name, the addresses that it listens on, the Unix sockets that it has beside them,
    and the service that it starts, which may be one of a user's systemd."""

    name: str
    addresses: tuple[tuple[str, int], ...]
    paths: tuple[str, ...] = ()
    service: str = "ocpd.service"
    is_users: bool = False

    def value(self, knob: Knob) -> str | int | None:
        """Return what the unit decided for a setting; None for one that it has nothing to do
        with. With several ports, that is the first."""
        match knob.key:
            case "bind":
                return ",".join(dict.fromkeys(host for host, _ in self.addresses))
            case "port":
                return self.addresses[0][1]
            case _:
                return None

    def agrees(self, knob: Knob, value: object) -> bool:
        """Whether somebody else's value for a setting means the same."""
        if knob.key == "port":
            return all(value == port for _, port in self.addresses)
        wanted = {_plain(host) for host in str(value).split(",")}
        found = {_plain(host) for host, _ in self.addresses}
        return wanted == found or (wanted == {_LOCALHOST} and found <= set(_LOOPBACK))

    def refusal(self, knob: Knob, value: object, origin: str) -> str:
        """Say why ``value`` cannot be, and how to have it."""
        hosts = [host for host, _ in self.addresses]
        port: object = self.addresses[0][1]
        if knob.key == "port":
            port = value
        else:
            hosts = [_LOOPBACK[0] if host == _LOCALHOST else host for host in str(value).split(",")]
        wanted = dict.fromkeys(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts
        )
        streams = [*wanted, *self.paths]
        lines = ["[Socket]", "ListenStream=", *(f"ListenStream={each}" for each in streams)]
        systemctl = "systemctl --user" if self.is_users else "systemctl"
        return (
            f"{origin}: {knob.key} cannot be {value}: {self.name} listens for ocpd, and only it"
            f" decides where; run: {systemctl} edit {self.name}, with the lines"
            f" {' / '.join(lines)}; then: {systemctl} stop {self.service} {self.name};"
            f" {systemctl} start {self.name} {self.service}"
        )


def _plain(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.strip()))
    except ValueError:
        return host.strip().lower()
