"""Waiting for a place, as callers see it: heartbeats, the deadline, and who is next."""

from typing import Any

import msgspec
import pytest

from tests.kit.script import Hang, Say
from tests.wire.conftest import OpenStage
from tests.wire.stage import Caller, Stage, fetch, in_background, quick

pytestmark = pytest.mark.real_cli

KEEPALIVE = b": keepalive\n\n"


def hold_the_place(stage: Stage, *then: str) -> Caller:
    """A caller whose turn runs until it leaves; after it the upstream says ``then``."""
    stage.upstream.script(Hang(after=1), *map(Say, then))
    caller = stage.call("hold", stream=True)
    caller.read_until(b'"content":"Hello"')
    return caller


def queued(stage: Stage, count: int) -> None:
    stage.wait_report(lambda report: report.concurrency.queued == count)


def test_a_stream_that_waits_is_heard_and_then_answered(open_real: OpenStage) -> None:
    with open_real(settings=quick(max_concurrent=1, heartbeat_ms=100)) as stage:
        first = hold_the_place(stage, "My turn.")
        with stage.call("second", stream=True) as second:
            seen = second.read_until(KEEPALIVE)
            assert seen.startswith(b"HTTP/1.1 200 ")
            assert b"content-type: text/event-stream" in seen
            assert b"x-request-id: " in seen
            first.leave()
            seen = second.read_until(b"data: [DONE]")
            assert b"My turn." in seen


def test_the_official_client_does_not_mind_heartbeats(open_real: OpenStage) -> None:
    with open_real(settings=quick(max_concurrent=1, heartbeat_ms=50)) as stage:
        first = hold_the_place(stage, "My turn.")
        with in_background() as callers:
            told = callers.submit(stage.stream, "second")
            queued(stage, 1)
            with stage.call("third", stream=True) as third:
                # As much time as the second had.
                third.read_until(KEEPALIVE)
            first.leave()
            assert told.result(20).text == "My turn."


def test_a_stream_that_pauses_is_heard_too(open_real: OpenStage) -> None:
    with open_real(settings=quick(heartbeat_ms=100)) as stage:
        stage.upstream.script(Hang(after=1))
        with stage.call("hello", stream=True) as caller:
            seen = caller.read_until(b'"content":"Hello"')
            assert KEEPALIVE in caller.read_until(KEEPALIVE)
            assert len(caller.seen) > len(seen) or KEEPALIVE in seen


@pytest.mark.parametrize("heartbeat_ms", [0, 60_000], ids=["never", "not yet"])
def test_without_a_heartbeat_the_deadline_is_a_status(
    open_real: OpenStage, heartbeat_ms: int
) -> None:
    limits = {"max_concurrent": 1, "queue_timeout_ms": 300, "heartbeat_ms": heartbeat_ms}
    with open_real(settings=quick(**limits)) as stage:
        first = hold_the_place(stage)
        page = stage.post("second", stream=True)
        assert (page.status, page.headers["retry-after"]) == (429, "5")
        error = page.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "queue_timeout")
        assert "queueTimeout" in error["message"]
        first.leave()


def test_after_a_heartbeat_the_deadline_is_an_event(open_real: OpenStage) -> None:
    limits = {"max_concurrent": 1, "queue_timeout_ms": 600, "heartbeat_ms": 50}
    with open_real(settings=quick(**limits)) as stage:
        first = hold_the_place(stage)
        with stage.call("second", stream=True) as second:
            *_, error, done = second.read_until(b"data: [DONE]").strip().split(b"data: ")
            assert second.seen.startswith(b"HTTP/1.1 200 ")
            assert b"queue_timeout" in error
            assert done.startswith(b"[DONE]")
        first.leave()


def test_an_answer_that_is_no_stream_is_not_begun_before_its_time(open_real: OpenStage) -> None:
    limits = {"max_concurrent": 1, "queue_timeout_ms": 500, "heartbeat_ms": 50}
    with open_real(settings=quick(**limits)) as stage:
        first = hold_the_place(stage)
        assert stage.post("second").status == 429
        first.leave()


def test_one_caller_cannot_fill_the_queue_for_others(open_real: OpenStage) -> None:
    limits: dict[str, Any] = {"max_concurrent": 1, "max_queue": 2, "heartbeat_ms": 0}
    # Who is not trusted could make up as many callers as he likes.
    limits["trusted_proxies"] = "127.0.0.1"
    with open_real(settings=quick(**limits)) as stage:
        first = hold_the_place(stage, "For another.", "For one.")
        with in_background() as callers:
            flood = [callers.submit(stage.post, "flood") for _ in range(2)]
            queued(stage, 2)
            assert stage.post("flood").status == 429
            # A trusted proxy tells callers apart that come from one address.
            body = msgspec.json.encode(
                {"model": "sonnet", "messages": [{"role": "user", "content": "another"}]}
            )
            other = callers.submit(
                fetch,
                stage.daemon.port,
                "POST",
                "/v1/chat/completions",
                body,
                {"content-type": "application/json", "x-forwarded-for": "192.0.2.7"},
            )
            stage.wait_report(lambda report: report.stats.queue_rejections == 2)
            first.leave()
            assert other.result(20).status == 200
            assert sorted(page.result(20).status for page in flood) == [200, 429]
