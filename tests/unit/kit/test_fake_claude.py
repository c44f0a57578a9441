"""Promise: the fake CLI speaks like the real one, and misbehaves exactly as it is told."""

import signal
import subprocess
import uuid

import msgspec
import pytest

from tests.kit.cli import (
    RealCli,
    control_frame,
    is_result,
    stream_events,
    streamed_text,
    user_frame,
)
from tests.kit.fake_script import (
    Answer,
    CallTool,
    CloseStdout,
    Die,
    EmptyError,
    FakeScript,
    FloodStderr,
    Garbage,
    LongLine,
    Silent,
    SplitCharacters,
    count_starts,
    make_fake_cli,
)


@pytest.fixture
def start(tmp_path):
    """Starts a fake with a script; all that were started end with the test."""
    started = []

    def begin(script=()):
        executable = make_fake_cli(tmp_path / f"fake{len(started)}", script)
        started.append(RealCli("http://127.0.0.1:1", tmp_path / "home", executable=executable))
        return started[-1]

    yield begin
    for cli in started:
        cli.close()


def run(executable, *arguments):
    return subprocess.run([executable, *arguments], capture_output=True, text=True, check=False)


def kinds(frames):
    return [f["event"]["type"] if f["type"] == "stream_event" else f["type"] for f in frames]


def test_it_knows_its_version_and_login(tmp_path):
    fake = make_fake_cli(tmp_path, version="2.1.200")
    assert run(fake, "--version").stdout == "2.1.200 (Claude Code)\n"
    status = run(fake, "auth", "status", "--json")
    assert (status.returncode, msgspec.json.decode(status.stdout)["loggedIn"]) == (0, True)
    assert run(fake, "doctor").returncode == 2
    out = make_fake_cli(tmp_path / "out", FakeScript(logged_in=False))
    status = run(out, "auth", "status")
    assert (status.returncode, msgspec.json.decode(status.stdout)["loggedIn"]) == (1, False)
    assert count_starts(fake) == count_starts(out) == 0


def test_a_turn_has_the_frames_of_the_real_one(start):
    cli = start()
    ready = cli.initialize()
    assert ready["subtype"] == "success"
    assert ready["response"]["claude_code_version"] == "2.1.330"
    assert len(ready["response"]["models"]) == 5
    name = str(uuid.uuid4())
    frames = cli.ask("hi", uuid=name)
    assert kinds(frames) == [
        "command_lifecycle", "command_lifecycle", "system", "system",
        "message_start", "content_block_start",
        *["content_block_delta"] * 3,
        "assistant", "content_block_stop", "message_delta", "message_stop",
        "rate_limit_event", "result",
    ]  # fmt: skip
    assert streamed_text(frames) == frames[-1]["result"] == "Hello there, friend."
    for at in (2, 3, 4, -1):
        assert frames[at]["user_message_uuids"] == [name]
    assert frames[-1]["terminal_reason"] == "completed"
    assert cli.until(lambda f: f["type"] == "command_lifecycle")["state"] == "completed"


def test_history_is_taken_without_a_turn_and_can_be_rewound(start):
    cli = start()
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    for name in (first, second):
        result = cli.ask("x", uuid=name, shouldQuery=False)[-1]
        assert (result["num_turns"], result["is_error"]) == (0, False)

    def rewind(target):
        return cli.control("rewind_conversation", target_message_uuid=target)["response"]

    assert rewind("nobody")["reason"] == "target_not_found"
    assert rewind(first)["reason"] == "stale_target"
    assert rewind(second)["precedingAssistantUuid"] is not None
    assert rewind(first) == {
        "rewound": True, "targetMessageUuid": first, "prefillText": None,
        "precedingAssistantUuid": None,
    }  # fmt: skip


def test_settings_are_accepted_and_the_unknown_is_refused(start):
    cli = start()
    assert cli.control("set_model", model="claude-opus-5-5")["response"] == {
        "model": "claude-opus-5-5"}  # fmt: skip
    assert cli.ask("hi")[2]["model"] == "claude-opus-5-5"
    assert cli.control("apply_flag_settings", settings={})["subtype"] == "success"
    assert cli.control("mcp_set_servers", servers={"a": {}})["response"]["added"] == ["a"]
    assert cli.control("list_models")["response"]["models"]
    assert cli.control("get_usage")["response"]["rate_limits"] is None
    assert cli.control("nonsense")["error_code"] == "unsupported_request"


