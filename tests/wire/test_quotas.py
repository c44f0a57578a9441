"""Quotas from the operator's terminal to the client: who is let in, what the others read, and what
is counted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.kit.fake_script import make_fake_cli
from tests.kit.script import Say
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator, ask_with, bearer
from tests.wire.stage import Caller, Page, Stage, body_of, fetch, in_background, open_stage, quick

HOUR_S, DAY_S = 3_600, 86_400


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One daemon for all of these; every test has a key of its own."""
    folder = tmp_path_factory.mktemp("quotas")
    cli = make_fake_cli(folder / "bin")
    with (
        Upstream() as upstream,
        open_stage(
            upstream, folder / "home", cli, settings=quick(session_ttl_ms=0, max_queue=64)
        ) as running,
    ):
        yield running


@pytest.fixture
def operator(stage: Stage, tmp_path: Path) -> Operator:
    return Operator(stage.daemon.socket, tmp_path)


def error_of(page: Page) -> dict[str, Any]:
    error: dict[str, Any] = page.json()["error"]
    return error


def limit(operator: Operator, name: str, *limits: str) -> str:
    secret = operator.add_key(name)
    operator.does("quota", name, *limits)
    return secret


def test_a_burst_gets_exactly_what_there_is(stage: Stage, operator: Operator) -> None:
    secret = limit(operator, "burst", "weekly=5")
    with in_background() as pool:
        asking = [
            pool.submit(ask_with, stage.daemon.port, secret, f"no. {number}")
            for number in range(16)
        ]
        pages = [one.result() for one in asking]
    assert sorted(page.status for page in pages) == [200] * 5 + [429] * 11
    stage.daemon.wait_quiet()
    told = operator.told("quota", "burst")
    assert told["weekly"] == told["quota"]["weekly"] == {"limit": 5, "used": 5}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_refusal_says_which_how_much_and_when(
    stage: Stage, operator: Operator, streamed: bool
) -> None:
    name = f"told-{streamed}"
    secret = limit(operator, name, "weekly=1")
    first = ask_with(stage.daemon.port, secret, "hi", stream=streamed)
    assert first.status == 200
    assert first.headers["x-ratelimit-limit-requests"] == "1"
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert first.headers["x-request-id"]
    stage.daemon.wait_quiet()
    page = ask_with(stage.daemon.port, secret, "hi", stream=streamed)
    error = error_of(page)
    assert (page.status, error["type"], error["code"]) == (429, "quota_exceeded", "quota_exceeded")
    quota = error["quota"]
    assert (quota["period"], quota["limit"], quota["used"]) == ("weekly", 1, 1)
    assert quota["resetsIn"]
    assert name in error["message"]
    assert "requests.weekly" in error["message"]
    assert 7 * DAY_S - 60 <= int(page.headers["retry-after"]) <= 7 * DAY_S + HOUR_S
    assert page.headers["x-should-retry"] == "false"
    assert page.headers["x-ratelimit-remaining-requests"] == "0"


def test_the_official_client_raises_what_it_raises_for_such_limits(
    stage: Stage, operator: Operator
) -> None:
    secret = limit(operator, "official", "daily=0")
    before = stage.daemon.report().stats.total_requests
    client = openai.OpenAI(
        api_key=secret, base_url=f"http://127.0.0.1:{stage.daemon.port}/v1", max_retries=2
    )
    with client, pytest.raises(openai.RateLimitError, match="may use no requests"):
        client.chat.completions.create(
            model="sonnet", messages=[{"role": "user", "content": "hello"}]
        )
    # It would be of no use to ask again, and it was told so.
    assert stage.daemon.report().stats.total_requests == before + 1


def test_a_limit_holds_from_the_moment_it_is_set_until_it_is_taken_away(
    stage: Stage, operator: Operator
) -> None:
    secret = operator.add_key("changing")
    assert ask_with(stage.daemon.port, secret, "hi").status == 200
    stage.daemon.wait_quiet()
    operator.does("quota", "changing", "tokens.weekly=1")
    page = ask_with(stage.daemon.port, secret, "hi")
    assert (page.status, error_of(page)["quota"]["period"]) == (429, "weekly")
    operator.does("quota", "changing", "tokens.weekly=none")
    assert ask_with(stage.daemon.port, secret, "hi").status == 200


def test_a_key_has_its_models_and_sees_no_others(stage: Stage, operator: Operator) -> None:
    secret = operator.add_key("small", "--models", "haiku")
    page = ask_with(stage.daemon.port, secret, "hi", model="opus")
    error = error_of(page)
    assert (page.status, error["code"], error["param"]) == (403, "model_not_allowed", "model")
    assert "claude-opus" in error["message"]
    assert ask_with(stage.daemon.port, secret, "hi", model="haiku").status == 200
    listed = fetch(stage.daemon.port, "GET", "/v1/models", headers=bearer(secret)).json()["data"]
    assert [card["id"] for card in listed] == ["claude-haiku-5-5"]
    every = fetch(stage.daemon.port, "GET", "/v1/models").json()["data"]
    assert len(every) > 1


def test_nobody_else_is_held_up(stage: Stage, operator: Operator) -> None:
    secret = limit(operator, "blocked", "lifetime=0")
    assert ask_with(stage.daemon.port, secret, "hi").status == 429
    page = stage.post("hi")
    assert page.status == 200
    assert not [name for name in page.headers if name.startswith("x-ratelimit")]


def test_the_anonymous_key_has_a_quota_if_the_operator_says_so(tmp_path: Path) -> None:
    cli = make_fake_cli(tmp_path / "bin")
    settings = quick(auth_mode="multi", anonymous_key="everybody", anonymous_quota=1)
    with (
        Upstream() as upstream,
        open_stage(upstream, tmp_path / "home", cli, settings=settings) as stage,
    ):
        port = stage.daemon.port
        assert ask_with(port, "everybody").status == 200
        page = ask_with(port, "everybody")
        assert (page.status, error_of(page)["type"]) == (429, "quota_exceeded")
        assert "anonymousQuota" in error_of(page)["message"]
        operator = Operator(stage.daemon.socket, tmp_path)
        operator.does("settings", "anonymousQuota", "2")
        stage.daemon.wait_quiet()
        assert ask_with(port, "everybody").status == 200
        # Whoever has a key of his own is no part of it.
        assert ask_with(port, operator.add_key("own")).status == 200


def test_who_leaves_in_the_middle_has_used_what_came(
    upstream: Upstream, real_cli: Path, tmp_path: Path
) -> None:
    with open_stage(upstream, tmp_path / "home", real_cli) as stage:
        operator = Operator(stage.daemon.socket, tmp_path)
        secret = limit(operator, "hasty", "requests.daily=5", "tokens.daily=100000")
        # It outlasts the test.
        upstream.script(Say(["word "] * 2_000, delay_s=0.02))
        line = f"authorization: Bearer {secret}"
        body = body_of("hello " * 100, stream=True)
        with Caller(stage.daemon.port, body, (line,)) as caller:
            for _ in range(40):
                caller.read_until(b"word ")
                caller.seen = caller.seen.partition(b"word ")[2]
        stage.assert_at_rest()
        limits = {x["what"]: x["used"] for x in operator.told("quota", "hasty")["limits"]}
    assert limits["requests"] == 1
    # Two hundred characters came, and more was read.
    assert limits["tokens"] > 50
