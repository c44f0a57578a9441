"""What the tests of the back door share: the whole of it over a real store, on real sockets.

What may live here: putting it up and asking it; no assertion about the room itself.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import h11
import msgspec

from ocpd.admin.access import Doorman, Policy
from ocpd.admin.audit import Audit, Journal
from ocpd.admin.backup import Backup
from ocpd.admin.cache import Cache
from ocpd.admin.desk import Desk, Inputs
from ocpd.admin.keys import Keys
from ocpd.admin.knobs import Knobs
from ocpd.admin.login import Login, LoginSources
from ocpd.admin.logs import Logs
from ocpd.admin.peers import find_user
from ocpd.admin.quotas import Quotas
from ocpd.admin.routes import Desks, back_door
from ocpd.admin.sessions import KeptSessions, SessionBook, Sessions
from ocpd.admin.status import Status, StatusSources
from ocpd.admin.takeover import Takeover
from ocpd.admin.usage import Usage
from ocpd.aio import wall_clock
from ocpd.dispatch.guard import GuardState
from ocpd.errors import BadRequest
from ocpd.http.listener import Server
from ocpd.http.router import Router, make_handler
from ocpd.log import Ring
from ocpd.pool.login import Login as LoginVerdict
from ocpd.pool.probe import Probe
from ocpd.settings.knob import SettingsError
from ocpd.settings.load import load_settings
from ocpd.settings.values import Settings
from ocpd.store.store import Store
from ocpd.store.sums import UsageRow
from ocpd.turn.request import TurnId
from tests.unit.http.stage import make_limits

ADMIN_KEY = "ocp_admin_of_the_tests_0123456789"

MODELS = {"opus": "claude-opus-5", "sonnet": "claude-sonnet-5"}


class Verdict(msgspec.Struct):
    ok: bool | None = True
    message: str = "signed in"


class Counts(msgspec.Struct):
    total_requests: int = 7
    active_requests: int = 1
    errors: int = 2
    timeouts: int = 1


class Fault(msgspec.Struct):
    time: str
    message: str


class Report(msgspec.Struct):
    """What /health would say."""

    status: str = "ok"
    version: str = "0.1.0"
    urls: tuple[str, ...] = ("http://127.0.0.1:3456",)
    uptime: int = 23_520_000
    auth: Verdict = msgspec.field(default_factory=Verdict)
    stats: Counts = msgspec.field(default_factory=Counts)
    recent_errors: list[Fault] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)
    plan_guard: GuardState = GuardState("warn", plan_only=True, overage_until=None, stopped=())


class Safe:
    """A token safe that is an attribute."""

    def __init__(self) -> None:
        self.token: str | None = None

    @property
    def is_stored(self) -> bool:
        return self.token is not None

    async def store(self, token: str) -> None:
        self.token = token

    async def remove(self) -> bool:
        had, self.token = self.token is not None, None
        return had


class Answer:
    """One answer as a client sees it."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.body[:300]!r}>"

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a refusal."""
        found = self.json["error"]
        assert isinstance(found, dict), found
        assert set(found) == {"message", "type", "param", "code"}
        return found


class House:
    """The back door over a store. Its parts are there to be changed by a test."""

    def __init__(self, store: Store, place: Path, **options: Any) -> None:
        self.store = store
        self.socket = place / "ocpd.sock"
        self.port = 0
        self.report = Report()
        self.ring = Ring()
        self.safe = Safe()
        self.policy = Policy(**options.get("policy", {}))
        self.guests: set[int] = {0, os.geteuid()}
        self.file: dict[str, object] = dict(options.get("file", {}))
        self.argv: dict[str, str] = dict(options.get("argv", {}))
        self.environ: dict[str, str] = dict(options.get("environ", {}))
        self.applied: list[Settings] = []
        self.renewals = 0
        self.looks = 0
        self.book: SessionBook = options.get("book") or KeptSessions(store.conversations, lambda: 0)
        self.broken_file = ""
        self.broken_table = ""
        self.journal = Journal(store.audit)
        self.desk = self._make_desk()
        self.logs = Logs(self.ring)
        self.probe = Probe(options.get("claude", "/nonexistent/claude"), self.environ, {})
        self.login = LoginVerdict(self.probe, has_token=False, timeout_s=10.0)
        self.server: Server

    def _make_desk(self) -> Desk:
        runtime = self.store.knobs.all()
        loaded = load_settings(self.argv, self.environ, self.file, runtime)
        inputs = Inputs(self.argv, self.environ, self._read_file, check_whole, self._check_afresh)
        return Desk(inputs, self.store.knobs, self._apply, file=dict(self.file), loaded=loaded)

    def _read_file(self) -> Mapping[str, object]:
        if self.broken_file:
            raise SettingsError(self.broken_file)
        return dict(self.file)

    async def _apply(self, settings: Settings) -> None:
        self.applied.append(settings)

    def _check_afresh(self, settings: Settings) -> None:
        if self.broken_table:
            raise SettingsError(self.broken_table)
        check_whole(settings)

    async def _renew(self) -> None:
        self.renewals += 1

    def _note_look(self) -> None:
        self.looks += 1

    def desks(self) -> Desks:
        store, journal = self.store, self.journal
        takeover = Takeover(store, self.desk, resolve_model)
        return Desks(
            status=Status(
                StatusSources(
                    report=lambda: self.report,
                    store=store,
                    active_sessions=lambda: len(self.book.list()),
                    started_at=0.0,
                    note_look=self._note_look,
                )
            ),
            usage=Usage(store.usage),
            keys=Keys(store.keys, store.quotas, resolve_model, journal),
            quotas=Quotas(store.keys, store.quotas, store.usage, journal, lambda _: 2),
            knobs=Knobs(self.desk, journal),
            logs=self.logs,
            sessions=Sessions(self.book, journal),
            cache=Cache(store.cache, journal),
            backup=Backup(store, takeover, self.desk.refresh, journal),
            login=Login(
                LoginSources(
                    login=self.login,
                    probe=self.probe,
                    safe=self.safe,
                    keys=store.keys,
                    environ=self.environ,
                    renew=self._renew,
                ),
                journal,
            ),
            audit=Audit(store.audit),
        )

    def doorman(self) -> Doorman:
        return Doorman(self.store.keys, lambda: self.policy, self.guests.__contains__, find_user)

    async def unix(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask over the Unix socket."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        return await talk(reader, writer, request_of(method, target, body, headers or {}))

    async def tcp(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask over TCP, from this machine."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        told = {"host": f"127.0.0.1:{self.port}", **(headers or {})}
        return await talk(reader, writer, request_of(method, target, body, told))

    async def admin(self, method: str, target: str, body: Any = None) -> Answer:
        """Ask over TCP with the admin key."""
        return await self.tcp(method, target, body, {"authorization": f"Bearer {ADMIN_KEY}"})

    async def actions(self) -> list[str]:
        """The actions in the audit log, oldest first."""
        return [entry.action for entry in await self.store.audit.tail(100)]


def check_whole(settings: Settings) -> None:
    """A rule over two settings, such as the daemon has."""
    if settings.spares > settings.max_spares:
        raise SettingsError(f"spares: {settings.spares} are more than maxSpares")


def resolve_model(name: str) -> str:
    """Know two models."""
    if name in MODELS.values():
        return name
    if name not in MODELS:
        raise BadRequest(f"unknown model {name!r}", code="model_not_found")
    return MODELS[name]


@contextlib.asynccontextmanager
async def open_house(place: Path, **options: Any) -> AsyncIterator[House]:
    """Put everything up in ``place``; the options are those of ``House``, and ``clock``."""
    clock: Callable[[], float] = options.pop("clock", wall_clock)
    async with Store(place / "state", clock=clock) as store:
        house = House(store, place, **options)
        router = Router(back_door(house.desks(), house.doorman()))
        async with Server(make_handler(router), make_limits()) as server:
            house.server = server
            await server.listen_unix(house.socket, mode=0o600)
            ((_, house.port),) = await server.listen(["127.0.0.1"], 0)
            yield house
            house.logs.close()


def request_of(method: str, target: str, body: Any, headers: Mapping[str, str]) -> bytes:
    """Spell a request; a body that is not bytes is sent as JSON, without saying so."""
    data = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    told = {"host": "localhost", "connection": "close", "content-length": str(len(data))}
    lines = [f"{name}: {value}" for name, value in (told | dict(headers)).items()]
    head = "\r\n".join((f"{method} {target} HTTP/1.1", *lines, "", ""))
    return head.encode("latin-1") + data


async def talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> Answer:
    """Send a request and read to the end of the connection."""
    try:
        writer.write(request)
        await writer.drain()
        received = await reader.read()
        return parse_answer(received)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def parse_answer(received: bytes) -> Answer:
    """Take an answer apart."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(received)
    parser.receive_data(b"")
    status, headers, body = 0, {}, bytearray()
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Response):
            status = event.status_code
            headers = {n.decode(): v.decode() for n, v in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.EndOfMessage), event
            return Answer(status, headers, bytes(body))


def row(at: float, **changes: Any) -> UsageRow:
    """One turn of nobody's, finished."""
    told: dict[str, Any] = {
        "at": at,
        "turn_id": TurnId("t"),
        "key_id": None,
        "key_name": "local",
        "model": "claude-sonnet-5",
        "asked_model": "sonnet",
        "dialect": "openai_chat",
        "input_tokens": 100,
        "output_tokens": 20,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": 0.25,
        "first_ms": 800,
        "total_ms": 2_000,
        "queued_ms": 0,
        "status": "finished",
        "http_status": 200,
        "prompt_chars": 400,
        "response_chars": 80,
        "stream": False,
    }
    return UsageRow(**(told | changes))
