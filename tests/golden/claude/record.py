"""Write the transcripts of this folder anew: the real CLI against the scripted API.

    python -m tests.golden.claude.record [case ...]

What may live here: what the API answers in each case, and what is left out of the frames: paths,
ids, times, and lists that say what the CLI can do besides. Review the diff like prose.
"""

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from ocpd.claude.argv import Lane, build_argv, build_environment
from tests.kit.cli import find_real_cli
from tests.kit.script import Call, CallTools, Cut, Fail, Hang, Reply, Say, Usage, limit_reached
from tests.kit.upstream import Upstream
from tests.unit.claude.transcripts import CASES, FOLDER, Case, Talk

_CALL = CallTools((Call("lookup", {"key": 1}),), text="Let me look.")
_KEYS = (Call("lookup", {"key": 1}), Call("lookup", {"key": 2}))
_CALLS = CallTools(_KEYS, text=["Let me ", "look."])
_BROKEN = CallTools((Call("lookup", raw='{"key": 1', fragments=2),))
# The CLI asks once without streaming when streaming is unknown to the upstream.
_NO_STREAM = Fail(404)

REPLIES: dict[str, tuple[Reply, ...]] = {
    "answer": (
        Say(
            ["Hé", "llo ", "😀 there"],
            thinking=["let me ", "see"],
            usage=Usage(11, 7, 3, 5, 2),
        ),
    ),
    "history": (Say(["drei"]),),
    "speaks_first": (Say(["drei"]),),
    "limits": (Say(["short"]),),
    "length": (Say(["cut ", "short"], stop_reason="max_tokens"),),
    "refusal": (Say(["no"], stop_reason="refusal"),),
    "window": (Say(["full"], stop_reason="model_context_window_exceeded"),),
    "nothing_visible": (Say([], thinking=["hm"]), Say(["visible"])),
    "whole_length": (_NO_STREAM, Say(["cut"], stop_reason="max_tokens"), Say(["and on"])),
    "tool": (_CALL, Say(["Never mind."])),
    "retried": (Fail(529), Say(["at last"])),
    "broke_before": (Cut(after=0), Say(["again"])),
    "broke_after_tool": (_CALL, Cut(after=0), Say(["again"])),
    "whole": (Cut(after=0), Cut(after=0), Say(["whole ", "answer"], thinking=["hm"])),
    "whole_after_tool": (_NO_STREAM, _CALL, _NO_STREAM, Say(["Never ", "mind."])),
    "broke_middle": (Cut(after=2), Say(["again"])),
    "calls": (
        CallTools(_KEYS, text=["Let me ", "look."], thinking=["hm"], usage=Usage(11, 7, 3, 5, 2)),
        CallTools(_KEYS[:1], usage=Usage(13, 8, 0, 9, 0)),
        Say(["Both."], usage=Usage(17, 9, 0, 6, 0)),
    ),
    "calls_whole": (
        _NO_STREAM,
        CallTools(_KEYS, text="Let me look.", thinking=["hm"]),
        Say(["Both."]),
    ),
    "calls_dropped": (_CALLS, Say(["Done."])),
    "calls_left_behind": (_CALLS, Say(["Done."])),
    "calls_broken": (CallTools(_BROKEN.calls, text="Let me look."), Say(["Again."])),
    "calls_stray": (CallTools((Call("rm", {"path": "/"}), _KEYS[0])), Say(["Done."])),
    "calls_cut_short": (CallTools(_BROKEN.calls, stop_reason="max_tokens"), Say(["and on"])),
    # The real API opens arguments with an empty piece.
    "calls_broke_middle": (Cut(after=2, answer=_BROKEN), Say(["again"])),
    "tool_left_out": (),
    **{f"failed_{n}": (Fail(n),) * 4 for n in (400, 401, 403, 404, 413, 429, 500, 529)},
    "plan_limit": (limit_reached(4_102_444_800),),
    "signed_out": (),
    "too_long": (),
    "interrupted": (Hang(after=1),),
    "cancelled": (Hang(after=None),),
}

