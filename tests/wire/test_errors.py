"""Every failure behind the CLI is answered with the status, type and code that say what to do."""

import socket
import time
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from ocpd.claude.argv import Lane
from tests.kit.daemon import scripted_lane
from tests.kit.script import Cut, ErrorEvent, Fail, Reply, Say, limit_reached
from tests.kit.upstream import Upstream
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage, quick, say

pytestmark = pytest.mark.real_cli

BOTH = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
SYNTHETIC = "API Error"


class Row(msgspec.Struct):
    """One line of the table: what the upstream answers, and what the caller then gets."""

    fail: Fail
    status: int
    type: str
    code: str
    text: str


TABLE = {
    "400": Row(
        Fail(400, message="no such thing"),
        *(400, "invalid_request_error", "invalid_request_error", "no such thing"),
    ),
    "401": Row(Fail(401), 401, "authentication_error", "not_signed_in", "auth login"),
    "403": Row(
        Fail(403, message="not for you"),
        *(403, "permission_error", "authentication_failed", "not for you"),
    ),
    "404": Row(Fail(404), 404, "invalid_request_error", "model_not_found", "claude-sonnet-5-5"),
    "413": Row(Fail(413), 413, "invalid_request_error", "request_too_large", "too large"),
    "429": Row(
        Fail(429, message="slow down"),
        *(429, "rate_limit_error", "rate_limit_exceeded", "slow down"),
    ),
    "500": Row(Fail(500, message="it broke"), 502, "api_error", "upstream_error", "it broke"),
    "504": Row(Fail(504, message="too slow"), 504, "api_error", "upstream_timeout", "too slow"),
    "529": Row(Fail(529, message="so busy"), 503, "api_error", "overloaded", "so busy"),
}


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
@BOTH
def test_a_status_of_the_upstream_becomes_a_status(stage: Stage, row: Row, streamed: bool) -> None:
    stage.upstream.script_default(row.fail)
    error = stage.refusal("hello", stream=streamed)
    assert (error.status_code, error.type, error.code) == (row.status, row.type, row.code)
    assert row.text in str(error)
    assert error.response.headers["content-type"] == "application/json"
    assert error.response.headers["x-request-id"]
    if row.status == 503:
        assert int(error.response.headers["retry-after"]) >= 1
    report = stage.assert_at_rest()
    assert (report.stats.errors, report.stats.attempts) == (1, 1)


@BOTH
def test_a_used_up_plan_is_429_with_the_time_of_its_reset(stage: Stage, streamed: bool) -> None:
    stage.upstream.script_default(limit_reached(_in_two_hours()))
    error = stage.refusal("hello", stream=streamed)
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "rate_limit_exceeded"
    left_s = int(error.response.headers["retry-after"])
    assert 7200 - 60 <= left_s <= 7200
    assert "limit" in str(error)
    stage.heard()


def _in_two_hours() -> int:
    return int(time.clock_gettime(time.CLOCK_REALTIME)) + 7200


@pytest.mark.parametrize("refused", [Fail(401), Fail(429), Fail(529)], ids=["401", "429", "529"])
def test_a_refusal_is_not_remembered(stage: Stage, refused: Fail) -> None:
    stage.upstream.script_default(refused)
    stage.refusal("hello")
    stage.upstream.script_default(Say("welcome back"))
    assert stage.ask("hello").choices[0].message.content == "welcome back"
    stage.wait_report(lambda r: r.auth.ok is True)


def test_a_plan_that_was_used_up_is_asked_again_every_time(stage: Stage) -> None:
    stage.upstream.script_default(limit_reached(_in_two_hours()))
    for count in (1, 2):
        stage.refusal("hello")
        assert len(stage.upstream.requests) == count


@BOTH
def test_an_upstream_that_is_not_there_is_502(
    open_real: OpenStage, streamed: bool, closed_port: int
) -> None:
    with open_real(lane=scripted_lane(f"http://127.0.0.1:{closed_port}")) as stage:
        error = stage.refusal("hello", stream=streamed)
        assert (error.status_code, error.type, error.code) == (502, "api_error", "upstream_error")


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize(
    "first",
    [Cut(after=None), Cut(after=0), ErrorEvent(after=None), Fail(529)],
    ids=["cut before the head", "cut before a delta", "error event", "529"],
)
@BOTH
def test_a_failure_before_any_text_is_healed_by_the_clis_own_retry(
    stage: Stage, first: Reply, streamed: bool
) -> None:
    stage.upstream.script(first, Say(["all ", "fine"]))
    if streamed:
        told = stage.stream("hello")
        assert (told.text, told.finish, told.error) == ("all fine", ["stop"], None)
        assert sum(c.choices[0].delta.role == "assistant" for c in told.chunks) == 1
    else:
        assert stage.ask("hello").choices[0].message.content == "all fine"
    assert stage.assert_at_rest().stats.attempts == 1


