"""Promise: the real CLI and the scripted API understand each other, in every way the kit offers.

Few processes and many turns: each start of the CLI costs a third of a second of CPU.
"""

import sys
import time

import pytest

from tests.kit.cli import (
    RealCli,
    find_real_cli,
    is_result,
    stream_events,
    streamed_text,
    user_frame,
)
from tests.kit.script import (
    Call,
    CallTools,
    Cut,
    ErrorEvent,
    Fail,
    Hang,
    PlanHeaders,
    Say,
    limit_reached,
)
from tests.kit.upstream import Upstream

WITHIN_S = 10
SOON = 4_000_000_000


class Pair:
    """One CLI and the API it talks to."""

    def __init__(self, cli, upstream, home):
        self.cli = cli
        self.home = home
        self.upstream = upstream

    def turn(self, *replies, text="hi"):
        """A turn answered by ``replies``; returns its frames and the requests it took."""
        before = len(self.upstream.requests)
        self.upstream.script(*replies)
        frames = self.cli.ask(text)
        return frames, self.upstream.requests[before:]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    home = tmp_path_factory.mktemp("cli")
    with Upstream() as upstream, RealCli(upstream.url, home) as cli:
        assert cli.initialize()["subtype"] == "success"
        yield Pair(cli, upstream, home)


def kinds(frames):
    return [event["type"] for event in stream_events(frames)]


def of_type(frames, kind):
    return [frame for frame in frames if frame["type"] == kind]


def streams(requests):
    return [request.body["stream"] for request in requests]


@pytest.mark.real_cli
def test_two_turns_are_streamed_by_one_process(pair):
    frames, requests = pair.turn(Say(["One", " two."]), text="first")
    assert streamed_text(frames) == frames[-1]["result"] == "One two."
    assert requests[0].headers["authorization"] == "Bearer kit-token"
    frames, requests = pair.turn(text="say 3 words")
    assert streamed_text(frames) == "amber birch cedar"
    roles = [m["role"] for m in requests[0].messages if m["role"] != "system"]
    assert roles == ["user", "assistant", "user"]
    assert [r.refusal for r in pair.upstream.requests] == [None, None]


@pytest.mark.real_cli
def test_an_older_model_with_a_thinking_budget_passes_the_checks(upstream, start_cli):
    cli = start_cli(model="claude-haiku-4-5-20251001")
    cli.initialize()
    assert "1 message," in cli.ask("hi")[-1]["result"]
    assert "3 messages," in cli.ask("and?")[-1]["result"]
    assert upstream.requests[0].body["thinking"]["budget_tokens"] == 31_999
    assert upstream.strays == ()


@pytest.mark.real_cli
def test_a_call_of_an_unknown_tool_is_survived(pair):
    frames, requests = pair.turn(CallTools([Call("nope", {"a": 1}), Call("nor")], text="Let me."))
    assert len(requests) == 2
    results = requests[1].messages[-1]["content"]
    assert [block["type"] for block in results] == ["tool_result", "tool_result"]
    assert frames[-1]["result"].startswith("The tool answered: <tool_use_error>")


@pytest.mark.real_cli
def test_thinking_is_passed_on_and_comes_back_in_the_history(pair):
    frames, _ = pair.turn(Say("Yes.", thinking=["I", " think"]))
    deltas = [event["delta"] for event in stream_events(frames) if "delta" in event]
    assert "".join(delta.get("thinking", "") for delta in deltas) == "I think"
    _, requests = pair.turn()
    block = requests[0].messages[-2]["content"][0]
    assert block["thinking"] == "I think"
    assert block["signature"].startswith("kit-signature")


@pytest.mark.real_cli
@pytest.mark.parametrize(
    ("status", "attempts", "announced", "error", "reason"),
    [
        (400, 3, 0, "unknown", "api_error"),
        (401, 2, 1, "authentication_failed", "api_error"),
        (403, 1, 0, "authentication_failed", "api_error"),
        (404, 2, 0, "model_not_found", "api_error"),
        (413, 1, 0, "invalid_request", "image_error"),
        (429, 2, 1, "rate_limit", "api_error"),
        (500, 2, 1, "server_error", "api_error"),
        (529, 2, 1, "server_error", "api_error"),
    ],
)
def test_a_failure_arrives_with_its_status(pair, status, attempts, announced, error, reason):
    frames, requests = pair.turn(*[Fail(status)] * attempts)
    assert len(requests) == attempts
    retries = [f["error_status"] for f in frames if f.get("subtype") == "api_retry"]
    # A 401 announces one more retry than it makes.
    assert set(retries) == ({status} if announced else set())
    (synthetic,) = of_type(frames, "assistant")
    assert synthetic["message"]["model"] == "<synthetic>"
    assert synthetic["error"] == error
    result = frames[-1]
    assert (result["is_error"], result["api_error_status"]) == (True, status)
    assert result["terminal_reason"] == reason


