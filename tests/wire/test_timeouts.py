"""Time limits: a turn that takes too long ends with a 504 of its own, and leaves nothing behind."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.kit.journal import Received
from tests.kit.script import Call, CallTools, Fail, Hang, Reply, Say
from tests.wire.conftest import OpenStage
from tests.wire.servers import server, write_servers
from tests.wire.stage import conversation, in_background, quick, say
from tests.wire.tooling import called, calls_in, result, tool

pytestmark = pytest.mark.real_cli

LOOKUP = tool("lookup")

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def slow(**limits: int) -> dict[str, Any]:
    return {"settings": quick(**limits)}


@BOTH
def test_an_upstream_that_says_nothing_is_504(open_real: OpenStage, streamed: bool) -> None:
    with open_real(**slow(first_byte_timeout_ms=1500)) as stage:
        stage.upstream.script(Hang(after=None))
        error = stage.refusal("hello", stream=streamed)
        assert (error.status_code, error.code) == (504, "first_byte_timeout")
        assert "firstByteTimeout" in str(error)
        stage.upstream.wait_gone(5)
        report = stage.assert_at_rest()
        assert (report.stats.timeouts, report.stats.cancelled) == (1, 0)


def test_a_limit_shorter_than_the_clis_start_is_504_too(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=1)) as stage:
        assert stage.refusal("hello").status_code == 504
        stage.assert_at_rest()


def test_the_first_byte_limit_does_not_cut_a_long_answer(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=1500)) as stage:
        stage.upstream.script(Say(["a", "b", "c", "d"], delay_s=0.6))
        assert stage.stream("hello").pieces == ["a", "b", "c", "d"]


def test_an_answer_that_takes_too_long_ends_with_an_error_event(open_real: OpenStage) -> None:
    with open_real(**slow(timeout_ms=1500)) as stage:
        stage.upstream.script(Hang(after=2))
        told = stage.stream("hello")
        assert told.pieces == ["Hello", " there"]
        assert told.finish == []
        assert told.error is not None
        assert told.error.code == "timeout"
        stage.upstream.wait_gone(5)


def test_a_plain_answer_that_takes_too_long_is_504(open_real: OpenStage) -> None:
    with open_real(**slow(timeout_ms=1500)) as stage:
        stage.upstream.script(Hang(after=2))
        error = stage.refusal("hello")
        assert (error.status_code, error.code) == (504, "timeout")
        stage.upstream.wait_gone(5)


def test_a_time_out_between_retries_answers_what_the_upstream_said(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=2500, cli_max_retries=10)) as stage:
        stage.upstream.script_default(Fail(529))
        error = stage.refusal("hello")
        assert (error.status_code, error.code) == (503, "overloaded")
        assert len(stage.upstream.requests) > 1
        stage.assert_at_rest()


def test_after_a_time_out_the_next_request_is_served(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=1500, max_concurrent=1)) as stage:
        stage.upstream.script(Hang(after=None), Say("here again"))
        stage.refusal("hello")
        assert stage.ask("hello").choices[0].message.content == "here again"


@BOTH
def test_an_upstream_that_falls_silent_is_504(open_real: OpenStage, streamed: bool) -> None:
    with open_real(**slow(idle_event_timeout_ms=700)) as stage:
        stage.upstream.script(Hang(after=1))
        if streamed:
            told = stage.stream("hello")
            assert (told.pieces, told.finish) == (["Hello"], [])
            assert told.error is not None
            assert told.error.code == "idle_timeout"
        else:
            error = stage.refusal("hello")
            assert (error.status_code, error.code) == (504, "idle_timeout")
            assert "idleEventTimeout" in str(error)
        stage.upstream.wait_gone(5)
        assert stage.assert_at_rest().stats.timeouts == 1


def test_a_long_answer_that_goes_on_is_not_silent(open_real: OpenStage) -> None:
    with open_real(**slow(idle_event_timeout_ms=700)) as stage:
        stage.upstream.script(Say(["a", "b", "c", "d"], delay_s=0.4))
        assert stage.stream("hello").pieces == ["a", "b", "c", "d"]


def test_thinking_that_is_not_told_is_a_first_byte(open_real: OpenStage) -> None:
    with open_real(**slow(first_byte_timeout_ms=1500)) as stage:
        thoughts = ["hm ", "well ", "so ", "yes"]
        stage.upstream.script(Say("Done.", thinking=thoughts, delay_s=0.6))
        assert stage.stream("hello").text == "Done."


def test_calls_that_the_caller_works_on_are_no_silence(open_real: OpenStage) -> None:
    with open_real(**slow(idle_event_timeout_ms=400)) as stage:
        stage.upstream.script(CallTools((Call("lookup", {"key": 1}),)), Hang(after=1), Say("Done."))
        chat = say("look it up")
        first = stage.ask(chat, tools=[LOOKUP])
        # The silence of another turn is as long as none may be.
        assert stage.refusal("meanwhile").code == "idle_timeout"
        chat += [called(first), result(calls_in(first)[0], "a zebra")]
        assert stage.ask(chat, tools=[LOOKUP]).choices[0].message.content == "Done."
        assert stage.daemon.wait_quiet().processes.sources["continued"] == 1


def test_a_tool_on_this_machine_that_takes_its_time_is_no_silence(
    open_real: OpenStage, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    entries = {"files": server("wait", GATE=str(gate))}
    config = write_servers(tmp_path / "servers.json", entries)
    with open_real(**slow(idle_event_timeout_ms=400, mcp_config=config)) as stage:
        stage.upstream.script(CallTools((Call("mcp__files__wait", {}),)))
        stage.upstream.script_default(pick)
        with in_background() as callers:
            asking = callers.submit(stage.ask, "go")
            stage.upstream.wait_for_requests(1, 10)
            assert stage.refusal("meanwhile").code == "idle_timeout"
            with gate.open("w") as pipe:
                pipe.write("x")
            assert asking.result(20).choices[0].message.content == "Done."


def pick(request: Received) -> Reply:
    """Fall silent for one question, and answer all others."""
    is_other = any("meanwhile" in text for _, texts in conversation(request) for text in texts)
    return Hang(after=1) if is_other else Say("Done.")
