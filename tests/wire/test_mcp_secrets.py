"""A credential of an MCP server stays in its file and with the server. The daemon as a process of
its own, with the real CLI.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from tests.kit.leaks import descendants
from tests.kit.mcp_server import answer, digest_of
from tests.kit.script import Call, CallTools, Hang, Say
from tests.kit.upstream import Upstream
from tests.wire.process import Ended, Ocpd, environ_of, wrap_cli
from tests.wire.servers import Pids, here, server, write_servers
from tests.wire.stage import body_of, fetch
from tests.wire.tooling import results_heard

pytestmark = pytest.mark.real_cli

KEY = "hush-6c1f9b"
TROUBLE = "whisper: no route to db.internal"


class _Handler(BaseHTTPRequestHandler):
    """MCP over HTTP. What counts as credential is the header that came."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
        told = answer(asked, "query", self.headers["x-key"]) if "id" in asked else ""
        self.send_response(200 if told else 202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", f"{len(told.encode())}")
        self.end_headers()
        self.wfile.write(told.encode())

    def do_GET(self) -> None:
        self.send_response(405)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """Where a server listens that takes its credential in a header."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), name="mcp")
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/mcp"
        listening.shutdown()
        thread.join()


@pytest.fixture
def pids(tmp_path: Path) -> Pids:
    """The processes of servers."""
    return Pids(tmp_path / "pids")


@pytest.fixture
def environ(
    upstream: Upstream, real_cli: Path, tmp_path: Path, pids: Pids, address: str
) -> dict[str, str]:
    """The environment of a daemon that has such servers and logs all it can."""
    cli = wrap_cli(
        tmp_path / "bin",
        real_cli,
        ANTHROPIC_BASE_URL=upstream.url,
        CLAUDE_CODE_OAUTH_TOKEN="scripted",
    )
    entries = {
        "files": server("digest", KEY=KEY, PIDS=str(pids.folder)),
        "remote": {"type": "http", "url": address, "headers": {"x-key": KEY}},
        "broken": server("x", KEY=KEY, PIDS=str(pids.folder), TROUBLE=TROUBLE),
        "nowhere": {"command": f"/nowhere/{TROUBLE}", "env": {"KEY": KEY}},
    }
    registry = write_servers(tmp_path / "mcp-servers.json", entries)
    more = {"PROXY_MCP_CONFIG": registry, "OCPD_LOG_LEVEL": "debug", "OCPD_SPARES": "0"}
    return environ_of(tmp_path / "home", cli, **more)


def stop(ocpd: Ocpd) -> Ended:
    """Its last words."""
    ocpd.process.terminate()
    return ocpd.wait_end()


def show_process(pid: int | str, what: str) -> str:
    """A file that everybody may read, or only its user; "" if the process has gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def commands() -> str:
    """The command lines of all processes there are."""
    found = (path.name for path in Path("/proc").iterdir() if path.name.isdigit())
    return "\n".join(show_process(pid, "cmdline") for pid in found)


def holders(folder: Path) -> list[Path]:
    """The files below ``folder`` in which the credential stands."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_credential_reaches_its_server_and_nobody_else(
    environ: dict[str, str], upstream: Upstream, pids: Pids, tmp_path: Path
) -> None:
    calls = (Call("mcp__files__digest", {"key": 1}), Call("mcp__remote__query", {"key": 2}))
    upstream.script(CallTools(calls), Hang(None, Say("Done.")))
    asked = body_of("go", metadata={"mcp_servers": ["files", "remote"]})
    told: list[bytes] = []
    with Ocpd(environ) as ocpd:
        path, lines = "/v1/chat/completions", {"content-type": "application/json"}
        asking = threading.Thread(
            target=lambda: told.append(fetch(ocpd.port, "POST", path, asked, lines).body)
        )
        asking.start()
        upstream.wait_for_requests(2, within_s=20)
        # While all of them are at work...
        results = [text[0]["text"] for text in results_heard(upstream.requests[-1]).values()]
        assert here(*results)
        assert all(digest_of(KEY) in text for text in results)
        running = commands()
        assert "--strict-mcp-config" in running
        assert "mcp_server.py" in running
        assert KEY not in running
        family = {ocpd.process.pid, *descendants(ocpd.process.pid)}
        knowing = {pid for pid in family if KEY in show_process(pid, "environ")}
        assert knowing == pids.running()
        assert len(knowing) == 1
        upstream.release()
        asking.join()
        # ... and when they are not.
        assert KEY not in commands() + ocpd.get("/health").text
        ended = stop(ocpd)
    assert b"Done." in told[0]
    assert KEY.encode() not in b"".join([*told, *(request.raw for request in upstream.requests)])
    assert '"event":"child_spawned"' in ended.stderr
    assert KEY not in ended.stderr + ended.stdout
    assert holders(tmp_path) == [tmp_path / "mcp-servers.json"]
    assert pids.running() == set()


def test_a_server_that_does_not_start_is_named_and_why_stands_in_the_log(
    environ: dict[str, str], upstream: Upstream, pids: Pids
) -> None:
    with Ocpd(environ) as ocpd:
        lines = {"content-type": "application/json", "x-mcp-servers": "files,broken,nowhere"}
        page = fetch(ocpd.port, "POST", "/v1/chat/completions", body_of("go"), lines)
        assert (page.status, page.error["code"]) == (502, "mcp_server_failed")
        assert "broken, nowhere" in page.error["message"]
        assert "files" not in page.error["message"]
        assert "whisper" not in page.text
        why = ocpd.wait_logged("turn_failed")["detail"]
        assert "broken: Connection closed" in why
        assert "nowhere: ENOENT" in why
        assert "ENOENT" not in page.text
        pids.wait_running(0)
        ended = stop(ocpd)
    assert KEY not in ended.stderr
    assert upstream.requests == ()
