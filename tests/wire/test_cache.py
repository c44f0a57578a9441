"""Answers that are given again, as callers and the operator see it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.kit.fake_script import make_fake_cli
from tests.kit.script import Hang
from tests.kit.upstream import Upstream
from tests.wire.conftest import OpenStage
from tests.wire.operator import Operator, ask_unix, ask_with
from tests.wire.stage import Page, Stage, in_background, open_stage, quick

TTL_MS = 3_600_000
WORDS = "Hello there, friend."


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One daemon for most of these; every test asks something of its own."""
    folder = tmp_path_factory.mktemp("cache")
    cli = make_fake_cli(folder / "bin")
    with (
        Upstream() as upstream,
        open_stage(
            upstream, folder / "home", cli, settings=quick(session_ttl_ms=0, cache_ttl_ms=TTL_MS)
        ) as running,
    ):
        yield running


@pytest.fixture
def operator(stage: Stage, tmp_path: Path) -> Operator:
    return Operator(stage.daemon.socket, tmp_path)


def mark(page: Page) -> str | None:
    assert page.status == 200
    return page.headers.get("x-ocpd-cache")


def content(page: Page) -> str:
    text: str = page.json()["choices"][0]["message"]["content"]
    return text


def total(stage: Stage) -> int:
    return stage.daemon.wait_quiet().stats.total_requests


def test_a_second_time_it_is_told_at_once_and_runs_nothing(stage: Stage) -> None:
    first = stage.post("once")
    before = total(stage)
    again = stage.post("once")
    assert (mark(first), mark(again)) == ("miss", "hit")
    assert content(first) == content(again) == WORDS
    assert first.json()["usage"] == again.json()["usage"]
    assert first.json()["id"] != again.json()["id"]
    assert again.headers["x-request-id"] in again.json()["id"]
    assert total(stage) == before


def test_a_stream_is_told_again_as_a_stream(stage: Stage) -> None:
    first = stage.stream("streamed", stream_options={"include_usage": True})
    before = total(stage)
    again = stage.stream("streamed", stream_options={"include_usage": True})
    assert first.text == again.text == WORDS
    assert again.pieces == [WORDS]
    assert (again.finish, again.usages) == (["stop"], first.usages)
    assert mark(stage.post("streamed", stream=True)) == "hit"
    assert mark(stage.post("streamed")) == "hit"
    assert total(stage) == before


@pytest.mark.parametrize(
    "more",
    [
        [{"session_id": "one"}, {"session_id": "other"}],
        [{"cache_control": {"type": "ephemeral"}}] * 2,
    ],
    ids=["session", "cache_control"],
)
def test_what_is_for_once_is_made_each_time(stage: Stage, more: list[dict[str, Any]]) -> None:
    assert [mark(stage.post("for once", **fields)) for fields in more] == [None, None]


def test_cache_control_on_a_part_is_seen(stage: Stage) -> None:
    part = {"type": "text", "text": "marked", "cache_control": {"type": "ephemeral"}}
    asked = [{"role": "user", "content": [part]}]
    assert [mark(stage.post(asked)) for _ in range(2)] == [None, None]
    del part["cache_control"]
    assert [mark(stage.post(asked)) for _ in range(2)] == ["miss", "hit"]


def test_a_key_gets_its_own_answers_only(stage: Stage, operator: Operator) -> None:
    port, secrets = stage.daemon.port, [operator.add_key("one"), operator.add_key("other")]
    told = [mark(ask_with(port, secret, "whose")) for secret in (*secrets, *secrets)]
    assert told == ["miss", "miss", "hit", "hit"]


def test_a_hit_is_free_and_an_exhausted_key_gets_none(stage: Stage, operator: Operator) -> None:
    port, secret = stage.daemon.port, operator.add_key("counted")
    operator.does("quota", "counted", "weekly=2")
    assert mark(ask_with(port, secret, "counted")) == "miss"
    stage.daemon.wait_quiet()
    for _ in range(3):
        page = ask_with(port, secret, "counted")
        assert mark(page) == "hit"
        assert page.headers["x-ratelimit-remaining-requests"] == "1"
    assert operator.told("quota", "counted")["weekly"] == {"limit": 2, "used": 1}
    operator.does("quota", "counted", "weekly=1")
    page = ask_with(port, secret, "counted")
    assert (page.status, page.json()["error"]["code"]) == (429, "quota_exceeded")


def test_the_operator_sees_it_and_clears_it(stage: Stage) -> None:
    socket = stage.daemon.socket
    for _ in range(2):
        stage.post("seen")
    before = ask_unix(socket, "GET", "/cache/stats").json()
    assert before["entries"] >= 1
    assert before["totalHits"] >= 1
    assert before["sizeBytes"] > len(WORDS)
    assert (before["inflight"], before["requesters"]) == (0, 0)
    assert ask_unix(socket, "DELETE", "/cache").json() == {"cleared": before["entries"]}
    assert mark(stage.post("seen")) == "miss"


def test_it_is_switched_on_and_off_while_it_runs(open_fake: OpenStage) -> None:
    with open_fake(settings=quick()) as stage:
        for ttl_ms, expected in (
            (TTL_MS, ["miss", "hit"]),
            (0, [None, None]),
            (TTL_MS, ["hit", "hit"]),
        ):
            body = msgspec.json.encode({"cacheTTL": ttl_ms})
            assert ask_unix(stage.daemon.socket, "PATCH", "/settings", body).status == 200
            assert [mark(stage.post("switched")) for _ in range(2)] == expected


@pytest.mark.real_cli
def test_equal_requests_at_once_are_one_turn(open_real: OpenStage) -> None:
    settings = quick(cache_ttl_ms=TTL_MS, max_concurrent=1, max_queue=1, heartbeat_ms=50)
    with open_real(settings=settings) as stage, in_background() as callers:
        stage.upstream.script(Hang(after=1), Hang(after=1))
        leader = stage.call("same", stream=True)
        leader.read_until(b"Hello")
        with stage.call("same", stream=True) as follower:
            # Nothing of the answer yet, but it is heard.
            assert b"Hello" not in follower.read_until(b": keepalive\n\n")
            plain = [callers.submit(stage.post, "same") for _ in range(8)]
            assert wait_requesters(stage, 9)["inflight"] == 1
            leader.leave()
            # Now this one has the turn, and hears it as it comes.
            follower.read_until(b"Hello")
            stage.upstream.release()
            assert WORDS.encode() not in follower.read_until(b"[DONE]")
            pages = [page.result(20) for page in plain]
            assert [content(page) for page in pages] == [WORDS] * 8
            assert [mark(page) for page in pages] == ["hit"] * 8
        assert total(stage) == 2


def wait_requesters(stage: Stage, count: int) -> dict[str, int]:
    for _ in range(500):
        stats = ask_unix(stage.daemon.socket, "GET", "/cache/stats").json()
        if stats["requesters"] == count:
            return stats
    raise TimeoutError(repr(stats))
