"""The HTTP examples of the programs that ocpd stands in for, word for word, with the real curl and
the official CLI: who may run them, and that the answers have the documented fields and values."""

from collections.abc import Iterator

import msgspec
import pytest

from tests.wire import seed_shapes as shapes
from tests.wire.operator import ask_with, bearer
from tests.wire.seed_home import ADMIN_KEY, ANONYMOUS_KEY, Home, open_home
from tests.wire.seeds import EXAMPLES, Example, NotYet, needs_curl, wait_for
from tests.wire.stage import Page, fetch

pytestmark = pytest.mark.real_cli

LEAKS_PER_MODULE = True

NOT_YET = (
    NotYet("POST /v1/messages", "the Messages dialect is not built yet"),
    NotYet("GET /dashboard", "the dashboard is not built yet"),
)
# Not run at all: claude-code-proxy's examples in TypeScript, which ask what its Python asks, and
# those with Anthropic's package, another dialect; the installer, ocp-connect and the OpenClaw
# scripts, whose work is the packages' and that of commands to come.

SHAPES: dict[str, type[msgspec.Struct]] = {
    "models": shapes.Models,
    "quota: one limit": shapes.QuotaChanged,
    "quota: several limits": shapes.QuotaChanged,
    "quota: look": shapes.QuotaLooked,
    "quota: no limit": shapes.QuotaChanged,
    "cache: look": shapes.CacheStats,
    "cache: clear": shapes.Cleared,
    "health": shapes.Health,
    "models, by name": shapes.Models,
    "chat": shapes.Completion,
}
# Those are in test_seed_chat.
WITH_SERVER = {"chat with an MCP server", "message with an MCP server"}

