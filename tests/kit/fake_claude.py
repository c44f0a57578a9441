"""A CLI that speaks the stream-json protocol and misbehaves as its script says.

Started by the wrapper that ``fake_script.make_fake_cli`` writes:

    python -m tests.kit.fake_claude SCRIPT.json --version | auth status | <protocol flags>

It is for what the real CLI cannot be made to show: it asks no API, asks for no tools and keeps no
conversation beyond the ids a rewind needs. It never lives longer than two minutes.
"""

import contextlib
import os
import queue
import signal
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

import msgspec

from tests.kit import fake_frames as frames
from tests.kit.fake_frames import Frame, Turn
from tests.kit.fake_script import (
    Answer,
    CallTool,
    CloseStdout,
    Die,
    EmptyError,
    FakeScript,
    FakeTurn,
    FloodStderr,
    Garbage,
    LongLine,
    Silent,
    SplitCharacters,
)

_LIFE_S = 120
_SPLIT_S = 0.01
_MEGABYTE = 1 << 20


class Interrupted(Exception):
    """The host has interrupted the turn."""


class FakeClaude:
    """One process of the fake: reads frames on a thread, answers on the main one."""

    def __init__(self, script: FakeScript, model: str) -> None:
        self._script = script
        self._model = model
        self._session_id = str(uuid.uuid4())
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._later: deque[Frame] = deque()
        self._turns = deque(script.turns)
        self._users: list[str] = []
        self._answered: set[str] = set()
        self._running = False
        self._deaf = False
        self._ended = False
        self._count = 0

    def serve(self) -> int:
        """Answer frames until stdin ends; returns the exit code."""
        threading.Thread(target=self._read, name="fake-stdin", daemon=True).start()
        while not self._ended or self._later:
            if self._later:
                self._take(self._later.popleft())
            else:
                self._receive(None)
        while self._script.lingers_at_eof:
            signal.pause()
        return 0

    def _read(self) -> None:
        with os.fdopen(0, "rb", closefd=False) as stdin:
            for line in stdin:
                self._inbox.put(line)
        self._inbox.put(None)

    def _receive(self, within_s: float | None) -> None:
        """Take in the next frame, if one comes in time. Raises Interrupted."""
        try:
            line = self._inbox.get(timeout=within_s)
        except queue.Empty:
            return
        if line is None:
            # As with the real one, the end of stdin does not stop a turn.
            self._ended = True
        elif line.startswith(b"{"):
            self._take(msgspec.json.decode(line, type=Frame))

    def _take(self, frame: Frame) -> None:
        if frame["type"] == "control_request":
            self._control(frame["request_id"], frame["request"])
        elif frame["type"] == "control_response":
            self._answered.add(frame["response"]["request_id"])
        elif frame["type"] == "user" and self._running:
            self._later.append(frame)
        elif frame["type"] == "user":
            self._user(frame)

    # Control requests...

    def _control(self, request_id: str, request: Frame) -> None:
        match request["subtype"]:
            case "initialize":
                self._initialize(request_id)
            case "interrupt":
                self._interrupt(request_id)
            case "rewind_conversation":
                _write(frames.success(request_id, self._rewind(request["target_message_uuid"])))
            case "set_model":
                self._model = request.get("model") or self._model
                _write(frames.success(request_id, {"model": self._model}))
            case "mcp_set_servers":
                added = list(request.get("servers", {}))
                _write(frames.success(request_id, {"added": added, "removed": [], "errors": {}}))
            case "list_models":
                _write(frames.success(request_id, {"models": frames.models()}))
            case "get_usage":
                _write(frames.success(request_id, frames.usage_report()))
            case "apply_flag_settings" | "set_max_thinking_tokens" | "set_permission_mode":
                _write(frames.success(request_id))
            case other:
                text = f"Unsupported control request subtype: {other}"
                _write(frames.failure(request_id, text, error_code="unsupported_request"))

    def _initialize(self, request_id: str) -> None:
        payload = frames.initialized(os.getpid(), self._script.version)
        match self._script.initialize:
            case "answer":
                _write(frames.success(request_id, payload))
            case "error":
                _write(frames.failure(request_id, "fake: initialize refused"))
            case "wrong_id":
                _write(frames.success("nobody-asked-this", payload))
            case "never":
                return
            case how:
                assert_never(how)

    def _interrupt(self, request_id: str) -> None:
        if self._deaf:
            return
        _write(frames.success(request_id, {"still_queued": []}))
        if self._running:
            raise Interrupted

    def _rewind(self, target: str) -> Frame:
        reason = "turn_running" if self._running else "target_not_found"
        if not self._running and target in self._users:
            if self._users[-1] == target:
                self._users.pop()
                before = str(uuid.uuid4()) if self._users else None
                return {
                    "rewound": True,
                    "targetMessageUuid": target,
                    "prefillText": None,
                    "precedingAssistantUuid": before,
                }
            reason = "stale_target"
        return {
            "rewound": False,
            "prefillText": None,
            "precedingAssistantUuid": None,
            "error": reason.replace("_", " "),
            "reason": reason,
        }

    # ... and turns.

    def _user(self, frame: Frame) -> None:
        self._count += 1
        turn = Turn(
            session_id=self._session_id,
            model=self._model,
            version=self._script.version,
            message_uuid=frame.get("uuid") or str(uuid.uuid4()),
            message_id=f"msg_fake{self._count:04d}",
            tools=tuple(each.name for each in self._script.turns if isinstance(each, CallTool)),
        )
        self._users.append(turn.message_uuid)
        _write(frames.lifecycle(turn, "queued"), frames.lifecycle(turn, "started"))
        _write(frames.system_init(turn))
        if frame.get("shouldQuery") is False:
            _write(frames.result(turn, "", None), frames.lifecycle(turn, "completed"))
            return
        played = self._turns.popleft() if len(self._turns) > 1 else self._turns[0]
        self._running = True
        try:
            self._play(played, turn)
            _write(frames.lifecycle(turn, "completed"))
        except Interrupted:
            _write(*frames.closing(turn, "", None), frames.aborted(turn))
            _write(frames.lifecycle(turn, "cancelled"))
        finally:
            self._running = False

    def _play(self, played: FakeTurn, turn: Turn) -> None:
        _write(frames.requesting(turn))
        match played:
            case Answer():
                self._say(turn, played.deltas, played.delay_s)
                self._finish(turn, "".join(played.deltas), played.stop_reason)
            case CallTool():
                self._call(turn, played)
            case Die():
                self._say(turn, [f"word{at} " for at in range(played.after)])
                _die(turn, played)
            case SplitCharacters():
                self._say(turn, [played.text], write=_write_split)
                self._finish(turn, played.text)
            case LongLine():
                text = "x" * (played.megabytes * _MEGABYTE)
                self._say(turn, [text])
                self._finish(turn, text)
            case Garbage():
                self._say(turn, ["Hello", " there."], write=_write_between(played.lines))
                self._finish(turn, "Hello there.")
            case Silent() | CloseStdout():
                self._fall_silent(turn, played)
            case EmptyError():
                _write(frames.empty_error(turn))
            case FloodStderr():
                _flood(played.megabytes)
                self._say(turn, ["Hello."])
                self._finish(turn, "Hello.")
            case _:
                assert_never(played)

    def _fall_silent(self, turn: Turn, played: Silent | CloseStdout) -> None:
        """Listen without a word, for ever. Raises Interrupted."""
        self._say(turn, [f"word{at} " for at in range(played.after)])
        if isinstance(played, Silent):
            self._deaf = played.deaf
        else:
            os.close(1)
        while True:
            self._receive(None)

    def _call(self, turn: Turn, played: CallTool) -> None:
        self._answered.discard(played.call_id)
        _write(*frames.calling(turn, played.name, played.call_id, played.arguments))
        while played.call_id not in self._answered:
            self._receive(None)
        after = msgspec.structs.replace(turn, message_id=f"{turn.message_id}b")
        self._say(after, played.deltas)
        self._finish(after, "".join(played.deltas))

    def _say(
        self,
        turn: Turn,
        deltas: Sequence[str],
        delay_s: float = 0.0,
        write: Callable[[Frame], None] | None = None,
    ) -> None:
        _write(*frames.opening(turn))
        for text in deltas:
            self._pause(delay_s)
            (write or _write)(frames.delta(turn, text))

    def _finish(self, turn: Turn, text: str, stop_reason: str = "end_turn") -> None:
        _write(*frames.closing(turn, text, stop_reason), frames.rate_limit(turn))
        _write(frames.result(turn, text, stop_reason))

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._receive(left)


