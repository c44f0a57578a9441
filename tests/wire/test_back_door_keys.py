"""Keys and usage, from the operator's terminal to the turn: made with ocpctl over the socket, used
over TCP, counted in the book."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.fake_script import make_fake_cli
from tests.kit.script import Fail, Say
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator, ask_unix, ask_with, bearer, names_of
from tests.wire.stage import Stage, fetch, open_stage, quick


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One daemon for all of these; every test has names of its own."""
    folder = tmp_path_factory.mktemp("keys")
    cli = make_fake_cli(folder / "bin")
    # No conversation outlives its test.
    settings = quick(session_ttl_ms=0)
    with (
        Upstream() as upstream,
        open_stage(upstream, folder / "home", cli, settings=settings) as running,
    ):
        yield running


@pytest.fixture
def operator(stage: Stage, tmp_path: Path) -> Operator:
    return Operator(stage.daemon.socket, tmp_path)


def own_usage(stage: Stage, secret: str) -> dict[str, object]:
    page = fetch(stage.daemon.port, "GET", "/api/usage", headers=bearer(secret))
    assert page.status == 200, page.text
    return page.json()


def test_a_key_is_made_shown_once_and_listed(operator: Operator) -> None:
    said = operator.does("keys", "add", "laptop", "--note", "mine", "--models", "opus")
    secret = next(word for word in said.split() if word.startswith("ocp_"))
    assert len(secret) == len("ocp_") + 32
    listed = operator.does("keys")
    assert "laptop" in listed
    assert secret not in listed
    shown = operator.told("keys", "show", "laptop")
    assert (shown["name"], shown["note"], shown["revoked"]) == ("laptop", "mine", 0)
    assert shown["models"] == ["claude-opus-5-5"]
    assert shown["keyPreview"] == f"{secret[:8]}...{secret[-4:]}"


def test_a_key_identifies_its_caller_and_its_turn_is_in_the_book(
    stage: Stage, operator: Operator
) -> None:
    secret = operator.add_key("editor")
    assert ask_with(stage.daemon.port, secret, "hello there").status == 200
    stage.daemon.wait_quiet()
    by_key = {row["key_name"]: row for row in operator.told("usage", "--by-key")["byKey"]}
    row = by_key["editor"]
    assert (row["requests"], row["successes"], row["errors"]) == (1, 1, 0)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0
    assert row["total_prompt_chars"] >= len("hello there")
    assert row["total_response_chars"] > 0
    assert operator.told("keys", "show", "editor")["last_used_at"] is not None
    assert "editor" in operator.does("usage", "--by-key")


def test_the_row_of_a_turn_says_what_it_was(
    upstream: Upstream, real_cli: Path, tmp_path: Path
) -> None:
    with open_stage(upstream, tmp_path / "home", real_cli) as stage:
        secret = Operator(stage.daemon.socket, tmp_path).add_key("reader")
        upstream.script(Say("A short answer."), Fail(403, message="no"))
        answered = ask_with(stage.daemon.port, secret, "hi", model="sonnet").json()
        assert ask_with(stage.daemon.port, secret, "hi").status >= 400
        stage.daemon.wait_quiet()
        failed, turn = own_usage(stage, secret)["recent"]  # type: ignore[misc]
    assert (turn["model"], turn["canonical_model"]) == ("sonnet", "claude-sonnet-5-5")
    assert (turn["status"], turn["success"], turn["dialect"]) == ("finished", 1, "openai_chat")
    assert turn["input_tokens"] == answered["usage"]["prompt_tokens"] > 0
    assert turn["output_tokens"] == answered["usage"]["completion_tokens"] > 0
    assert turn["prompt_chars"] >= len("hi")
    assert turn["response_chars"] == len("A short answer.")
    assert turn["cost_usd"] > 0
    assert turn["first_ms"] is not None
    assert turn["elapsed_ms"] >= turn["first_ms"]
    assert (failed["status"], failed["success"]) == ("failed", 0)


