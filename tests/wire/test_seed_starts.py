"""The environments of the READMEs, word for word: what a daemon that is started with them does.
It is ``python -m ocpd`` as a process of its own, with the official CLI."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from tests.kit.upstream import Upstream
from tests.wire import seed_shapes as shapes
from tests.wire.operator import Operator, ask_with, bearer
from tests.wire.process import Ocpd, environ_of, wrap_cli
from tests.wire.seeds import EXAMPLES, TOP, replace
from tests.wire.stage import Page, body_of, fetch

pytestmark = pytest.mark.real_cli

Start = Callable[..., AbstractContextManager[Ocpd]]

CHAT = "/v1/chat/completions"
USED = {
    *("none", "shared", "multi", "admin", "anonymous", "cache", "heartbeat", "open", "keys"),
    *("port", "registry", "client"),
}
SETTINGS = {
    "CLAUDE_TIMEOUT": "timeout",
    "CLAUDE_FIRST_BYTE_TIMEOUT": "firstByteTimeout",
    "CLAUDE_HEARTBEAT_INTERVAL": "heartbeat",
    "CLAUDE_MAX_CONCURRENT": "maxConcurrent",
    "CLAUDE_MAX_PROMPT_CHARS": "maxPromptChars",
    "CLAUDE_SESSION_TTL": "sessionTTL",
    "CLAUDE_CACHE_TTL": "cacheTTL",
    "REQUEST_TIMEOUT_MS": "timeout",
}


@pytest.fixture
def environ(upstream: Upstream, real_cli: Path, tmp_path: Path) -> dict[str, str]:
    """Where the daemon lives; nothing of it is an example's."""
    cli = wrap_cli(
        tmp_path / "bin",
        real_cli,
        ANTHROPIC_BASE_URL=upstream.url,
        CLAUDE_CODE_OAUTH_TOKEN="scripted",
    )
    return environ_of(tmp_path / "home", cli, OCPD_SPARES="0")


@pytest.fixture
def start(environ: dict[str, str]) -> Start:
    """Starts a daemon with what the examples of these names set, and more."""

    @contextmanager
    def run(*names: str, **more: str) -> Iterator[Ocpd]:
        with Ocpd(environ | EXAMPLES.variables(*names) | more) as ocpd:
            yield ocpd

    return run


@pytest.fixture
def operator(environ: dict[str, str], tmp_path: Path) -> Operator:
    return Operator(environ["OCPD_SOCKET"], tmp_path)