def test_an_interrupt_aborts_a_turn_and_the_next_one_runs(start):
    cli = start([Silent(after=2), Answer(("fine",))])
    cli.initialize()
    cli.send(user_frame("hi"))
    cli.until(lambda f: f["type"] == "stream_event" and "word1" in str(f))
    busy = cli.control("rewind_conversation", target_message_uuid="x")["response"]
    assert busy["reason"] == "turn_running"
    assert cli.control("interrupt")["response"] == {"still_queued": []}
    result = cli.until(is_result)
    assert (result["subtype"], result["is_error"]) == ("error_during_execution", True)
    assert result["terminal_reason"] == "aborted_streaming"
    assert stream_events(cli.seen)[-2]["delta"]["stop_reason"] is None
    assert cli.ask("again")[-1]["result"] == "fine"
    assert cli.control("interrupt")["subtype"] == "success"


def test_a_message_sent_during_a_turn_is_the_next_turn(start):
    cli = start([Answer(delay_s=0.02), Answer(("second",))])
    cli.send(user_frame("a"), user_frame("b"))
    assert cli.until(is_result)["result"] == "Hello there, friend."
    assert cli.until(is_result)["result"] == "second"


def test_the_end_of_stdin_lets_a_turn_finish_and_ends_an_idle_one(start):
    cli = start(Answer(delay_s=0.02))
    cli.send(user_frame("a"))
    cli.process.stdin.close()
    assert cli.until(is_result)["result"] == "Hello there, friend."
    assert cli.process.wait(10) == 0


@pytest.mark.parametrize(
    ("how", "code"),
    [(Die(after=2, code=7), 7), (Die(after=0, code=0), 0), (Die(code=-9), -signal.SIGKILL)],
)
def test_it_dies_in_a_turn_without_a_result(start, how, code):
    cli = start(how)
    with pytest.raises(EOFError):
        cli.ask("hi")
    assert cli.process.wait(10) == code
    assert kinds(cli.seen).count("content_block_delta") == how.after


def test_it_dies_in_the_middle_of_a_line(tmp_path):
    fake = make_fake_cli(tmp_path, Die(after=1, mid_line=True))
    frame = msgspec.json.encode(user_frame("hi")) + b"\n"
    ended = subprocess.run(
        [fake, "--output-format", "stream-json"], input=frame, capture_output=True, check=False
    )
    assert ended.returncode == 1
    assert not ended.stdout.endswith(b"\n")
    assert ended.stdout.rpartition(b"\n")[2].startswith(b'{"type":"stream_event"')


def test_it_splits_characters_over_writes(start):
    cli = start(SplitCharacters("aß🙂"))
    assert streamed_text(cli.ask("hi")) == "aß🙂"


def test_it_writes_a_long_line(start):
    assert len(streamed_text(start(LongLine(10)).ask("hi"))) == 10 << 20


def test_it_mixes_garbage_between_its_frames(tmp_path):
    fake = make_fake_cli(tmp_path, Garbage(lines=("oops", "{no json")))
    frame = msgspec.json.encode(user_frame("hi")) + b"\n"
    ended = subprocess.run(
        [fake, "--output-format", "stream-json"], input=frame, capture_output=True, check=False
    )
    assert ended.stdout.count(b"\noops\n{no json\n") == 2
    assert b'"result":"Hello there."' in ended.stdout


def test_it_floods_stderr(start, tmp_path):
    assert streamed_text(start(FloodStderr(20)).ask("hi")) == "Hello."
    assert (tmp_path / "home/stderr.txt").stat().st_size > 19 << 20


def test_it_reports_an_error_without_a_word(start):
    result = start(EmptyError()).ask("hi")[-1]
    assert result["is_error"]
    assert "result" not in result


