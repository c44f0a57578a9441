"""Asks the daemon: finds its socket, sends a request, makes a value or a failure of the answer.

What may live here: connecting, JSON both ways, and what each status and each error of the socket
means for a person. One request is one connection.
"""

from __future__ import annotations

import socket
import sys

from ocpctl.failures import Broken, NoAccess, NotRunning, Refused
from ocpctl.fields import Fields, Json, clean_text
from ocpctl.http import PIECE, Reply, Request, build_target, exchange
from ocpctl.places import SYSTEM, USER
from ocpctl.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from ocpctl.places import Place

# Seconds. A daemon that copies or imports a store may be silent for a while.
PROMPT_S = 15.0
PATIENT_S = 180.0

ANSWER_LIMIT = 64 * 1024 * 1024
_REFUSAL_LIMIT = 1024 * 1024

_FORBIDDEN = (401, 403)


class Stream:
    """A body that comes in pieces. Use it with ``with``."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._reply.close()

    def __iter__(self) -> Iterator[bytes]:
        with _Mapped():
            yield from self._reply.pieces()


class Client:
    """Talks to the first of ``places`` where somebody listens.

    ``warn`` is told, once, that the daemon is of another version. ``command`` is what the user
    typed, for the advice to type it again with sudo. ``bearer`` is sent over TCP only.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        warn: Callable[[str], None],
        command: str = "ocpctl",
        bearer: str = "",
        platform: str = "linux",
    ) -> None:
        self._places = list(places)
        self._warn = warn
        self._command = command
        self._bearer = bearer
        self._platform = platform
        self.daemon_version: str | None = None
        self._is_demo = False
        # Where the last connection went; the process that listens there, if the kernel tells.
        self.place: Place | None = None
        self.peer_pid: int | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it looks for the daemon."""
        return tuple(self._places)

    def hush(self) -> None:
        """Warn of nothing: who asks judges versions, and demos, himself."""
        self._warn = _say_nothing

    # Asking.

    def get(self, *segments: str, query: Mapping[str, str] | None = None) -> Json:
        """Ask for the path of these segments; returns the JSON of the answer.

        Raises NotRunning, NoAccess, Refused or Broken, as every method here does.
        """
        return self.call("GET", *segments, query=query)

    def call(
        self, method: str, *segments: str, body: Json = None, query: Mapping[str, str] | None = None
    ) -> Json:
        """Send ``body`` as JSON, if there is one; returns the JSON of the answer."""
        request = Request(method, build_target(segments, query))
        patience_s = PROMPT_S
        if body is not None:
            content = _encode(body)
            request.carry(_slices(content), len(content), "application/json")
            # Whoever sends this much sends something to be worked on.
            patience_s = PROMPT_S if len(content) < PIECE else PATIENT_S
        return self._ask(request, patience_s)

    def upload(self, *segments: str, content: BinaryIO, size: int) -> Json:
        """Send ``size`` bytes of a file; returns the JSON of the answer."""
        request = Request("POST", build_target(segments, None))
        request.carry(_file_pieces(content, size), size, "application/octet-stream")
        return self._ask(request, PATIENT_S)

    def stream(
        self, *segments: str, query: Mapping[str, str] | None = None, endless: bool = False
    ) -> Stream:
        """Ask for a body that comes in pieces. ``endless``: it may pause as long as it likes."""
        request = Request("GET", build_target(segments, query))
        with _Mapped():
            reply = self._send(request, PATIENT_S)
        if endless:
            reply.wait_forever()
        return Stream(reply)

    def _ask(self, request: Request, patience_s: float) -> Json:
        with _Mapped():
            reply = self._send(request, patience_s)
            try:
                return _decode(reply.read_whole(ANSWER_LIMIT))
            finally:
                reply.close()

    def _send(self, request: Request, patience_s: float) -> Reply:
        connection, place = self._connect()
        bearer = self._bearer if place.is_tcp else ""
        try:
            connection.settimeout(patience_s)
            reply = exchange(connection, request, place.authority, bearer)
        except BaseException:
            connection.close()
            raise
        try:
            self._judge(reply, place)
        except BaseException:
            reply.close()
            raise
        return reply

    # Connecting.

    def _connect(self) -> tuple[socket.socket, Place]:
        absent: list[str] = []
        forbidden: list[Place] = []
        for place in self._places:
            try:
                connection = _dial(place)
            except PermissionError:
                forbidden.append(place)
            except OSError as error:
                absent.append(f"{place}: {(error.strerror or str(error)).lower()}")
            else:
                self.place, self.peer_pid = place, _peer_pid(connection, self._platform)
                return connection, place
        if forbidden:
            raise NoAccess(f"you may not use {forbidden[0]}", self._access_advice(forbidden[0]))
        raise NotRunning("ocpd does not answer", (*absent, *self._start_advice()))

    def _start_advice(self) -> tuple[str, ...]:
        if self._platform == "darwin":
            return ("is the daemon running? try: brew services info ocpd",)
        kinds = {place.kind for place in self._places}
        tries = ["systemctl status ocpd"] if kinds != {USER} else []
        tries += ["systemctl --user status ocpd"] if kinds != {SYSTEM} else []
        return (f"is the daemon running? try: {', or: '.join(tries)}",)

    def _access_advice(self, place: Place) -> tuple[str, ...]:
        if place.is_tcp:
            return ("changes over TCP need the admin key: OCPD_ADMIN_KEY=... ocpctl ...",)
        # Of an instance it is that user's own group.
        is_instances = place.path.startswith("/run/ocpd-")
        if self._platform == "darwin" or place.kind == USER or is_instances:
            return (f"try: sudo {self._command}",)
        return (
            f"try: sudo {self._command}",
            "or join group ocpd: sudo usermod -aG ocpd $USER, then log in again",
        )

    # Answers.

    def _judge(self, reply: Reply, place: Place) -> None:
        self._compare_versions(reply.headers.get("x-ocpd-version"))
        if reply.headers.get("x-ocpd-demo") and not self._is_demo:
            self._is_demo = True
            self._warn("this ocpd is a demo: its answers are canned, and so is the plan it shows")
        if not 200 <= reply.status < 300:
            raise self._refusal(reply, place)

    def _compare_versions(self, theirs: str | None) -> None:
        if theirs and theirs not in (VERSION, self.daemon_version):
            self._warn(f"ocpd is {clean_text(theirs)}, this ocpctl is {VERSION}: restart or update")
        self.daemon_version = theirs or self.daemon_version

    def _refusal(self, reply: Reply, place: Place) -> Refused | NoAccess:
        try:
            body = _decode(reply.read_whole(_REFUSAL_LIMIT))
        except Broken:
            body = None
        told = Fields(body)
        message = told.part("error").text("message") or told.text("error")
        message = message or f"ocpd answered with HTTP status {reply.status}"
        if reply.status in _FORBIDDEN:
            return NoAccess(message, self._access_advice(place))
        return Refused(reply.status, message, body)


def _say_nothing(_text: str) -> None:
    """Nobody needs to hear it."""


class _Mapped:
    """Makes failures of ours out of those of sockets."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TimeoutError):
            raise Broken("ocpd took the request and did not answer in time") from error
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise Broken(f"the connection to ocpd was lost: {reason.lower()}") from error


