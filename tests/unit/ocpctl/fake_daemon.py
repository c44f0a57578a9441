"""An admin surface to talk to: a real Unix socket, and answers that a test sets up beforehand."""

import contextlib
import json  # noqa: TID251 - ocpctl is tested by what is not its own daemon
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

_SILENCE_S = 20.0


class Heard(msgspec.Struct):
    """One request as it came. Header names are lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def route(self) -> str:
        """Method and target."""
        return f"{self.method} {self.target}"

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


# What is sent, whole: a test may lie in it.
Raw = Iterable[bytes]
Answer = Callable[[Heard], Raw]


def answered(
    body: object = None,
    *,
    status: int = 200,
    version: str | None = "0.1.0",
    chunked: bool = False,
    demo: bool = False,
) -> Raw:
    """Return the bytes of a JSON answer; bytes stay what they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} Whatever", "Content-Type: application/json", "Connection: close"]
    if version is not None:
        head.append(f"X-Ocpd-Version: {version}")
    if demo:
        head.append("X-Ocpd-Demo: 1")
    if chunked:
        head.append("Transfer-Encoding: chunked")
        pieces = [content[at : at + 7] for at in range(0, len(content), 7)]
        content = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        head.append(f"Content-Length: {len(content)}")
    return ["\r\n".join((*head, "", "")).encode(), content]


def refused(message: str, status: int = 400, **more: object) -> Raw:
    """Return the bytes of a refusal as the daemon words it."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return answered({"error": error, **more}, status=status)


class FakeDaemon:
    """Listens on ``path`` while it is entered. ``answers`` is by route, such as "GET /usage"; what
    stands there is sent, or called with the request to make what is sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Raw | Answer] = {}
        self.heard: list[Heard] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="fake daemon")
        self._is_ending = False

    def __enter__(self) -> "FakeDaemon":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._listening.bind(str(self.path))
        self._listening.listen(8)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waker:
            waker.connect(str(self.path))
        self._thread.join(_SILENCE_S)
        self._listening.close()
        self.path.unlink()
        assert not self._thread.is_alive()

    @property
    def last(self) -> Heard:
        """The newest request."""
        return self.heard[-1]

    @property
    def routes(self) -> list[str]:
        """What was asked for, in order."""
        return [heard.route for heard in self.heard]

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            with connection:
                if self._is_ending:
                    return
                connection.settimeout(_SILENCE_S)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._serve_one(connection)

    def _serve_one(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as file:
            method, target, _ = file.readline().decode().split()
            headers: dict[str, str] = {}
            while (line := file.readline().decode().strip()) != "":
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            body = file.read(int(headers.get("content-length", "0")))
        heard = Heard(method, target, headers, body)
        self.heard.append(heard)
        answer = self.answers.get(heard.route)
        if answer is None:
            answer = refused(f"no route {heard.route}", 404)
        for piece in answer(heard) if callable(answer) else answer:
            connection.sendall(piece)
