"""The door: who may knock without a key, which paths there are, and what the models look like."""

import socket
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.kit.daemon import scripted_lane
from tests.kit.fake_script import make_fake_cli
from tests.kit.upstream import Upstream
from tests.wire.stage import Page, Stage, body_of, fetch, open_stage, quick

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One daemon for all of these: none looks at what another left."""
    folder = tmp_path_factory.mktemp("access")
    cli = make_fake_cli(folder / "bin")
    # No conversation outlives its test.
    settings = quick(session_ttl_ms=0)
    with (
        Upstream() as upstream,
        open_stage(upstream, folder / "home", cli, settings=settings) as running,
    ):
        yield running


@pytest.fixture
def stage(house: Stage) -> Iterator[Stage]:
    """The daemon of all, with a client of one's own."""
    with house.daemon.client() as client:
        yield Stage(house.daemon, house.upstream, client)


def knock(stage: Stage, method: str = "GET", path: str = "/v1/models", **headers: str) -> Page:
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    body = body_of("hello") if method == "POST" else b""
    return fetch(stage.daemon.port, method, path, body, spelled)


# Who may knock...


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:{port}", "127.9.9.9", "[::1]:{port}"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_of_this_machine_is_served(stage: Stage, host: str, method: str) -> None:
    path = CHAT if method == "POST" else "/v1/models"
    page = knock(stage, method, path, host=host.format(port=stage.daemon.port))
    assert page.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3456",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "192.168.1.7:3456",
        "0.0.0.0",
        "[::]",
        "[fe80::1]",
        "2130706433",
        "",
        "localhost:80@evil.example",
        "[::1]evil.example",
        "[::1",
        "[::1%evil.example]",
        "[localhost]",
        "localhost..",
        "localhost:evil",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", CHAT),
        ("GET", "/v1/models"),
        ("GET", "/status"),
        # What is not there, or not for this method, would tell a page what is.
        ("GET", "/nothing"),
        ("DELETE", "/v1/models"),
    ],
)
def test_a_foreign_name_is_403(stage: Stage, method: str, path: str, host: str) -> None:
    page = knock(stage, method, path, host=host)
    assert page.status == 403
    assert (page.error["type"], page.error["code"]) == ("permission_error", "foreign_host")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://localhost",
        "file://",
        "http://127.0.0.1:{port}.evil.example",
        "",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", CHAT), ("GET", "/health"), ("GET", "/status"), ("GET", "/no"), ("PUT", "/health")],
)
def test_a_foreign_web_page_is_403(stage: Stage, method: str, path: str, origin: str) -> None:
    page = knock(stage, method, path, origin=origin.format(port=stage.daemon.port))
    assert page.status == 403
    assert page.error["code"] == "foreign_origin"
    assert "access-control-allow-origin" not in page.headers


@pytest.mark.parametrize("path", ["/health", "/status", "/nothing"])
@pytest.mark.parametrize(
    "head",
    [
        "GET http://evil.example{path} HTTP/1.1\r\nhost: localhost\r\n",
        "GET http://localhost@evil.example{path} HTTP/1.1\r\nhost: localhost\r\n",
        "GET http://{path} HTTP/1.1\r\nhost: localhost\r\n",
        "GET {path} HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\n"
        "origin: http://evil.example\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: evil.example\r\n",
    ],
)
def test_a_stranger_cannot_hide_behind_a_second_name(stage: Stage, head: str, path: str) -> None:
    with socket.create_connection(("127.0.0.1", stage.daemon.port), 10) as raw:
        raw.sendall(f"{head.format(path=path)}connection: close\r\n\r\n".encode())
        with raw.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 403 ")
            assert b"/v1/models" not in answer.read()


def test_a_target_with_a_name_of_this_machine_is_served(stage: Stage) -> None:
    # RFC 9112, 3.2.2: the target counts, and Host does not.
    page = knock(stage, "GET", "http://localhost/v1/models", host="evil.example")
    assert page.status == 200


def test_a_refused_stranger_starts_nothing(stage: Stage) -> None:
    before = stage.daemon.report()
    assert knock(stage, "POST", CHAT, host="evil.example").status == 403
    after = stage.daemon.report()
    assert after.processes.spawned == before.processes.spawned
    assert after.stats.total_requests == before.stats.total_requests


def test_our_own_pages_are_served(stage: Stage) -> None:
    origin = f"http://127.0.0.1:{stage.daemon.port}"
    assert knock(stage, origin=origin).status == 200


