"""Where ocpd may be listening, in the order in which to look.

What may live here: paths made of the environment. Nothing is opened here.
"""

from collections.abc import Mapping

from ocpctl.failures import Misuse

SYSTEM = "system"
USER = "user"
GIVEN = "given"

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_HTTP = "http://"
_HTTPS = "https://"
_PORT = 3456


class Place:
    """One address to try. ``kind`` is whose it is: GIVEN, USER or SYSTEM."""

    __slots__ = ("host", "is_tls", "kind", "path", "port")

    def __init__(
        self, kind: str, path: str = "", *, host: str = "", port: int = 0, is_tls: bool = False
    ) -> None:
        self.kind = kind
        self.path = path
        self.host = host
        self.port = port
        self.is_tls = is_tls

    @property
    def is_tcp(self) -> bool:
        """Is it reached over the network?"""
        return bool(self.host)

    @property
    def authority(self) -> str:
        """What belongs into the header Host."""
        if not self.is_tcp:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        scheme = _HTTPS if self.is_tls else _HTTP
        return f"{scheme}{self.authority}" if self.is_tcp else self.path

    def __repr__(self) -> str:
        return f"Place({self.kind}, {self})"


def list_places(
    environ: Mapping[str, str], *, socket: str | None, instance: str | None, platform: str
) -> list[Place]:
    """List the places to try. ``socket`` is a path or an http(s):// address, ``instance`` a name.

    A socket that is named leaves no other choice; ``--socket`` beats ``OCPD_SOCKET``. Otherwise
    the user's own daemon comes before the system's. Raises Misuse for what can be neither.
    """
    if socket and instance:
        raise Misuse("--socket and --instance exclude each other")
    given = socket or ("" if instance else environ.get("OCPD_SOCKET", ""))
    if given:
        return [_read_place(given)]
    if instance is not None and (not instance or instance[0] == "." or set(instance) - _NAME):
        raise Misuse(f"--instance {instance!r}: a name of letters, digits, _ . and - is wanted")
    folder = f"ocpd-{instance}" if instance else "ocpd"
    folders = _user_folders(environ, folder, platform)
    paths = dict.fromkeys(f"{name}/ocpd.sock" for name in folders)
    return [*(Place(USER, path) for path in paths), Place(SYSTEM, f"/run/{folder}/ocpd.sock")]


def _user_folders(environ: Mapping[str, str], folder: str, platform: str) -> list[str]:
    home = environ.get("HOME", "")
    folders = []
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        folders.append(f"{runtime}/{folder}")
    if folder == "ocpd" and (state := environ.get("OCPD_STATE_DIR")):
        folders.append(state)
    if platform == "darwin" and home:
        folders.append(f"{home}/Library/Application Support/{folder}")
    if state := environ.get("XDG_STATE_HOME"):
        folders.append(f"{state}/{folder}")
    elif home:
        folders.append(f"{home}/.local/state/{folder}")
    return folders


def _read_place(text: str) -> Place:
    scheme = next((s for s in (_HTTP, _HTTPS) if text.startswith(s)), "")
    if not scheme:
        if "://" in text:
            raise Misuse(f"--socket {text}: a path or an http(s)://HOST:PORT is wanted")
        return Place(GIVEN, text)
    host, colon, port = text.removeprefix(scheme).rstrip("/").rpartition(":")
    if not colon or port.endswith("]"):
        host, port = host + colon + port, str(_PORT)
    host = host.removeprefix("[").removesuffix("]")
    is_odd = not host or "@" in host or "/" in host or "/" in port
    if is_odd or not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise Misuse(f"--socket {text}: this is no {scheme}HOST:PORT")
    return Place(GIVEN, host=host, port=int(port), is_tls=scheme == _HTTPS)
