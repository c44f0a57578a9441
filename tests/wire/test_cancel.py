"""A caller that leaves is noticed at once: his turn is dropped, his place and process come back."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.kit.journal import Received
from tests.kit.script import Hang, Say
from tests.wire.conftest import OpenStage
from tests.wire.stage import Caller, Stage, quick, say

pytestmark = pytest.mark.real_cli

NOTICED_WITHIN_S = 2.0
"""How soon the upstream must see it. Far above the 50 ms that are wanted: those are measured and
shown (``pytest -rP``), for no other program may run on the machine that asserts them."""

LEAVE = pytest.mark.parametrize(
    "leave", [Caller.leave, Caller.vanish], ids=["closes the socket", "resets it"]
)
Leave = Callable[[Caller], None]


def leave_and_watch(stage: Stage, caller: Caller, leave: Leave) -> Received:
    left_at = time.monotonic()
    leave(caller)
    (request,) = stage.upstream.wait_gone(NOTICED_WITHIN_S)
    assert request.gone_at is not None
    print(f"the upstream saw it {(request.gone_at - left_at) * 1000:.1f} ms later")  # noqa: T201
    return request


def assert_cancelled(stage: Stage, count: int = 1) -> None:
    report = stage.assert_at_rest()
    assert report.stats.cancelled == count
    assert report.stats.errors == 0
    assert stage.ask("still there?").choices[0].finish_reason == "stop"


@LEAVE
def test_a_caller_that_leaves_a_stream_ends_it_upstream(stage: Stage, leave: Leave) -> None:
    stage.upstream.script(Hang(after=2))
    caller = stage.call("hello", stream=True)
    caller.read_until(b" there")
    leave_and_watch(stage, caller, leave)
    assert_cancelled(stage)


@LEAVE
def test_a_caller_that_leaves_a_plain_answer_ends_it_upstream(stage: Stage, leave: Leave) -> None:
    stage.upstream.script(Hang(after=2))
    caller = stage.call("hello")
    stage.upstream.wait_for_requests(1, 10)
    leave_and_watch(stage, caller, leave)
    assert_cancelled(stage)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_caller_that_leaves_before_the_first_byte_ends_it_upstream(
    stage: Stage, streamed: bool
) -> None:
    stage.upstream.script(Hang(after=None))
    caller = stage.call("hello", stream=streamed)
    stage.upstream.wait_for_requests(1, 10)
    leave_and_watch(stage, caller, Caller.leave)
    assert_cancelled(stage)


def test_the_official_client_closing_its_stream_is_leaving(stage: Stage) -> None:
    stage.upstream.script(Hang(after=1))
    wanted = stage.client.chat.completions.create(
        model="sonnet", messages=[{"role": "user", "content": "hello"}], stream=True
    )
    with wanted as chunks:
        assert any(chunk.choices[0].delta.content for chunk in chunks)
    stage.upstream.wait_gone(NOTICED_WITHIN_S)
    assert_cancelled(stage)


def test_a_caller_that_stops_sending_has_left(stage: Stage) -> None:
    stage.upstream.script(Hang(after=1))
    with stage.call("hello", stream=True) as caller:
        caller.read_until(b"Hello")
        caller.hang_up()
        stage.upstream.wait_gone(NOTICED_WITHIN_S)
    assert_cancelled(stage)


def test_a_caller_that_reads_nothing_and_vanishes_ends_it_upstream(stage: Stage) -> None:
    flood = Say(["lorem ipsum " * 400] * 20_000)
    stage.upstream.script(flood)
    caller = stage.call("flood me", stream=True)
    caller.read_until(b"lorem")
    # Nobody reads any more: the daemon, then the CLI, then the upstream are held up.
    leave_and_watch(stage, caller, Caller.vanish)
    assert_cancelled(stage)


def test_a_caller_that_leaves_while_the_process_starts_costs_no_request(stage: Stage) -> None:
    caller = stage.call("hello")
    stage.wait_report(lambda r: r.concurrency.inflight == 1)
    caller.leave()
    report = stage.assert_at_rest()
    assert report.stats.cancelled == 1
    assert stage.upstream.requests == ()


def test_a_caller_that_leaves_during_the_replay_costs_no_request(open_real: OpenStage) -> None:
    with open_real(settings=quick(spares=1)) as stage:
        stage.wait_report(lambda r: sum(r.processes.parked.values()) == 1)
        caller = stage.call(say(*["some text"] * 401))
        stage.wait_report(lambda r: r.processes.leased == 1)
        caller.leave()
        report = stage.assert_at_rest()
        assert report.stats.cancelled == 1
        assert stage.upstream.requests == ()


# In the queue...


@pytest.fixture
def narrow(open_real: OpenStage) -> OpenStage:
    """Opens stages with one place, and a queue of two unless the test says otherwise."""

    def start(**changes: int) -> AbstractContextManager[Stage]:
        return open_real(settings=quick(**{"max_concurrent": 1, "max_queue": 2, **changes}))

    return start


@LEAVE
def test_a_caller_that_leaves_the_queue_frees_it(narrow: OpenStage, leave: Leave) -> None:
    with narrow() as stage:
        stage.upstream.script(Hang(after=1))
        with stage.call("first", stream=True) as first:
            first.read_until(b"Hello")
            second = stage.call("second")
            stage.wait_report(lambda r: r.concurrency.queued == 1)
            leave(second)
            stage.wait_report(lambda r: r.concurrency.queued == 0)
            stage.upstream.release()
            first.read_until(b"[DONE]")
        report = stage.assert_at_rest()
        assert (report.stats.cancelled, report.stats.attempts) == (1, 1)
        assert len(stage.upstream.requests) == 1


def test_a_caller_that_leaves_lets_the_next_one_in(narrow: OpenStage) -> None:
    with narrow() as stage:
        stage.upstream.script(Hang(after=1), Say("your turn"))
        first = stage.call("first", stream=True)
        first.read_until(b"Hello")
        with stage.call("second", stream=True) as second:
            stage.wait_report(lambda r: r.concurrency.queued == 1)
            first.leave()
            second.read_until(b"your turn")
            second.read_until(b"[DONE]")


def test_one_more_than_may_wait_is_429_with_the_time_to_come_back(narrow: OpenStage) -> None:
    with narrow(max_queue=1, queue_retry_after_s=7) as stage:
        stage.upstream.script(Hang(after=1), Say("your turn"))
        with stage.call("first", stream=True) as first:
            first.read_until(b"Hello")
            with stage.call("second", stream=True) as second:
                stage.wait_report(lambda r: r.concurrency.queued == 1)
                error = stage.refusal("third")
                assert (error.status_code, error.code) == (429, "queue_full")
                assert error.type == "rate_limit_error"
                assert error.response.headers["retry-after"] == "7"
                stage.upstream.release()
                second.read_until(b"your turn")
        report = stage.assert_at_rest()
        assert report.concurrency.queue_rejections == 1
        assert (report.stats.total_requests, report.stats.errors) == (3, 1)


def test_the_queue_is_served_in_the_order_of_arrival(narrow: OpenStage) -> None:
    with narrow(max_queue=8) as stage:
        stage.upstream.script(Hang(after=1))
        callers = [stage.call("caller 0", stream=True)]
        callers[0].read_until(b"Hello")
        for at in range(1, 5):
            callers.append(stage.call(f"caller {at}"))
            stage.wait_report(lambda r, wanted=at: r.concurrency.queued == wanted)  # type: ignore[misc]
        stage.upstream.release()
        for caller in callers[1:]:
            caller.read_until(b'"finish_reason":"stop"')
        for caller in callers:
            caller.leave()
        asked = [request.messages[0]["content"] for request in stage.upstream.requests]
        assert asked == [f"caller {at}" for at in range(5)]


def test_without_a_queue_a_second_caller_is_refused_at_once(narrow: OpenStage) -> None:
    with narrow(max_queue=0) as stage:
        stage.upstream.script(Hang(after=1))
        with stage.call("first", stream=True) as first:
            first.read_until(b"Hello")
            assert stage.refusal("second").code == "queue_full"
            stage.upstream.release()
            first.read_until(b"[DONE]")


def test_many_callers_that_come_and_go_leave_nothing_behind(open_real: OpenStage) -> None:
    with open_real(settings=quick(max_concurrent=2, max_queue=50, spares=1)) as stage:
        stage.upstream.script_default(Hang(after=1))
        callers = [stage.call(f"caller {at}", stream=True) for at in range(20)]
        callers[0].read_until(b"Hello")
        for at, caller in enumerate(callers):
            (Caller.leave if at % 2 else Caller.vanish)(caller)
        report = stage.assert_at_rest()
        assert report.stats.cancelled == 20
        assert report.stats.total_requests == 20
        # Those that never got a place never got a process.
        assert report.stats.attempts <= 4
        stage.upstream.script_default(Say("fine"))
        assert stage.ask("hello").choices[0].message.content == "fine"