@pytest.mark.parametrize(
    "credential", ["Bearer anything", "Bearer ", "Basic dTpw", "sk-ant-123", "Bearer Ünïcode"]
)
def test_any_token_is_as_good_as_none(stage: Stage, credential: str) -> None:
    value = credential.encode().decode("latin-1")
    assert knock(stage, "POST", CHAT, authorization=value).status == 200
    assert knock(stage, "GET", "/v1/models", x_api_key=value).status == 200


# Which paths there are...


@pytest.mark.parametrize(
    ("path", "right"),
    [("/chat/completions", CHAT), ("/models", "/v1/models"), ("/v1/health", "/health")],
)
def test_a_path_that_is_nearly_right_is_404_and_names_the_right_one(
    stage: Stage, path: str, right: str
) -> None:
    page = knock(stage, "POST" if "chat" in path else "GET", path)
    assert page.status == 404
    assert f"did you mean {right}" in page.error["message"]


def test_a_base_url_without_v1_is_told_to_the_official_client(stage: Stage) -> None:
    with (
        openai.OpenAI(base_url=stage.daemon.url, api_key="x", max_retries=0) as client,
        pytest.raises(openai.NotFoundError, match="did you mean /v1/chat/completions"),
    ):
        client.chat.completions.create(
            model="sonnet", messages=[{"role": "user", "content": "hello"}]
        )


@pytest.mark.parametrize(
    "path", ["//v1/models/", "/v1//models", "/v1/models/?limit=1", "/v1/%6Dodels", "/v1/models"]
)
def test_slashes_too_many_do_not_matter(stage: Stage, path: str) -> None:
    assert knock(stage, "GET", path).json()["object"] == "list"


def test_a_chat_on_an_untidy_path_is_served(stage: Stage) -> None:
    assert knock(stage, "POST", "//v1//chat/completions/?api-version=1").status == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("DELETE", CHAT, "POST"),
        ("PUT", "/v1/models", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/v1/models/sonnet", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_and_says_which_is_right(
    stage: Stage, method: str, path: str, allow: str
) -> None:
    page = knock(stage, method, path)
    assert (page.status, page.headers["allow"]) == (405, allow)
    assert page.error["code"] == "method_not_allowed"


def test_head_has_the_headers_of_get_and_no_body(stage: Stage) -> None:
    full, bare = knock(stage, "GET"), knock(stage, "HEAD")
    assert (bare.status, bare.body) == (200, b"")
    assert bare.headers["content-length"] == full.headers["content-length"] == str(len(full.body))
    assert bare.headers["content-type"] == "application/json"


# The models...


def test_the_official_client_lists_the_models(stage: Stage) -> None:
    listed = {model.id: model for model in stage.client.models.list()}
    assert {"claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-4-5-20251001"} <= listed.keys()
    for model in listed.values():
        assert (model.object, model.owned_by) == ("model", "anthropic")
        assert model.created > 1_700_000_000
        extra = model.model_extra or {}
        assert 1000 < extra["context_length"] <= extra["context_window"]
        assert 1000 < extra["max_output_tokens"] < extra["context_length"]


@pytest.mark.parametrize("name", ["sonnet", "SONNET", "claude-sonnet-5-5"])
def test_the_official_client_retrieves_a_model_by_any_of_its_names(stage: Stage, name: str) -> None:
    found = stage.client.models.retrieve(name)
    assert found.id == "claude-sonnet-5-5"
    assert (found.model_extra or {})["context_length"] == 977_000


@pytest.mark.parametrize("name", ["gpt-5", "claude-not-listed-yet"])
def test_a_model_that_is_not_listed_is_404(stage: Stage, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        stage.client.models.retrieve(name)
    assert caught.value.code == "model_not_found"


def test_every_model_that_is_listed_can_be_asked(stage: Stage) -> None:
    for model in stage.client.models.list():
        assert stage.ask("hello", model=model.id).model == model.id


def test_a_demo_says_so_on_every_answer_and_the_product_never(
    stage: Stage, tmp_path: Path, upstream: Upstream
) -> None:
    assert "x-ocpd-demo" not in knock(stage).headers
    assert stage.get("/health").json()["demo"] is False
    lane = scripted_lane(upstream.url, demo=True)
    with open_stage(upstream, tmp_path, make_fake_cli(tmp_path / "bin"), lane=lane) as demo:
        pages = [
            demo.get("/health"),
            demo.get("/nowhere"),
            demo.post("hello"),
            demo.post("hello", stream=True),
            demo.post("hello", n=2),
        ]
        assert [page.headers["x-ocpd-demo"] for page in pages] == ["1"] * len(pages)
        assert pages[0].json()["demo"] is True
