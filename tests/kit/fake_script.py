"""What a fake CLI can be told to do, and the writing of one to disk.

What may live here: the script as structs, and ``make_fake_cli``. The playing is ``fake_claude``'s.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

_DELTAS = ("Hello", " there", ", friend.")


class Answer(Struct, frozen=True, tag="answer"):
    """A good answer, one frame per delta."""

    deltas: tuple[str, ...] = _DELTAS
    delay_s: float = 0.0
    stop_reason: str = "end_turn"


class Die(Struct, frozen=True, tag="die"):
    """The process ends after ``after`` deltas, without a result. ``code`` -9 kills it by signal.

    With ``mid_line`` it has written half of one more line before.
    """

    after: int = 1
    code: int = 1
    mid_line: bool = False


class SplitCharacters(Struct, frozen=True, tag="split_characters"):
    """A good answer whose every non-ASCII character is cut by the end of a write."""

    text: str = "Grüße 🙂 für çocuklar"


class LongLine(Struct, frozen=True, tag="long_line"):
    """A good answer with one delta of this many megabytes."""

    megabytes: int = 10


class Garbage(Struct, frozen=True, tag="garbage"):
    """A good answer with lines between its frames that are not frames."""

    lines: tuple[str, ...] = (
        "",
        "[SandboxDebug] something",
        "{not json",
        '{"type":"nobody knows this one"}',
        '{"no":"type"}',
        "[]",
        "null",
    )


class Silent(Struct, frozen=True, tag="silent"):
    """Nothing more after ``after`` deltas; an interrupt ends it unless ``deaf``."""

    after: int = 0
    deaf: bool = False


class EmptyError(Struct, frozen=True, tag="empty_error"):
    """A result that is an error and says nothing about it."""


class CloseStdout(Struct, frozen=True, tag="close_stdout"):
    """Closes stdout after ``after`` deltas and lives on."""

    after: int = 0


class FloodStderr(Struct, frozen=True, tag="flood_stderr"):
    """Writes this much to stderr first, then answers: hangs if nobody reads it."""

    megabytes: int = 50


class CallTool(Struct, frozen=True, tag="call_tool"):
    """Calls a tool of the host's, holds until the result comes, and answers with ``deltas``.

    The model always gets the tools of the script's turns, whatever the host offers. Like the real
    one it does not end with stdin while it holds; an interrupt ends that.
    """

    name: str = "lookup"
    call_id: str = "toolu_fake"
    arguments: str = "{}"
    deltas: tuple[str, ...] = _DELTAS


FakeTurn = (
    Answer
    | CallTool
    | Die
    | SplitCharacters
    | LongLine
    | Garbage
    | Silent
    | EmptyError
    | CloseStdout
    | FloodStderr
)


class FakeScript(Struct, frozen=True):
    """The life of a fake CLI. ``turns`` are played in order; the last one repeats.

    ``on_start``: ``exit`` ends before anything is read, ``silent`` reads and never answers,
    ``close_stdout`` closes it at once and lives on. ``failing_starts`` is how many of the first
    starts exit at once before one serves. ``exit_code`` is that of every early exit.
    """

    version: str = "2.1.330"
    logged_in: bool = True
    on_start: Literal["serve", "exit", "silent", "close_stdout"] = "serve"
    failing_starts: int = 0
    exit_code: int = 1
    initialize: Literal["answer", "never", "error", "wrong_id"] = "answer"
    ignores_sigterm: bool = False
    lingers_at_eof: bool = False
    turns: tuple[FakeTurn, ...] = (Answer(),)


def make_fake_cli(
    folder: Path,
    script: FakeScript | FakeTurn | Sequence[FakeTurn] = (),
    version: str = "2.1.330",
) -> Path:
    """Write an executable named ``claude`` that plays ``script``; returns its path.

    Turns alone stand for a script of just those. The script lies next to the executable, because
    the environment does not reach it; see ``count_starts`` for the other file there.
    """
    if not isinstance(script, FakeScript):
        turns = tuple(script) if isinstance(script, Sequence) else (script,)
        script = FakeScript(version=version, turns=turns or (Answer(),))
    folder.mkdir(parents=True, exist_ok=True)
    played = folder / "claude.json"
    played.write_bytes(msgspec.json.encode(script))
    repository = Path(__file__).resolve().parents[2]
    python = shlex.quote(sys.executable)
    wrapper = folder / "claude"
    # Staged and renamed: a file still open for writing cannot be executed by a forked child.
    staged = folder / "claude.new"
    staged.write_text(
        "#!/bin/sh\n"
        f"PYTHONPATH={shlex.quote(str(repository))} PYTHONSAFEPATH=1 "
        f'exec {python} -m tests.kit.fake_claude {shlex.quote(str(played))} "$@"\n'
    )
    staged.chmod(0o755)
    staged.rename(wrapper)
    return wrapper


def count_starts(executable: Path) -> int:
    """How often this fake was started to speak the protocol (not for its version)."""
    starts = executable.with_suffix(".starts")
    return len(starts.read_text().splitlines()) if starts.exists() else 0
