"""The scripted Messages API on loopback: in a thread for tests, in a process for demo and bench.

What may live here: the life of the server and the door for the test's thread. What it answers is
in ``script`` and ``canned``, what it refuses in ``checks``, how it plays an answer in ``service``.

    with Upstream() as upstream:
        upstream.script(Say(["Hel", "lo"]), Fail(529))
        ...  # point a client at upstream.url
        upstream.wait_for_requests(2, within_s=5)

    python -m tests.kit.upstream --port 0 [--until-stdin-closes]
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from tests.kit.canned import Canned
from tests.kit.checks import OUTPUT_LIMITS
from tests.kit.journal import Journal, Received
from tests.kit.script import Brain, PlanHeaders, Reply
from tests.kit.service import Connection, Service

_STOP_WITHIN_S = 10.0


class Upstream:
    """The API in a thread of its own. Everything public may be called from any thread.

    ``default`` answers when no scripted reply is left: a reply, or a function from the request to
    one, which runs on the server's thread and must not block. ``models`` adds model id prefixes
    with their output limits. ``strict_sampling`` is explained in ``checks``.
    """

    def __init__(
        self,
        default: Reply | Brain | None = None,
        *,
        plan: PlanHeaders | None = None,
        models: Mapping[str, int] | None = None,
        strict_sampling: bool = False,
    ) -> None:
        self._journal = Journal()
        self._service = Service(default or Canned(), self._journal)
        self._service.plan = plan
        self._service.limits = {**OUTPUT_LIMITS, **(models or {})}
        self._service.strict_sampling = strict_sampling
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kit-upstream")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._port = 0
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._stop.set)
        self._thread.join(_STOP_WITHIN_S)
        assert not self._thread.is_alive(), "the scripted API did not stop"

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self._port}"

    # What to answer...

    def script(self, *replies: Reply | Brain) -> None:
        """Queue replies: each answers one request, then the default takes over again.

        Refused requests, other paths and the CLI's model probes use up none.
        """
        self._call(lambda: self._service.queue.extend(replies))

    def script_default(self, reply: Reply | Brain) -> None:
        """What answers when the queue is empty."""
        self._call(lambda: setattr(self._service, "default", reply))

    def show_plan(self, plan: PlanHeaders | None) -> None:
        """The plan usage that good answers carry from now on."""
        self._call(lambda: setattr(self._service, "plan", plan))

    def know_models(self, models: Mapping[str, int]) -> None:
        """Accept these model id prefixes too, each with its output limit in tokens."""
        limits = {**self._service.limits, **models}
        self._call(lambda: setattr(self._service, "limits", limits))

    def release(self) -> None:
        """Let every answer that hangs go on."""
        self._call(self._service.release)

    def drop_all(self) -> None:
        """Cut every connection, idle ones too."""
        self._call(self._service.close)

    # ... and what was asked.

    @property
    def requests(self) -> tuple[Received, ...]:
        """Every request to the Messages API so far, in order of arrival."""
        return self._journal.records

    @property
    def strays(self) -> tuple[Received, ...]:
        """Every request to another path so far; all were answered 404."""
        return self._journal.strays

    def forget(self) -> None:
        """Empty ``requests`` and ``strays``."""
        self._journal.clear()

    def wait_for_requests(self, count: int, within_s: float) -> tuple[Received, ...]:
        """Block until ``count`` requests have arrived; returns all. Raises TimeoutError."""
        return self._journal.wait_for(lambda _: True, count, within_s, "requests")

    def wait_answered(self, count: int, within_s: float) -> tuple[Received, ...]:
        """Block until ``count`` answers are complete; returns those. Raises TimeoutError."""
        return self._journal.wait_for(lambda r: r.answered, count, within_s, "answers")

    def wait_gone(self, within_s: float, count: int = 1) -> tuple[Received, ...]:
        """Block until ``count`` clients have left early; returns those. Raises TimeoutError."""
        return self._journal.wait_for(
            lambda r: r.gone_at is not None, count, within_s, "clients to leave"
        )

    def _call(self, work: Callable[[], object]) -> None:
        """Run ``work`` on the server's thread and wait until it is done."""
        elsewhere = self._thread.is_alive() and threading.current_thread() is not self._thread
        if self._loop is None or not elsewhere:
            work()
            return
        done = threading.Event()

        def run() -> None:
            try:
                work()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(_STOP_WITHIN_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - it is raised again where it was started
            self._failure = failure
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server, self._port = await listen(self._service, 0)
        self._started.set()
        async with server:
            await self._stop.wait()
            self._service.close()


async def listen(service: Service, port: int) -> tuple[asyncio.Server, int]:
    """Listen for ``service`` on loopback; returns the server and the port it got."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", port, backlog=512)
    return server, int(server.sockets[0].getsockname()[1])


async def _serve_forever(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.until_stdin_closes:
        _watch_stdin(lambda: loop.call_soon_threadsafe(stop.set))
    brain = Canned(
        delay_s=options.delay_ms / 1000,
        first_delay_s=options.first_delay_ms / 1000,
        words_per_delta=options.words_per_delta,
    )
    service = Service(brain, Journal(keep=0))
    service.plan = PlanHeaders()
    server, port = await listen(service, options.port)
    async with server:
        sys.stdout.write(f"listening on http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        await stop.wait()
        service.close()


def _watch_stdin(closed: Callable[[], object]) -> None:
    def watch() -> None:
        # Not sys.stdin: a thread inside its lock could not be left behind at exit.
        while os.read(0, 1 << 16):
            pass
        closed()

    threading.Thread(target=watch, name="kit-stdin", daemon=True).start()


def main() -> int:
    """Serve canned answers in the foreground until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="between two deltas")
    parser.add_argument("--first-delay-ms", type=float, default=0.0, help="before the first byte")
    parser.add_argument("--words-per-delta", type=int, default=4)
    parser.add_argument("--until-stdin-closes", action="store_true")
    asyncio.run(_serve_forever(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
