"""What the tests of the wire stand on: a daemon, the scripted API behind it, callers in front.

What may live here: putting them up, asking in the ways callers ask, and reading what the upstream
heard. What is expected stands in the tests.
"""

import contextlib
import http.client
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ocpd.api.health import Report
from ocpd.claude.argv import Lane
from ocpd.models import Models
from ocpd.settings.values import Settings
from tests.kit.daemon import DaemonThread, child_environ, scripted_lane
from tests.kit.journal import Received
from tests.kit.leaks import descendants, is_alive
from tests.kit.upstream import Upstream

REMINDER = "<system-reminder>"
WITHIN_S = 10.0

Asked = str | Sequence[Mapping[str, Any]]


class Told(msgspec.Struct):
    """A streamed answer as the official client read it. ``error`` is what broke it off."""

    chunks: list[ChatCompletionChunk]
    error: openai.APIError | None = None

    @property
    def pieces(self) -> list[str]:
        """The texts of the chunks that have one."""
        found = [c.choices[0].delta.content for c in self.chunks if c.choices]
        return [text for text in found if text]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)

    @property
    def finish(self) -> list[str]:
        """Every finish reason that was said."""
        found = [c.choices[0].finish_reason for c in self.chunks if c.choices]
        return [reason for reason in found if reason]

    @property
    def usages(self) -> list[CompletionUsage]:
        """Every usage that was said."""
        return [c.usage for c in self.chunks if c.usage is not None]


class Stage:
    """One daemon with one official client. ``upstream`` plays the Messages API."""

    def __init__(self, daemon: DaemonThread, upstream: Upstream, client: openai.OpenAI) -> None:
        self.daemon = daemon
        self.upstream = upstream
        self.client = client

    def ask(self, asked: Asked, **more: Any) -> ChatCompletion:
        """One answer, not streamed."""
        wanted = {"model": "sonnet", "messages": messages_of(asked), **more}
        answer: ChatCompletion = self.client.chat.completions.create(**wanted)
        return answer

    def stream(self, asked: Asked, **more: Any) -> Told:
        """One answer, streamed and read to its end, also if that is an error event."""
        wanted = {"model": "sonnet", "messages": messages_of(asked), **more}
        told = Told([])
        with self.client.chat.completions.create(stream=True, **wanted) as chunks:
            try:
                told.chunks.extend(chunks)
            except openai.APIError as error:
                told.error = error
        return told

    def refusal(self, asked: Asked, *, stream: bool = False, **more: Any) -> openai.APIStatusError:
        """The error status that this is answered with; an answer fails the test."""
        try:
            self.stream(asked, **more) if stream else self.ask(asked, **more)
        except openai.APIStatusError as error:
            return error
        raise AssertionError("this was answered")

    def post(self, asked: Asked, **more: Any) -> "Page":
        """The answer to a chat request as plain HTTP, read whole."""
        return fetch(self.daemon.port, "POST", "/v1/chat/completions", body_of(asked, **more))

    def get(self, path: str, **headers: str) -> "Page":
        """What stands at ``path``."""
        return fetch(self.daemon.port, "GET", path, headers=headers)

    def heard(self) -> Received:
        """The one request that reached the upstream."""
        (request,) = self.upstream.requests
        return request

    def call(self, asked: Asked, **more: Any) -> "Caller":
        """Send a request on a bare socket and return it with nothing read."""
        return Caller(self.daemon.port, body_of(asked, **more))

    def wait_report(self, is_so: Callable[[Report], bool]) -> Report:
        """Wait until /health would say so."""
        return self.daemon.wait_until(is_so, WITHIN_S)

    def assert_at_rest(self) -> Report:
        """Nothing runs, nothing waits, and no process is left but parked ones."""
        report = self.daemon.wait_quiet()
        assert report.concurrency.queued == 0
        stats = report.stats
        assert stats.active_requests == 0
        return report


class Page(msgspec.Struct, frozen=True):
    """One HTTP answer; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> dict[str, Any]:
        """The body as the JSON object it is."""
        return msgspec.json.decode(self.body, type=dict[str, Any])

    @property
    def error(self) -> dict[str, Any]:
        """What is inside ``error``."""
        found: dict[str, Any] = self.json()["error"]
        assert set(found) == {"message", "type", "param", "code"}
        return found


def fetch(
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Page:
    """Make one HTTP request on a connection of its own. ``headers`` may replace the host."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        given = {"content-type": "application/json"} if body else {}
        connection.request(method, path, body or None, {**given, **(headers or {})})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Page(response.status, found, response.read())
    finally:
        connection.close()