def chat(ocpd: Ocpd, **headers: str) -> Page:
    """One question with these headers."""
    told = {"content-type": "application/json"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    return fetch(ocpd.port, "POST", CHAT, body_of("hello"), told)


def health(ocpd: Ocpd) -> shapes.Health:
    return msgspec.json.decode(ocpd.get("/health").body, type=shapes.Health)


def wait_settled(ocpd: Ocpd) -> None:
    """Wait until every turn is in the book."""
    for _ in range(1000):
        told = health(ocpd)
        if told.stats.active_requests == told.concurrency.inflight == 0:
            return
        threading.Event().wait(0.01)
    raise AssertionError("that took longer than 10 s")


def refused(page: Page, code: str) -> None:
    assert (page.status, page.error["type"], page.error["code"]) == (401, "auth_error", code)


def test_no_environment_is_left_out() -> None:
    assert set(EXAMPLES.environment) == USED


# Who may come in.


@pytest.mark.parametrize("name", ["none", "open"])
def test_without_keys_everybody_chats(start: Start, name: str) -> None:
    with start(name) as ocpd:
        assert health(ocpd).auth_mode == "none"
        assert chat(ocpd).status == 200
        assert chat(ocpd, **bearer("any-string")).status == 200


@pytest.mark.parametrize(("name", "key"), [("shared", "xxx"), ("keys", "my-secret-key")])
def test_a_shared_key_is_asked_for_from_everybody(start: Start, name: str, key: str) -> None:
    with start(name) as ocpd:
        assert health(ocpd).auth_mode == "shared"
        refused(chat(ocpd), "no_token")
        refused(chat(ocpd, **bearer("any-string")), "bad_token")
        assert chat(ocpd, **bearer(key)).status == 200
        assert chat(ocpd, authorization=f"bearer {key}").status == 200
        assert chat(ocpd, x_api_key=key).status == 200
        # It is no admin key: OCP let every caller of this mode make keys.
        page = fetch(ocpd.port, "POST", "/api/keys", b"{}", bearer(key))
        assert (page.status, page.error["code"]) == (401, "admin_key_required")


@pytest.mark.parametrize("name", ["multi", "admin"])
def test_with_the_admin_key_keys_are_made_used_and_revoked(start: Start, name: str) -> None:
    admin = EXAMPLES.variables(name)["OCP_ADMIN_KEY"]
    with start("multi", name) as ocpd:
        assert health(ocpd).auth_mode == "multi"

        def ask(method: str, path: str, body: bytes = b"") -> Any:
            return fetch(ocpd.port, method, path, body, bearer(admin)).json()

        made = msgspec.convert(ask("POST", "/api/keys", b'{"name": "laptop"}'), shapes.Made)
        assert ask_with(ocpd.port, made.key).status == 200
        wait_settled(ocpd)
        (key,) = msgspec.convert(ask("GET", "/api/keys"), shapes.Keys).keys
        assert (key.name, key.keyPreview[:8], key.revoked) == ("laptop", made.key[:8], 0)
        used = msgspec.convert(ask("GET", "/api/usage?all=true"), shapes.UsageByKey)
        assert [(row.key_name, row.requests) for row in used.by_key] == [("laptop", 1)]
        assert ask("DELETE", "/api/keys/laptop") == {"revoked": True, "idOrName": "laptop"}
        refused(chat(ocpd, **bearer(made.key)), "bad_token")
        assert ask("DELETE", "/api/keys/laptop") == {"revoked": False, "idOrName": "laptop"}


def test_the_anonymous_key_lets_in_who_presents_it(start: Start) -> None:
    (key,) = EXAMPLES.variables("anonymous").values()
    # Another machine is one that a trusted proxy speaks for.
    afar = {"x_forwarded_for": "192.0.2.9"}
    with start("multi", "anonymous", OCPD_TRUSTED_PROXIES="127.0.0.1") as ocpd:
        assert chat(ocpd, **bearer(key), **afar).status == 200
        refused(chat(ocpd, **afar), "no_token")
        refused(chat(ocpd, **bearer("any-string"), **afar), "bad_token")
        # As OCP since 3.18: it is told only if the operator says so.
        assert health(ocpd).anonymous_key is None
    told = {"PROXY_ADVERTISE_ANON_KEY": "1", "OCPD_TRUSTED_PROXIES": "127.0.0.1"}
    with start("multi", "anonymous", **told) as ocpd:
        assert health(ocpd).anonymous_key == key
        page = fetch(ocpd.port, "GET", "/health", headers={"x-forwarded-for": "192.0.2.9"})
        assert page.json()["anonymousKey"] == key
        assert page.json()["authMode"] == "multi"


def test_the_environment_of_a_client_is_all_it_needs(
    start: Start, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start("multi", OCPD_LOOPBACK_CHAT="false") as ocpd:
        told = EXAMPLES.variables("client")
        here = {"<server-ip>:3456": f"127.0.0.1:{ocpd.port}"}
        monkeypatch.setenv("OPENAI_BASE_URL", replace(told["OPENAI_BASE_URL"], here))
        key = {"ocp_<your-key>": operator.add_key("laptop")}
        monkeypatch.setenv("OPENAI_API_KEY", replace(told["OPENAI_API_KEY"], key))
        with openai.OpenAI() as client:
            assert len(client.models.list().data) > 1
            answer = client.chat.completions.create(
                model="haiku", messages=[{"role": "user", "content": "Hello!"}]
            )
        assert answer.choices[0].finish_reason == "stop"


# What it does.


def test_the_cache_is_switched_on(start: Start) -> None:
    with start("cache") as ocpd:
        marks = [chat(ocpd).headers["x-ocpd-cache"] for _ in range(2)]
        assert marks == ["miss", "hit"]
        assert ocpd.get("/settings").json()["cacheTTL"]["value"] == 300_000


def test_the_heartbeat_is_set(start: Start) -> None:
    with start("heartbeat") as ocpd:
        assert ocpd.get("/settings").json()["heartbeat"]["value"] == 30_000


def test_the_registry_of_servers_is_found_where_it_is_started(
    start: Start, environ: dict[str, str]
) -> None:
    file = Path(environ["HOME"], "mcp-servers.json")
    file.write_text(EXAMPLES.text["mcp-servers.json"])
    file.chmod(0o600)
    with start("registry") as ocpd:
        page = chat(ocpd, x_mcp_servers="neon, other")
        assert (page.status, page.error["code"]) == (400, "unknown_mcp_server")
        assert "'other'" in page.error["message"]
        assert chat(ocpd).status == 200


def test_a_port_of_claude_code_proxys_counts_if_it_is_meant(
    start: Start, environ: dict[str, str]
) -> None:
    del environ["OCPD_PORT"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = str(taken.getsockname()[1])
    assert EXAMPLES.variables("port")["PORT"] == "8080"
    with start("port", PORT=free, OCPD_COMPAT="claude-proxy") as ocpd:
        assert ocpd.port == int(free)
        assert chat(ocpd).status == 200


@pytest.mark.parametrize("of", EXAMPLES.defaults)
def test_the_documented_defaults_can_all_be_set(
    start: Start, environ: dict[str, str], of: str
) -> None:
    given = dict(EXAMPLES.defaults[of])
    for name in ("CLAUDE_PROXY_PORT", "PORT"):
        if name in given:
            # The one that is filled in.
            given[name] = environ["OCPD_PORT"]
    del environ["OCPD_PORT"]
    with start(**given, OCPD_COMPAT="claude-proxy") as ocpd:
        assert health(ocpd).status == "ok"
        assert chat(ocpd).status == 200
        held = ocpd.get("/settings").json()
        for name, key in SETTINGS.items():
            if name in given:
                assert held[key]["value"] == int(given[name]), name


def test_the_page_names_every_variable_that_is_read_otherwise() -> None:
    page = (TOP / "docs/from-ocp.md").read_text() + (TOP / "docs/settings.md").read_text()
    for name in {name for table in EXAMPLES.defaults.values() for name in table}:
        assert f"`{name}`" in page, name