BROKEN: dict[str, Reply] = {
    "reset": Cut(after=2, delay_s=0.2),
    "end": Cut(after=2, delay_s=0.2, how="fin"),
    "error event": ErrorEvent(after=2, delay_s=0.2, answer=Say(["Hello", " there", ", friend."])),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
def test_a_stream_that_breaks_after_text_ends_with_an_error_and_never_says_it_twice(
    stage: Stage, reply: Reply
) -> None:
    stage.upstream.script(reply, Say(["Hello", " there", ", again."]))
    told = stage.stream("hello")
    assert told.pieces == ["Hello", " there"]
    assert told.finish == []
    assert told.error is not None
    assert told.error.code == "broke_off"
    report = stage.assert_at_rest()
    assert (report.stats.errors, report.stats.attempts) == (1, 1)


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
def test_a_plain_answer_that_breaks_is_502_and_not_half_an_answer(
    stage: Stage, reply: Reply
) -> None:
    stage.upstream.script(reply, Say(["Hello", " there", ", again."]))
    error = stage.refusal("hello")
    assert (error.status_code, error.code) == (502, "broke_off")


def test_an_error_event_is_the_last_thing_of_a_stream_but_done(stage: Stage) -> None:
    stage.upstream.script(Cut(after=1, delay_s=0.2))
    page = stage.post("hello", stream=True)
    assert page.status == 200
    *_, error, done, end = page.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    told = msgspec.json.decode(error.removeprefix("data: "), type=dict[str, dict[str, Any]])
    assert told["error"]["type"] == "api_error"
    assert '"finish_reason":"' not in page.text


@pytest.mark.parametrize("fail", [Fail(400), Fail(401), Fail(529)], ids=["400", "401", "529"])
def test_the_clis_own_words_about_an_error_are_never_an_answer(stage: Stage, fail: Fail) -> None:
    stage.upstream.script_default(fail)
    page = stage.post("hello", stream=True)
    assert page.status >= 400
    assert set(page.json()) == {"error"}
    assert "content" not in page.json()["error"]


def test_a_prompt_that_the_cli_will_not_send_is_context_length_exceeded(stage: Stage) -> None:
    prompt = "lorem ipsum dolor " * 50_000
    error = stage.refusal(prompt, model="claude-haiku-4-5")
    assert (error.status_code, error.code) == (400, "context_length_exceeded")
    assert error.param == "messages"
    assert "claude-haiku-4-5" in str(error)
    assert stage.upstream.requests == ()


def test_a_prompt_that_the_upstream_finds_too_long_is_the_same_error(stage: Stage) -> None:
    stage.upstream.script_default(Fail(400, message="prompt is too long: 210000 tokens > 200000"))
    error = stage.refusal("hello")
    assert (error.status_code, error.code) == (400, "context_length_exceeded")


def test_a_history_survives_a_failed_turn_of_another_request(stage: Stage) -> None:
    stage.upstream.script(Fail(400, message="no"), Fail(400), Fail(400))
    stage.refusal(say("secret question"))
    stage.upstream.forget()
    stage.upstream.script_default(Say("yes"))
    stage.ask("hello")
    assert b"secret question" not in stage.heard().raw


# Nobody is signed in...


@pytest.fixture
def nobody(upstream: Upstream) -> Lane:
    """A lane without a token: the HOME of a test holds no login either."""
    return Lane(environment=(("ANTHROPIC_BASE_URL", upstream.url),))


@BOTH
def test_without_a_login_a_completion_is_401_with_the_command_that_signs_in(
    open_real: OpenStage, nobody: Lane, streamed: bool
) -> None:
    with open_real(lane=nobody) as stage:
        error = stage.refusal("hello", stream=streamed)
        assert isinstance(error, openai.AuthenticationError)
        assert error.code == "not_signed_in"
        assert "claude auth login" in str(error)
        assert error.response.headers["www-authenticate"]
        assert stage.upstream.requests == ()


def test_without_a_login_health_says_so_and_how_to_sign_in(
    open_real: OpenStage, nobody: Lane
) -> None:
    with open_real(lane=nobody) as stage:
        auth = stage.get("/health").json()["auth"]
        assert auth["ok"] is False
        assert "claude auth login" in auth["message"]


def test_the_command_that_signs_in_names_the_cli_that_is_run(
    open_real: OpenStage, nobody: Lane, real_cli: Path, tmp_path: Path
) -> None:
    settings = quick(claude_bin=str(real_cli))
    environ = {"PATH": "/usr/bin:/bin", "CLAUDE_CONFIG_DIR": str(tmp_path / "config")}
    with open_real(lane=nobody, settings=settings, environ=environ) as stage:
        told = str(stage.refusal("hello"))
        assert f"CLAUDE_CONFIG_DIR={tmp_path / 'config'} {real_cli} auth login" in told


def test_a_refused_token_shows_in_health_until_a_turn_is_answered(stage: Stage) -> None:
    stage.upstream.script_default(Fail(401))
    stage.refusal("hello")
    report = stage.wait_report(lambda r: r.auth.ok is False)
    assert report.auth.ok_source == "request"
    stage.upstream.script_default(Say("yes"))
    stage.ask("hello")
    stage.wait_report(lambda r: r.auth.ok is True)