_LAST_S = 30.0
_AFTERWARDS_S = 1.0
_DROPPED = re.compile(r"_ms$|^(timestamp|request_sent_.*|duration.*|subagent_stats|iterations)$")
_KEPT_OF_INIT = frozenset(
    {"type", "subtype", "session_id", "model", "tools", "mcp_servers", "claude_code_version"}
)
_KEPT_OF_ANSWER = frozenset(
    {
        *("models", "claude_code_version", "still_queued", "cancelled"),
        *("rewound", "precedingAssistantUuid", "error"),
    }
)
_SOME_UUID = "00000000-0000-4000-8000-000000000000"
_OWN_PORT = re.compile(r"127\.0\.0\.1:\d+")


def scrub(frame: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a frame what is about this machine and this moment."""
    if frame.get("subtype") == "init":
        frame = {key: value for key, value in frame.items() if key in _KEPT_OF_INIT}
    if frame["type"] == "control_response":
        answer = frame["response"].get("response") or {}
        frame["response"]["response"] = {k: v for k, v in answer.items() if k in _KEPT_OF_ANSWER}
        if frame["response"]["response"].get("precedingAssistantUuid"):
            frame["response"]["response"]["precedingAssistantUuid"] = _SOME_UUID
    for name in ("session_id", "uuid"):
        if name in frame:
            frame[name] = _SOME_UUID
    return {key: _clean(value) for key, value in frame.items() if not _DROPPED.search(key)}


def number_requests(frames: list[dict[str, Any]]) -> None:
    """Give the CLI's own requests, whose ids are random, ids that are the same each time."""
    asked = [frame for frame in frames if frame["type"] == "control_request"]
    for number, frame in enumerate(asked, 1):
        frame["request_id"] = f"cli-{number}"


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items() if not _DROPPED.search(key)}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    if isinstance(value, str):
        return _OWN_PORT.sub("127.0.0.1:1", value)
    return value


def record(name: str, case: Case, home: Path) -> list[bytes]:
    """Run the case; returns what the CLI wrote."""
    with Upstream() as upstream:
        upstream.script(*REPLIES[name])
        process = _start_cli(case, upstream.url, home, signed_in=name != "signed_out")
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        assert process.stdout is not None
        pump = threading.Thread(
            target=lambda out: [lines.put(n) for n in out], args=[process.stdout]
        )
        pump.start()
        try:
            return _talk(case, process, lines)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            pump.join()


def _start_cli(case: Case, url: str, home: Path, *, signed_in: bool) -> subprocess.Popen[bytes]:
    token = (("CLAUDE_CODE_OAUTH_TOKEN", "kit-token"),) if signed_in else ()
    lane = Lane(environment=(("ANTHROPIC_BASE_URL", url), *token))
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    return subprocess.Popen(
        build_argv(str(find_real_cli()), case.turn.model),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=build_environment(environ, lane=lane, version="0", cli_max_retries=1),
        cwd=home,
        start_new_session=True,
    )


def _talk(
    case: Case, process: subprocess.Popen[bytes], lines: "queue.SimpleQueue[bytes]"
) -> list[bytes]:
    assert process.stdin is not None
    talk, heard = Talk(case), []
    session = talk.session
    deadline, ends_soon = time.monotonic() + _LAST_S, False
    while True:
        process.stdin.write(session.data_to_send())
        process.stdin.flush()
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            assert ends_soon, "the CLI went silent"
            return heard
        heard.append(line)
        talk.act(session.receive(line))
        is_over = talk.is_over and session.is_settled
        if not ends_soon and (is_over or session.must_kill):
            # What comes now must not be heard: it belongs into the transcript too.
            deadline, ends_soon = time.monotonic() + _AFTERWARDS_S, True


def main() -> int:
    """Record the named cases, or all."""
    for name in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory(prefix="ocpd-golden-") as home:
            heard = record(name, CASES[name], Path(home))
        frames = [scrub(msgspec.json.decode(line)) for line in heard]
        number_requests(frames)
        text = b"".join(msgspec.json.encode(frame) + b"\n" for frame in frames)
        for word in (b"/tmp", b"/root", b"/home", b"/work", home.encode()):
            assert word not in text, (name, word)
        (FOLDER / f"{name}.jsonl").write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