@pytest.mark.real_cli
def test_a_used_up_plan_is_told_at_once_with_its_reset(pair):
    frames, requests = pair.turn(limit_reached(SOON, window="seven_day"))
    assert len(requests) == 1
    (event,) = of_type(frames, "rate_limit_event")
    assert event["rate_limit_info"]["status"] == "rejected"
    assert event["rate_limit_info"]["rateLimitType"] == "seven_day"
    assert event["rate_limit_info"]["resetsAt"] == SOON
    assert "weekly limit" in frames[-1]["result"]


@pytest.mark.real_cli
def test_plan_headers_of_good_answers_become_events(pair):
    plan = PlanHeaders(five_hour_utilization=0.5)
    pair.upstream.show_plan(plan)
    frames, _ = pair.turn()
    (event,) = of_type(frames, "rate_limit_event")
    windows = event["rate_limit_info"]["unifiedWindows"]
    assert windows["five_hour"]["utilization"] == 0.5
    assert windows["five_hour"]["resetsAt"] == plan.five_hour_resets_at
    assert windows["seven_day"]["utilization"] == 0.1
    assert of_type(pair.turn()[0], "rate_limit_event") == []
    pair.upstream.show_plan(
        PlanHeaders(
            five_hour_utilization=0.93, five_hour_status="allowed_warning", surpassed_threshold=0.9
        )
    )
    (event,) = of_type(pair.turn()[0], "rate_limit_event")
    assert event["rate_limit_info"]["status"] == "allowed_warning"
    assert event["rate_limit_info"]["utilization"] == 0.93


@pytest.mark.real_cli
@pytest.mark.parametrize("how", ["reset", "fin"])
def test_a_cut_stream_ends_without_message_delta_and_is_tried_again(pair, how):
    frames, requests = pair.turn(Cut(after=2, how=how), Say("Whole."))
    found = kinds(frames)
    end = found.index("message_stop")
    assert found[:end].count("content_block_delta") == 2
    assert "message_delta" not in found[:end]
    assert found[end + 1] == "message_start"
    assert [f["error_status"] for f in frames if f.get("subtype") == "api_retry"] == [None]
    assert streams(requests) == [True, True]
    assert requests[0].cut
    assert frames[-1]["result"] == "Whole."


@pytest.mark.real_cli
def test_after_failed_streams_the_whole_answer_is_asked_for(pair):
    frames, requests = pair.turn(Cut(after=1), Cut(after=1), Say("Whole."))
    assert streams(requests) == [True, True, False]
    assert "Whole." not in streamed_text(frames)
    assert of_type(frames, "assistant")[-1]["message"]["content"][0]["text"] == "Whole."
    assert frames[-1]["result"] == "Whole."
    frames, requests = pair.turn(ErrorEvent(after=1), Say("Whole."))
    assert streams(requests) == [True, False]
    assert frames[-1]["result"] == "Whole."


@pytest.mark.real_cli
@pytest.mark.parametrize("after", [None, 0, 1])
def test_an_interrupt_leaves_the_api_at_once(pair, after):
    pair.upstream.forget()
    pair.upstream.script(Hang(after=after))
    pair.cli.send(user_frame("hi"))
    pair.upstream.wait_for_requests(1, WITHIN_S)
    if after is not None:
        pair.cli.until(lambda f: f["type"] == "stream_event" and kinds([f]) == ["message_start"])
    at = time.monotonic()
    assert pair.cli.control("interrupt")["subtype"] == "success"
    (left,) = pair.upstream.wait_gone(WITHIN_S)
    # Reported (pytest -rP), not asserted.
    sys.stdout.write(f"gone {(left.gone_at - at) * 1000:.1f} ms after the interrupt\n")
    assert pair.cli.until(is_result)["terminal_reason"] == "aborted_streaming"


@pytest.mark.real_cli
def test_a_model_probe_uses_up_no_reply(pair):
    pair.upstream.forget()
    assert pair.cli.control("set_model", model="claude-opus-4-6")["subtype"] == "success"
    frames, _ = pair.turn(Say("Mine."))
    assert [request.probe for request in pair.upstream.requests] == [True, False]
    assert frames[-1]["result"] == "Mine."


@pytest.mark.real_cli
def test_the_cli_keeps_even_its_sockets_at_home(pair):
    # Elsewhere a killed CLI would leave its socket in a folder that all of them share.
    assert (pair.home / "cc-socks" / f"{pair.cli.process.pid}.sock").is_socket()


def test_a_missing_cli_is_an_error_that_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("OCPD_TEST_CLAUDE", str(tmp_path / "claude"))
    with pytest.raises(FileNotFoundError, match="OCPD_TEST_CLAUDE="):
        find_real_cli()
    (tmp_path / "claude").touch(0o755)
    assert find_real_cli() == tmp_path / "claude"
    monkeypatch.delenv("OCPD_TEST_CLAUDE")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="claude-agent-sdk"):
        find_real_cli()