def _die(turn: Turn, how: Die) -> None:
    if how.mid_line:
        line = msgspec.json.encode(frames.delta(turn, "never read in full"))
        _write_bytes(line[: len(line) // 2])
    if how.code < 0:
        os.kill(os.getpid(), -how.code)
    os._exit(how.code)


def _write(*several: Frame) -> None:
    _write_bytes(b"".join(msgspec.json.encode(frame) + b"\n" for frame in several))


def _write_split(frame: Frame) -> None:
    """Every write but the last ends inside a character."""
    held = b""
    for byte in msgspec.json.encode(frame) + b"\n":
        # A byte 10xxxxxx continues a character: what came before must go out alone.
        if byte & 0xC0 == 0x80:
            _write_bytes(held)
            held = b""
            # Time for the host to read just this much.
            threading.Event().wait(_SPLIT_S)
        held += bytes([byte])
    _write_bytes(held)


def _write_between(lines: Sequence[str]) -> Callable[[Frame], None]:
    def write(frame: Frame) -> None:
        for line in lines:
            _write_bytes(line.encode() + b"\n")
        _write(frame)

    return write


def _write_bytes(data: bytes, to: int = 1) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(to, view) :]


def _flood(megabytes: int) -> None:
    for _ in range(megabytes):
        _write_bytes(b"fake: a line on stderr that nobody asked for\n" * (_MEGABYTE // 45), to=2)


def _show_login(script: FakeScript) -> int:
    status = {
        "loggedIn": script.logged_in,
        "authMethod": "oauth_token" if script.logged_in else "none",
        "apiProvider": "firstParty",
    }
    _write_bytes(msgspec.json.format(msgspec.json.encode(status), indent=2) + b"\n")
    return 0 if script.logged_in else 1


def _count_start(path: Path) -> int:
    with path.open("a+") as starts:
        starts.write(f"{os.getpid()}\n")
        starts.flush()
        starts.seek(0)
        return len(starts.readlines())


def _serve(script: FakeScript, starts: Path, model: str) -> int:
    if _count_start(starts) <= script.failing_starts or script.on_start == "exit":
        return script.exit_code
    if script.ignores_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if script.on_start == "silent":
        while os.read(0, 1 << 16):
            pass
        return 0
    if script.on_start == "close_stdout":
        os.close(1)
        signal.pause()
    return FakeClaude(script, model).serve()


def main(arguments: Sequence[str]) -> int:
    """Play the script named first for the command line that follows; returns the exit code."""
    path = Path(arguments[0])
    script = msgspec.json.decode(path.read_bytes(), type=FakeScript)
    flags = list(arguments[1:])
    # A test that fails must not leave a deaf process behind for good.
    signal.alarm(_LIFE_S)
    if "--version" in flags:
        _write_bytes(f"{script.version} (Claude Code)\n".encode())
        return 0
    if flags[:2] == ["auth", "status"]:
        return _show_login(script)
    if "stream-json" not in flags:
        _write_bytes(b"fake: I only speak stream-json\n", to=2)
        return 2
    model = flags[flags.index("--model") + 1] if "--model" in flags else "claude-sonnet-5-5"
    with contextlib.suppress(BrokenPipeError):
        return _serve(script, path.with_suffix(".starts"), model)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # Past the interpreter's goodbye, which would wait for the thread that reads stdin.
    os._exit(code)