class Caller:
    """A caller without manners: a bare socket that sent a request and may leave at any time."""

    def __init__(self, port: int, body: bytes, headers: Sequence[str] = ()) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), WITHIN_S)
        lines = (
            "POST /v1/chat/completions HTTP/1.1",
            "host: 127.0.0.1",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *headers,
        )
        self.socket.sendall("\r\n".join((*lines, "", "")).encode() + body)
        self.seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def read_until(self, wanted: bytes) -> bytes:
        """Read until ``wanted`` came; returns all that came so far."""
        while wanted not in self.seen:
            data = self.socket.recv(65536)
            assert data, f"the connection ended after {self.seen[-500:]!r}"
            self.seen += data
        return self.seen

    def read_all(self) -> bytes:
        """Read until the daemon closes; returns everything."""
        while data := self.socket.recv(65536):
            self.seen += data
        return self.seen

    def hang_up(self) -> None:
        """Send no more, but keep listening."""
        self.socket.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """Close the socket, as a program does that ends."""
        self.socket.close()

    def vanish(self) -> None:
        """Reset the connection, as a program does that is killed with data unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@contextlib.contextmanager
def open_stage(
    upstream: Upstream,
    home: Path,
    cli: Path,
    *,
    settings: Settings | None = None,
    lane: Lane | None = None,
    environ: Mapping[str, str] | None = None,
    models: Models | None = None,
    stops_running: bool = False,
) -> Iterator[Stage]:
    """Put up a daemon whose CLI is ``cli``. No spares unless the settings say so: a test that
    does not look at them need not pay for them. Leaving waits until nothing runs any more, but
    not if ``stops_running``: then the daemon is stopped as it is."""
    home.mkdir(parents=True, exist_ok=True)
    surroundings = {**child_environ(home, cli), **(environ or {})}
    with (
        DaemonThread(
            settings or quick(), surroundings, lane or scripted_lane(upstream.url), models
        ) as daemon,
        daemon.client() as client,
    ):
        stage = Stage(daemon, upstream, client)
        yield stage
        if not stops_running:
            stage.assert_at_rest()


def quick(**changes: Any) -> Settings:
    """Settings of a daemon on a free port, without spares and with one retry of the CLI's own."""
    return msgspec.structs.replace(Settings(port=0, spares=0, cli_max_retries=1), **changes)


@contextlib.contextmanager
def in_background() -> Iterator[ThreadPoolExecutor]:
    """Threads for callers that wait; joined when the block is left."""
    with ThreadPoolExecutor(16, "caller") as pool:
        yield pool


def messages_of(asked: Asked) -> list[Any]:
    """The messages of a request; a text is one question of the user's."""
    if isinstance(asked, str):
        return [{"role": "user", "content": asked}]
    return list(asked)


def body_of(asked: Asked, **more: Any) -> bytes:
    """The JSON of a request; ``more`` adds fields, and None leaves one out."""
    fields = {"model": "sonnet", "messages": messages_of(asked), **more}
    return msgspec.json.encode({k: v for k, v in fields.items() if v is not None})


def say(*texts: str) -> list[dict[str, str]]:
    """A conversation: user, assistant, user, ..."""
    roles = ("user", "assistant")
    return [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]


def conversation(request: Received) -> list[tuple[str, list[str]]]:
    """Who said what in the upstream's request, without what the CLI says about itself."""
    found = []
    for message in request.messages:
        if message["role"] != "system":
            texts = [t for t in _texts(message["content"]) if not _is_about_cli(t)]
            found.append((message["role"], texts))
    return found


def system_prompt(request: Received) -> list[str]:
    """What the upstream got as system prompt, without the two lines that the CLI opens with."""
    return _texts(request.body["system"])[2:]


def _texts(content: str | list[dict[str, Any]]) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in content if block["type"] == "text"]


def _is_about_cli(text: str) -> bool:
    openings = ("# Environment", "You are powered by", "Today's date")
    return text.startswith(tuple(f"{REMINDER}\n{opening}" for opening in openings))


def family_of(daemon_pid: int) -> frozenset[int]:
    """The living processes below ``daemon_pid``."""
    return frozenset(pid for pid in descendants(daemon_pid) if is_alive(pid))