@pytest.mark.parametrize("script", [CloseStdout(after=1), FakeScript(on_start="close_stdout")])
def test_it_lives_on_with_stdout_closed(start, script):
    cli = start(script)
    with pytest.raises(EOFError):
        cli.ask("hi")
    assert cli.process.poll() is None


@pytest.mark.parametrize(
    "script",
    [FakeScript(on_start="silent"), FakeScript(initialize="never")],
)
def test_it_never_answers_initialize(start, script):
    cli = start(script)
    cli.send(control_frame("initialize", "i1"))
    with pytest.raises(TimeoutError):
        cli.until(lambda f: f["type"] == "control_response", within_s=0.5)
    assert cli.process.poll() is None


def test_it_answers_initialize_wrongly(start):
    assert start(FakeScript(initialize="error")).initialize()["subtype"] == "error"
    other = start(FakeScript(initialize="wrong_id"))
    other.send(control_frame("initialize", "i1"))
    answer = other.until(lambda f: f["type"] == "control_response")
    assert answer["response"]["request_id"] != "i1"


def test_it_turns_a_deaf_ear_to_interrupts_and_sigterm(start):
    cli = start(FakeScript(ignores_sigterm=True, turns=(Silent(after=1, deaf=True),)))
    cli.initialize()
    cli.send(user_frame("hi"))
    cli.until(lambda f: f["type"] == "stream_event" and "word0" in str(f))
    cli.send(control_frame("interrupt", "x"))
    cli.process.terminate()
    with pytest.raises(TimeoutError):
        cli.until(is_result, within_s=0.5)
    assert cli.process.poll() is None
    cli.kill()
    assert cli.process.returncode == -signal.SIGKILL


def test_it_lingers_after_the_end_of_stdin(start):
    cli = start(FakeScript(lingers_at_eof=True))
    cli.initialize()
    cli.process.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        cli.process.wait(0.3)


def test_a_crash_loop_counts_its_starts_and_can_end(tmp_path):
    fake = make_fake_cli(tmp_path / "fake", FakeScript(failing_starts=2, exit_code=3))
    for start in (1, 2):
        with RealCli("", tmp_path / "home", executable=fake) as cli:
            assert cli.process.wait(10) == 3
            assert count_starts(fake) == start
    with RealCli("", tmp_path / "home", executable=fake) as cli:
        assert cli.initialize()["subtype"] == "success"
    assert count_starts(fake) == 3
    always = make_fake_cli(tmp_path / "always", FakeScript(on_start="exit", exit_code=0))
    with RealCli("", tmp_path / "home", executable=always) as cli:
        assert cli.process.wait(10) == 0


def is_call(frame):
    return frame["type"] == "control_request"


def test_it_calls_a_tool_of_the_host_s_and_holds_until_the_result_comes(start):
    cli = start([CallTool(arguments='{"key":1}', deltas=("42",)), Answer(("next",))])
    cli.initialize(sdkMcpServers=["c"])
    cli.send(user_frame("hi"))
    asked = cli.until(is_call)
    assert asked["request"]["message"]["method"] == "tools/call"
    init = next(f for f in cli.seen if f.get("subtype") == "init")
    assert init["tools"] == ["lookup"]
    cli.until(lambda f: f["type"] == "stream_event" and f["event"]["type"] == "message_stop")
    starts = [e["content_block"] for e in stream_events(cli.seen) if "content_block" in e]
    assert [(b["type"], b["id"], b["name"]) for b in starts] == [
        ("tool_use", "toolu_fake", "lookup")
    ]
    result = {"mcp_response": {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}}
    response = {"subtype": "success", "request_id": asked["request_id"], "response": result}
    cli.send({"type": "control_response", "response": response})
    assert cli.until(is_result)["result"] == "42"
    assert streamed_text(cli.ask("again")) == "next"


def test_while_it_holds_only_an_interrupt_ends_it(start):
    cli = start(CallTool())
    cli.initialize()
    cli.send(user_frame("hi"))
    cli.until(is_call)
    cli.send(control_frame("interrupt", "stop"))
    assert cli.until(is_result)["is_error"]
    cli.process.stdin.close()
    assert cli.process.wait(10) == 0