def test_whoever_comes_with_a_key_sees_his_own_rows(stage: Stage, operator: Operator) -> None:
    mine, other = operator.add_key("mine"), operator.add_key("other")
    for secret in (mine, other, other):
        assert ask_with(stage.daemon.port, secret).status == 200
    stage.daemon.wait_quiet()
    body = own_usage(stage, mine)
    assert body["scope"] == {"self": "mine", "all": False}
    assert names_of(body["byKey"], "key_name") == ["mine"]  # type: ignore[arg-type]
    # The operator, and on this machine whoever has none, sees all (trap 75).
    for page in (stage.get("/api/usage"), ask_unix(stage.daemon.socket, "GET", "/api/usage")):
        told = page.json()
        assert told["scope"] == {"self": None, "all": True}
        assert {"mine", "other"} <= set(names_of(told["byKey"], "key_name"))


def test_a_key_may_see_its_usage_and_nothing_else_of_the_back_door(
    stage: Stage, operator: Operator
) -> None:
    secret = operator.add_key("guest")
    for method, path in (("GET", "/api/keys"), ("GET", "/settings"), ("POST", "/api/keys")):
        page = fetch(stage.daemon.port, method, path, headers=bearer(secret))
        assert (page.status, page.error["code"]) == (403, "not_admin")


def test_revocation_is_immediate_and_the_key_stays_listed(stage: Stage, operator: Operator) -> None:
    secret = operator.add_key("gone")
    assert ask_with(stage.daemon.port, secret).status == 200
    operator.does("keys", "revoke", "gone")
    # Without multi-user keys a token that is none counts as none: it is served, but as nobody.
    assert ask_with(stage.daemon.port, secret).status == 200
    stage.daemon.wait_quiet()
    rows = {row["key_name"]: row for row in operator.told("usage", "--by-key")["byKey"]}
    assert rows["gone"]["requests"] == 1
    assert operator.told("keys", "show", "gone")["revoked"] == 1
    assert own_usage(stage, secret)["scope"] == {"self": None, "all": True}
    assert "not found or already revoked" in operator.fails("keys", "revoke", "gone")
    assert "not found or already revoked" in operator.fails("keys", "revoke", "never-there")


def test_rotating_ends_the_old_secret_and_keeps_the_rows(stage: Stage, operator: Operator) -> None:
    old = operator.add_key("turning")
    assert ask_with(stage.daemon.port, old).status == 200
    new = operator.told("keys", "rotate", "turning")["key"]
    assert new != old
    assert own_usage(stage, old)["scope"] == {"self": None, "all": True}
    assert ask_with(stage.daemon.port, new).status == 200
    # The row comes once the CLI has closed its books.
    stage.daemon.wait_quiet()
    (row,) = own_usage(stage, new)["byKey"]  # type: ignore[misc]
    assert (row["key_name"], row["requests"]) == ("turning", 2)


def test_a_key_is_renamed_and_meant_by_number_too(operator: Operator) -> None:
    operator.add_key("old name")
    number = str(operator.told("keys", "show", "old name")["id"])
    operator.does("keys", "rename", "old name", "new name")
    assert operator.told("keys", "show", number)["name"] == "new name"
    assert "no key" in operator.fails("keys", "show", "old name")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("keys", "add", "taken"), "taken"),
        (("keys", "add", "admin"), "admin"),
        (("keys", "add", "x", "--models", "no-such-model"), "no-such-model"),
        (("keys", "rotate", "nobody's"), "no key"),
        (("quota", "nobody's", "daily=5"), "Key not found"),
    ],
)
def test_what_cannot_be_done_is_a_failure_that_says_why(
    operator: Operator, argv: tuple[str, ...], said: str
) -> None:
    if argv[2] == "taken":
        operator.add_key("taken")
    assert said in operator.fails(*argv)


def test_quotas_are_set_and_shown_with_what_is_used(stage: Stage, operator: Operator) -> None:
    secret = operator.add_key("limited")
    assert ask_with(stage.daemon.port, secret).status == 200
    stage.daemon.wait_quiet()
    operator.does("quota", "limited", "daily=50", "tokens.weekly=100000", "cost.monthly=5.5")
    told = operator.told("quota", "limited")
    assert told["daily"] == {"limit": 50, "used": 1}
    limits = {(x["what"], x["period"]): x for x in told["limits"]}
    assert limits["tokens", "weekly"]["limit"] == 100_000
    assert limits["tokens", "weekly"]["used"] > 0
    assert limits["cost", "monthly"]["limit"] == 5.5
    assert operator.told("keys", "show", "limited")["quota_daily"] == 50
