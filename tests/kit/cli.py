"""The real Claude CLI, driven by hand over stream-json: one synchronous conversation per process.

What may live here: finding the binary, the environment that points it at the scripted API, and a
driver small enough to trust. It is what tests of the kit use, and the benchmarks' "a cold process
per request"; ocpd has its own driver and shares nothing with this one.
"""

import contextlib
import importlib.util
import os
import queue
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

Frame = dict[str, Any]

_decoder: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_STOP_WITHIN_S = 5.0


def find_real_cli() -> Path:
    """The CLI to test with: $OCPD_TEST_CLAUDE, else the one inside claude-agent-sdk.

    Raises FileNotFoundError saying how to get one. Tests must not skip over it.
    """
    if told := os.environ.get("OCPD_TEST_CLAUDE"):
        if os.access(told, os.X_OK):
            return Path(told)
        raise FileNotFoundError(f"OCPD_TEST_CLAUDE={told} is not an executable file")
    package = importlib.util.find_spec("claude_agent_sdk")
    if package is not None and package.origin is not None:
        found = Path(package.origin).parent / "_bundled" / "claude"
        if os.access(found, os.X_OK):
            return found
    raise FileNotFoundError(
        "no Claude CLI to test with: install the package claude-agent-sdk, which carries one, "
        "or set OCPD_TEST_CLAUDE to the path of a claude executable"
    )


def child_environment(upstream_url: str, home: Path) -> dict[str, str]:
    """The whole environment of a CLI that talks to ``upstream_url`` and writes only to ``home``."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "CLAUDE_CODE_TMPDIR": str(home),
        "ANTHROPIC_BASE_URL": upstream_url,
        "CLAUDE_CODE_OAUTH_TOKEN": "kit-token",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "CLAUDE_CODE_TOTAL_TOKENS_REMINDER": "off",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_AUTO_COMPACT": "1",
    }


def cli_arguments(model: str) -> tuple[str, ...]:
    """The flags ocpd gives its children too: no tools, no settings, nothing on disk."""
    return (
        *("--output-format", "stream-json", "--verbose", "--input-format", "stream-json"),
        *("--include-partial-messages", "--tools", "", "--strict-mcp-config"),
        *("--setting-sources", "", "--no-session-persistence"),
        *("--thinking-display", "summarized", "--model", model),
    )


class RealCli:
    """One CLI process. Use as a context manager; leaving it ends the process.

    ``executable`` stands in for the real CLI, ``environment`` is added to ``child_environment``.
    Frames are plain dicts as they came.
    """

    def __init__(
        self,
        upstream_url: str,
        home: Path,
        *,
        model: str = "claude-sonnet-5-5",
        executable: Path | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self.seen: list[Frame] = []
        with (home / "stderr.txt").open("ab") as errors:
            self.process = subprocess.Popen(
                [executable or find_real_cli(), *cli_arguments(model), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**child_environment(upstream_url, home), **(environment or {})},
                cwd=home,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name="kit-cli")
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(b"{"):
                self._frames.put(_decoder.decode(line))
        self._frames.put(None)

    def send(self, *frames: Mapping[str, Any]) -> None:
        """Write frames to the CLI's stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(msgspec.json.encode(f) + b"\n" for f in frames))
        self.process.stdin.flush()

    def until(self, wanted: Callable[[Frame], object], within_s: float = 20.0) -> Frame:
        """Read until a frame is ``wanted``; returns it. All frames read are added to ``seen``.

        Raises TimeoutError, or EOFError when the CLI has closed its stdout.
        """
        deadline = time.monotonic() + within_s
        while True:
            try:
                frame = self._frames.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"nothing such in {within_s} s; saw {self._summary()}") from None
            if frame is None:
                raise EOFError(f"the CLI ended; saw {self._summary()}")
            self.seen.append(frame)
            if wanted(frame):
                return frame

    def initialize(self, system: str | None = "You are a test.", **more: object) -> Frame:
        """Send the first request; returns its response frame."""
        prompt = [] if system is None else [system]
        return self.control("initialize", systemPrompt=prompt, **more)

    def control(self, subtype: str, **fields: object) -> Frame:
        """Send a control request; returns the inner response."""
        request_id = f"kit-{uuid.uuid4()}"
        self.send(control_frame(subtype, request_id, **fields))
        answer = self.until(
            lambda f: f["type"] == "control_response" and f["response"]["request_id"] == request_id
        )
        response: Frame = answer["response"]
        return response

    def ask(self, text: str, **more: object) -> list[Frame]:
        """One turn: send ``text``, read until its result; returns the turn's frames."""
        start = len(self.seen)
        self.send(user_frame(text, **more))
        self.until(is_result)
        return self.seen[start:]

    def kill(self) -> None:
        """SIGKILL the process with all it started, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End the process: terminate it, then kill. Reaps it."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()

    def _summary(self) -> list[str]:
        return [f"{f['type']}/{f.get('subtype', '')}" for f in self.seen]


def control_frame(subtype: str, request_id: str, **fields: object) -> Frame:
    """A control request of the host."""
    request = {"subtype": subtype, **fields}
    return {"type": "control_request", "request_id": request_id, "request": request}


def user_frame(content: str | list[Frame], **more: object) -> Frame:
    """A user message that nothing in it can turn into a command; ``more`` adds or replaces."""
    return {
        "type": "user",
        "message": {"role": "user", "content": content},
        "parent_tool_use_id": None,
        "session_id": "",
        "uuid": str(uuid.uuid4()),
        "client_composed": True,
        **more,
    }


def is_result(frame: Frame) -> bool:
    """Whether the turn is over with this frame."""
    return bool(frame["type"] == "result")


def stream_events(frames: Sequence[Frame]) -> list[Frame]:
    """The Messages API events among ``frames``, in order."""
    return [frame["event"] for frame in frames if frame["type"] == "stream_event"]


def streamed_text(frames: Sequence[Frame]) -> str:
    """The text deltas among ``frames``, joined."""
    deltas = [event["delta"] for event in stream_events(frames) if "delta" in event]
    return "".join(delta.get("text", "") for delta in deltas)
