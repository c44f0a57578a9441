"""A real ocpd in a thread of the test's process, on a real port, and as a process of its own.

What may live here: starting, asking and stopping it. The daemon is the product's own, built by
``ocpd.daemon.house.open_daemon``; only settings and lane are the test's.
"""

import asyncio
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import openai
import uvloop

from ocpd.__main__ import read_models
from ocpd.api.health import Report
from ocpd.claude.argv import Lane
from ocpd.daemon.house import open_daemon
from ocpd.daemon.start import Start
from ocpd.daemon.state import Daemon
from ocpd.models import Models
from ocpd.settings.load import Loaded
from ocpd.settings.table import KNOBS
from ocpd.settings.values import Settings

T = TypeVar("T")

_STOP_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.01


def scripted_lane(upstream_url: str, *, demo: bool = False) -> Lane:
    """The lane of a child that talks to the scripted API with a token that is none."""
    environment = (
        ("ANTHROPIC_BASE_URL", upstream_url),
        ("CLAUDE_CODE_OAUTH_TOKEN", "scripted"),
    )
    return Lane(name="scripted", environment=environment, demo=demo)


def child_environ(home: Path, cli: Path) -> dict[str, str]:
    """The environment of a daemon in a test: its own HOME and state, nothing of the user's."""
    return {
        "PATH": f"{cli.parent}:{os.environ.get('PATH', '')}",
        "HOME": str(home),
        "OCPD_STATE_DIR": str(home / "state"),
        "OCPD_SOCKET": socket_of(home),
        "LANG": "C.UTF-8",
    }


def socket_of(home: Path) -> str:
    """A path for the Unix socket of the daemon of ``home``. Not below it: a test's folder has a
    long name, and a socket's path may have a hundred bytes."""
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return f"{tempfile.gettempdir()}/ocpd-{os.getpid()}-{digest}.sock"


def start_with(
    settings: Settings,
    environ: Mapping[str, str],
    lane: Lane | None = None,
    models: Models | None = None,
) -> Start:
    """A start under ``settings``, as if the config file had them. They may lie outside of their
    ranges, as long as nothing is changed at run time."""
    values = {knob.key: getattr(settings, knob.field) for knob in KNOBS}
    file = {knob.key: values[knob.key] for knob in KNOBS if values[knob.key] != knob.default}
    return Start(
        environ=environ,
        loaded=Loaded(settings, dict.fromkeys(values, "default"), ()),
        read_models=read_models if models is None else lambda _: models,
        file=file,
        read_file=lambda: file,
        lane=lane or Lane(),
    )


class DaemonThread:
    """Runs the daemon while its block is open. Everything public may be called from the test."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        lane: Lane | None = None,
        models: Models | None = None,
    ) -> None:
        self._start = start_with(settings, environ, lane, models)
        self._thread = threading.Thread(target=self._run, name="kit-daemon")
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self.daemon: Daemon

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
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
        self.call(self._stop.set)
        self._thread.join(_STOP_WITHIN_S)
        assert not self._thread.is_alive(), "the daemon did not stop"

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return self.daemon.url

    @property
    def socket(self) -> str:
        """The path of its Unix socket."""
        return self.daemon.socket

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return self.daemon.address[1]

    def client(self, *, timeout_s: float = 30.0) -> openai.OpenAI:
        """The official client, pointed here, without retries of its own. Close it."""
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key="unused", max_retries=0, timeout=timeout_s
        )

    def call(self, work: Callable[[], T]) -> T:
        """Run ``work`` on the daemon's loop and return what it returns."""
        assert self._loop is not None

        async def run() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_STOP_WITHIN_S)

    def report(self) -> Report:
        """What /health would say."""
        return self.call(self.daemon.report)

    def wait_until(self, is_so: Callable[[Report], bool], within_s: float = 10.0) -> Report:
        """Wait until the report fulfils ``is_so``; raises TimeoutError with the last one."""
        report = self.report()
        for _ in range(int(within_s / _LOOK_EVERY_S)):
            if is_so(report):
                return report
            threading.Event().wait(_LOOK_EVERY_S)
            report = self.report()
        raise TimeoutError(repr(report))

    def wait_quiet(self, within_s: float = 10.0) -> Report:
        """Wait until no turn runs, waits or is being settled and no process is on its way out."""
        return self.wait_until(
            lambda r: (
                r.stats.active_requests == 0
                and r.concurrency.inflight == 0
                and r.processes.leased == 0
                and r.processes.retiring == 0
            ),
            within_s,
        )

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with open_daemon(self._start) as self.daemon:
            self._ready.set()
            await self._stop.wait()
