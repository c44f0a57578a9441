"""The daemon that the examples are run against, as their READMEs assume it: with the admin key and
the names of keys that stand in them.

What may live here: putting it up, and asking it by the name of an example. What is expected stands
in the tests.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kit.cli import find_real_cli
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator
from tests.wire.seeds import EXAMPLES, Terminal, replace
from tests.wire.stage import Page, Stage, fetch, open_stage, quick

ADMIN_KEY = EXAMPLES.variables("admin")["OCP_ADMIN_KEY"]
ANONYMOUS_KEY = EXAMPLES.variables("anonymous")["PROXY_ANONYMOUS_KEY"]
NAMES = ("wife-laptop", "son-ipad", "pi-server")

QUESTION = b'{"model":"haiku","max_tokens":50,"messages":[{"role":"user","content":"Hi"}]}'
BODIES = {
    "POST /v1/chat/completions": QUESTION,
    "POST /v1/messages": QUESTION,
    "PATCH /settings": b'{"maxConcurrent": 4}',
    "POST /api/keys": b"{}",
    "PATCH /api/keys/:id/quota": b'{"daily": 50}',
}
FILLED = {"since=": "since=2026-01-01", "until=": "until=2100-01-01", "hours=": "hours=24"}
FILLED |= {"limit=": "limit=50"}


class Home:
    """A daemon, and a terminal beside it where the admin key is set."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.operator = Operator(stage.daemon.socket, folder)
        self.secrets = {name: self.operator.add_key(name) for name in NAMES}
        self.terminal = Terminal(
            folder / "terminal", stage.daemon.port, stage.daemon.socket, OCP_ADMIN_KEY=ADMIN_KEY
        )

    def run(self, name: str) -> Page:
        """What the command line of that name is answered."""
        return self.terminal.curl(EXAMPLES.curl_of(name).run)

    def call(self, row: str, body: bytes = b"", **headers: str) -> Page:
        """What a row of a table of endpoints is answered."""
        method, path = row.split(" ")
        path = path.replace(":id", "pi-server")
        if "since=" in path:
            path = replace(path, FILLED)
        return fetch(self.stage.daemon.port, method, path, body or BODIES.get(row, b""), headers)


def open_home(folder: Path, **settings: Any) -> Iterator[Home]:
    """A daemon with these settings, and the admin key of the example."""
    environ = {"OCP_ADMIN_KEY": ADMIN_KEY}
    told = quick(**settings)
    with (
        Upstream() as upstream,
        open_stage(
            upstream, folder / "home", find_real_cli(), settings=told, environ=environ
        ) as stage,
    ):
        yield Home(stage, folder)