ROUTES: dict[str, tuple[int, type[msgspec.Struct] | None]] = {
    "GET /v1/models": (200, shapes.Models),
    "POST /v1/chat/completions": (200, shapes.Completion),
    "POST /v1/messages": (200, shapes.AnthropicMessage),
    "GET /dashboard": (200, None),
    "GET /health": (200, shapes.Health),
    "GET /usage": (200, shapes.Usage),
    "GET /status": (200, shapes.Status),
    "GET /settings": (200, shapes.Settings),
    "PATCH /settings": (200, shapes.SettingsChanged),
    "GET /logs": (200, shapes.Logs),
    "GET /logs?n=20&level=error": (200, shapes.Logs),
    "GET /sessions": (200, shapes.Sessions),
    "DELETE /sessions": (200, shapes.Cleared),
    "GET /api/keys": (200, shapes.Keys),
    "POST /api/keys": (201, shapes.Made),
    "DELETE /api/keys/:id": (200, shapes.Revoked),
    "GET /api/keys/:id/quota": (200, shapes.QuotaLooked),
    "PATCH /api/keys/:id/quota": (200, shapes.QuotaChanged),
    "GET /api/usage": (200, shapes.UsageByKey),
    "GET /api/usage?since=&until=&hours=&limit=": (200, shapes.UsageByKey),
    "GET /cache/stats": (200, shapes.CacheStats),
    "DELETE /cache": (200, shapes.Cleared),
}
OPEN = ("/v1/", "/health", "/dashboard")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """As the examples assume it: nobody on this machine needs a key."""
    yield from open_home(
        tmp_path_factory.mktemp("full"),
        loopback_admin="full",
        auth_mode="multi",
        anonymous_key=ANONYMOUS_KEY,
    )


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Nothing is set but the admin key."""
    yield from open_home(tmp_path_factory.mktemp("usual"))


def named(example: Example) -> str:
    return f"{example.name} ({example.of})"


# Each by itself.


@needs_curl
@pytest.mark.parametrize("name", SHAPES)
def test_a_command_line_gets_what_its_readme_says(home: Home, name: str) -> None:
    page = home.run(name)
    assert page.status == 200, page.text
    assert page.headers["content-type"] == "application/json"
    msgspec.json.decode(page.body, type=SHAPES[name])


def test_no_command_line_is_left_out() -> None:
    assert {example.name for example in EXAMPLES.curl} == {*SHAPES, *WITH_SERVER}
    keyless = {example.name for example in EXAMPLES.curl if is_refused(example)}
    assert keyless == {"quota: no limit", "cache: clear"}


@pytest.mark.parametrize("row", ROUTES)
def test_a_row_of_the_endpoints_is_answered_in_its_shape(home: Home, row: str) -> None:
    status, shape = ROUTES[row]
    page = home.call(row)
    wait_for(row, page, NOT_YET)
    assert page.status == status, page.text
    if shape is not None:
        msgspec.json.decode(page.body, type=shape)


def test_no_row_of_the_endpoints_is_left_out() -> None:
    assert {row for rows in EXAMPLES.routes.values() for row in rows} == set(ROUTES)


# Without a key, and nothing set.


@needs_curl
@pytest.mark.parametrize("example", [e for e in EXAMPLES.curl if e.name in SHAPES], ids=named)
def test_by_default_a_change_without_a_key_is_refused_by_the_settings_name(
    usual: Home, example: Example
) -> None:
    page = usual.terminal.curl(example.run)
    if is_refused(example):
        refused_by_name(page)
    else:
        assert page.status == 200


@pytest.mark.parametrize("row", ROUTES)
def test_by_default_an_endpoint_that_changes_things_is_refused_by_the_settings_name(
    usual: Home, row: str
) -> None:
    method, path = row.split(" ")
    page = usual.call(row)
    wait_for(row, page, NOT_YET)
    if method == "GET" or path.startswith(OPEN):
        assert page.status == 200
        return
    refused_by_name(page)
    # The admin key of OCP's variable opens it.
    assert usual.call(row, **bearer(ADMIN_KEY)).status in (200, 201)


def is_refused(example: Example) -> bool:
    """Whether it wants to change something and brings no key."""
    return example.changes and not example.has_key


def refused_by_name(page: Page) -> None:
    assert (page.status, page.json()["error"]["code"]) == (401, "admin_key_required")
    assert "loopbackAdmin" in page.json()["error"]["message"]
    assert page.headers["www-authenticate"].startswith("Bearer")


# What follows from them.


@needs_curl
def test_limits_are_set_one_by_one_and_taken_away_as_the_readme_has_it(home: Home) -> None:
    home.operator.does("quota", "wife-laptop", "weekly=70")
    assert home.run("quota: one limit").json()["quota"] == {"daily": 50}
    seen = home.run("quota: look").json()
    assert (seen["daily"]["limit"], seen["weekly"]["limit"]) == (50, 70)
    assert seen["quota"]["daily"] == seen["daily"]
    before = seen["daily"]["used"]
    for failing in (0, 1):
        page = ask_with(home.stage.daemon.port, home.secrets["wife-laptop"], n=1 + failing)
        assert page.status == (400 if failing else 200)
    home.stage.daemon.wait_quiet()
    # Only what succeeded counts.
    assert home.run("quota: look").json()["daily"] == {"limit": 50, "used": before + 1}
    assert home.run("quota: no limit").json()["quota"] == {"daily": None}
    seen = home.run("quota: look").json()
    assert (seen["daily"]["limit"], seen["weekly"]["limit"]) == (None, 70)
    assert home.run("quota: several limits").json()["quota"] == {"daily": 20, "weekly": 100}


@pytest.mark.parametrize("period", ["daily", "weekly", "monthly"])
def test_a_key_beyond_its_quota_gets_the_documented_429(home: Home, period: str) -> None:
    name, port = f"spent-{period}", home.stage.daemon.port
    secret = home.operator.add_key(name)
    body = msgspec.json.encode({period: 1})
    page = fetch(port, "PATCH", f"/api/keys/{name}/quota", body, bearer(ADMIN_KEY))
    assert page.status == 200
    assert ask_with(port, secret).status == 200
    home.stage.daemon.wait_quiet()
    page = ask_with(port, secret)
    assert page.status == 429
    told = msgspec.json.decode(page.body, type=shapes.QuotaExceeded).error
    assert (told.quota.period, told.quota.limit, told.quota.used) == (period, 1, 1)
    # Neither the admin nor the anonymous have any.
    assert ask_with(port, ADMIN_KEY).status == ask_with(port, ANONYMOUS_KEY).status == 200


@needs_curl
def test_the_cache_holds_counts_and_is_cleared(home: Home) -> None:
    home.terminal.run("ocp settings cacheTTL 300000")
    try:
        assert home.run("chat").headers["x-ocpd-cache"] == "miss"
        # Only what is found in the file counts there, and looking waits for the file.
        stats = home.run("cache: look").json()
        assert (stats["entries"], stats["totalHits"]) == (1, 0)
        assert home.run("chat").headers["x-ocpd-cache"] == "hit"
        stats = home.run("cache: look").json()
        assert (stats["entries"], stats["totalHits"]) == (1, 1)
        assert stats["sizeBytes"] > 0
        assert home.run("cache: clear").json() == {"cleared": 1}
        assert home.run("cache: look").json()["entries"] == 0
    finally:
        home.terminal.run("ocp settings cacheTTL 0")
    assert "x-ocpd-cache" not in home.run("chat").headers


@needs_curl
def test_the_models_of_the_seeds_are_still_listed(home: Home) -> None:
    listed = {model["id"] for model in home.run("models").json()["data"]}
    assert listed >= {
        "claude-opus-4-7",
        "claude-opus-4-6",
        "claude-sonnet-4-6",
        "claude-haiku-4-5-20251001",
    }


@needs_curl
def test_usage_says_who_asked(home: Home) -> None:
    port = home.stage.daemon.port
    for secret, name in (
        (ADMIN_KEY, "admin"),
        (ANONYMOUS_KEY, "anonymous"),
        (home.secrets["son-ipad"], "son-ipad"),
    ):
        assert ask_with(port, secret).status == 200
        home.stage.daemon.wait_quiet()
        page = home.call("GET /api/usage")
        told = msgspec.json.decode(page.body, type=shapes.UsageByKey)
        assert told.recent[0].key_name == name
        assert name in {row.key_name for row in told.by_key}
    home.run("chat")
    home.stage.daemon.wait_quiet()
    page = home.call("GET /api/usage")
    turn = msgspec.json.decode(page.body, type=shapes.UsageByKey).recent[0]
    # The model is the one that was asked for; here it is an alias.
    assert (turn.key_name, turn.model, turn.success) == ("local", "claude-opus-4", 1)
    models = msgspec.json.decode(home.call("GET /usage").body, type=shapes.Usage).models
    assert models["claude-opus-4-7"].successes >= 1