def _dial(place: Place) -> socket.socket:
    if place.is_tcp:
        connection = socket.create_connection((place.host, place.port), PROMPT_S)
        return _secure(connection, place.host) if place.is_tls else connection
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(PROMPT_S)
        # As ocpd spells one without a file, which only a socket unit makes.
        is_abstract = place.path.startswith("@")
        connection.connect("\0" + place.path[1:] if is_abstract else place.path)
    except BaseException:
        connection.close()
        raise
    return connection


def _secure(connection: socket.socket, host: str) -> socket.socket:
    import ssl  # noqa: PLC0415 - it takes long to load, and a Unix socket needs none

    try:
        # Whom the system trusts, or SSL_CERT_FILE alone.
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        connection.close()
        raise Broken(
            f"the certificate of {host} is not one to trust: {error.verify_message};"
            " SSL_CERT_FILE=FILE names the one that signed it"
        ) from error
    except BaseException:
        connection.close()
        raise


def _peer_pid(connection: socket.socket, platform: str) -> int | None:
    if connection.family != socket.AF_UNIX or not platform.startswith("linux"):
        return None
    # struct ucred begins with the pid. It is that of whoever made the socket listen.
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(told[:4], sys.byteorder) or None


def _encode(body: Json) -> bytes:
    import json  # noqa: PLC0415, TID251 - ocpctl starts without msgspec

    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _decode(content: bytes) -> Json:
    import json  # noqa: PLC0415, TID251 - ocpctl starts without msgspec

    if not content.strip():
        return None
    try:
        body: Json = json.loads(content)
    except (ValueError, RecursionError):
        raise Broken("the answer is not JSON: is that the socket of ocpd?") from None
    return body


def _slices(content: bytes) -> Iterable[bytes]:
    return (content[at : at + PIECE] for at in range(0, len(content), PIECE))


def _file_pieces(content: BinaryIO, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = content.read(min(left, PIECE))
        if not piece:
            raise Broken("the file became shorter while it was read")
        left -= len(piece)
        yield piece
