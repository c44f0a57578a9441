"""What TLS costs: a new connection, a request on one that is kept, a megabyte.

What may live here: two daemons side by side, one with a certificate, asked in turns. The client is
OpenSSL's own too, on the same machine, so the times hold both sides' work; the CPU is the daemon's.
"""

import contextlib
import http.client
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench import stage
from tests.kit.certificates import Authority

CONNECTIONS = 2_000
REQUESTS = 10_000
BODIES = 100
ROUNDS = 10
BODY = b"{" + b" " * 4_000_000
"""Read as a whole, and refused at its end: it is no JSON."""


class Side(msgspec.Struct):
    """One of the two daemons; ``context`` is None for plain HTTP. Milliseconds and CPU seconds by
    what was measured."""

    name: str
    pid: int
    port: int
    context: ssl.SSLContext | None
    times: dict[str, list[float]] = {}
    cpu: dict[str, float] = {}

    def connect(self) -> http.client.HTTPConnection:
        """Make a client; it connects with its first request."""
        if self.context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.context)

    def measure(self, what: str, count: int, ask: Callable[[], None]) -> None:
        """Ask ``count`` times and keep the figures."""
        before = stage.cpu_of(self.pid).own
        times = self.times.setdefault(what, [])
        for _ in range(count):
            started = time.monotonic()
            ask()
            times.append((time.monotonic() - started) * 1000)
        self.cpu[what] = self.cpu.get(what, 0.0) + stage.cpu_of(self.pid).own - before


def ask(client: http.client.HTTPConnection, body: bytes = b"") -> None:
    """Make one request and read its answer."""
    if body:
        head = {"content-type": "application/json"}
        client.request("POST", "/v1/chat/completions", body, head)
    else:
        client.request("GET", "/v1/models")
    response = client.getresponse()
    response.read()
    assert response.status == (400 if body else 200), response.status


def ask_once(side: Side) -> None:
    """The same on a connection of its own."""
    with contextlib.closing(side.connect()) as client:
        ask(client)


def round_of(side: Side) -> None:
    """A tenth of everything."""
    side.measure("a request on a new connection", CONNECTIONS // ROUNDS, lambda: ask_once(side))
    with contextlib.closing(side.connect()) as kept:
        ask(kept)
        side.measure("a request on a kept one", REQUESTS // ROUNDS, lambda: ask(kept))
        side.measure("a body of 4 MB", BODIES // ROUNDS, lambda: ask(kept, BODY))


def report(sides: list[Side]) -> None:
    """Print them side by side."""
    print("\nHTTP and HTTPS, one at a time             p50/p95 ms         daemon's CPU, us each")
    for what in sides[0].times:
        for side in sides:
            times = side.times[what]
            each = side.cpu[what] / len(times) * 1_000_000
            print(f"  {what:30} {side.name:6}{stage.p50_p95(times)}   {each:12.0f}")


def main() -> None:
    """Run it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocpd-bench-")))
        url = stack.enter_context(stage.upstream())
        authority = Authority(folder)
        pair = authority.issue()
        flags = ("--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key))
        common = ("--spares", "0")
        plain = stack.enter_context(stage.daemon(url, *common))
        secured = stack.enter_context(stage.daemon(url, *common, *flags))
        sides = [Side("http", *plain, None), Side("https", *secured, authority.trusting())]
        for side in sides:
            ask_once(side)
        for _ in range(ROUNDS):
            for side in sides:
                round_of(side)
        report(sides)
