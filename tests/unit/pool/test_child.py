"""Promise: a child is a process whose words arrive in order, whose pace is its reader's, and whose
end is always noticed."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from ocpd.claude.lifecycle import State
from ocpd.claude.limits import Sheet
from ocpd.errors import Died, Upstream
from ocpd.pool import child as pool_child
from ocpd.pool.child import INBOX_HIGH, Child
from ocpd.pool.process import Process
from ocpd.pool.reaper import retire
from ocpd.sched.staffing import ChildId
from ocpd.turn.events import Failed, Finished, Settled, Started
from tests.kit import fake_frames
from tests.kit.fake_script import Answer, CloseStdout, Die, FakeScript, FloodStderr, Silent
from tests.kit.leaks import is_alive
from tests.unit.claude.stage import MODEL, PROMPT, ask, close, encode, requesting, stop
from tests.unit.http.stage import breathe, run
from tests.unit.pool.stage import (
    LONG,
    hear_out,
    hear_rest,
    ignore,
    spawn,
    spec_of,
    text_of,
    until,
)

TURN = fake_frames.Turn("session", MODEL, "2.1.330", PROMPT, "msg_1")


# A real process...


def test_a_parked_child_was_told_nothing_and_says_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path)
        assert child.session.state is State.PARKED
        assert is_alive(child.pid)
        assert os.getpgid(child.pid) == child.pid
        assert child.take_nowait() == []
        await retire(child, LONG)
        assert not is_alive(child.pid)

    run(main())


def test_a_child_gets_its_environment_and_directory_and_no_other(tmp_path: Path) -> None:
    show = tmp_path / "show"
    show.write_text('#!/bin/sh\n/usr/bin/env > "$HOME/seen"; /bin/pwd >> "$HOME/seen"\n')
    show.chmod(0o755)

    async def main() -> None:
        spec = spec_of(show, tmp_path, {"HOME": str(tmp_path), "ONLY": "this"})
        child = await Child.spawn(ChildId(1), spec, ignore)
        await child.ended.wait()
        seen = (tmp_path / "seen").read_text().splitlines()
        directory = str(tmp_path / "state/empty")
        assert seen[-1] == directory
        # A shell may set some of its own.
        assert {f"HOME={tmp_path}", "ONLY=this", f"PWD={directory}"} <= set(seen)
        assert not [line for line in seen if line.startswith(("PATH=/", "PYTEST", "LANG"))]

    run(main())


def test_a_turn_is_started_told_finished_and_settled(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, Answer(("one ", "two")))
        events = await hear_out(child)
        await child.wait_settled()
        events += child.take_nowait()
        assert isinstance(events[0], Started)
        assert text_of(events) == "one two"
        assert [type(event) for event in events[-2:]] == [Finished, Settled]
        assert child.session.state is State.RESTING
        await retire(child, LONG)

    run(main())


def test_changes_are_told_when_the_request_is_out_and_at_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        heard: list[tuple[bool, bool]] = []

        def note(child: Child) -> None:
            heard.append((child.session.asked_upstream, child.is_gone))

        child = await spawn(tmp_path, on_change=note)
        await hear_out(child)
        assert heard == [(True, False)]
        await retire(child, LONG)
        assert heard == [(True, False), (True, True)]

    run(main())


def test_a_program_that_cannot_be_started_is_an_oserror(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="nowhere"):
            await Child.spawn(ChildId(1), spec_of(Path("/nowhere"), tmp_path), ignore)

    run(main())


@pytest.mark.parametrize(
    "script",
    [
        Die(after=1),
        Die(after=1, code=-signal.SIGKILL),
        Die(after=1, mid_line=True, code=0),
        CloseStdout(after=1),
    ],
    ids=["exits", "is killed", "exits mid-line", "closes stdout and lives on"],
)
def test_an_end_in_the_middle_is_a_failure_after_all_that_was_said(
    tmp_path: Path, script: Any
) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, script)
        events = await hear_out(child)
        assert text_of(events) == "word0 "
        assert isinstance(events[-1], Failed)
        assert isinstance(events[-1].error, Died)
        await child.ended.wait()
        assert child.session.state is State.GONE
        assert not is_alive(child.pid)

    run(main())


def test_an_exit_is_noticed_though_a_grandchild_holds_the_pipe(tmp_path: Path) -> None:
    cli = tmp_path / "cli"
    cli.write_text("#!/bin/sh\nsleep 60 &\necho $! > $HOME/grandchild\nread line\nexit 3\n")
    cli.chmod(0o755)

    async def main() -> None:
        child = await Child.spawn(ChildId(1), spec_of(cli, tmp_path), ignore)
        try:
            events = await hear_out(child)
            assert isinstance(events[-1], Failed)
            assert "exit status 3" in events[-1].error.detail
        finally:
            os.kill(int((tmp_path / "grandchild").read_text()), signal.SIGKILL)

    run(main())


def test_an_interrupt_ends_the_turn_and_nothing_more_is_told_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, Silent(after=1))
        child.claim(ask(), Sheet())
        await until(lambda: bool(child.session.asked_upstream))
        child.interrupt()
        await child.wait_settled()
        assert child.take_nowait() == []
        assert child.session.state is State.RESTING
        await retire(child, LONG)

    run(main())


def test_a_time_out_is_the_last_word(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, Silent(after=1))
        child.claim(ask(), Sheet())
        events = await child.next_batch()
        error = Upstream("too slow", status=504)
        child.time_out(error)
        events += await hear_rest(child)
        assert events[-1] == Failed(error)
        child.time_out(error)
        assert child.take_nowait() == []
        # The end of stdin does not stop a turn.
        child.interrupt()
        await child.wait_settled()
        await retire(child, LONG)

    run(main())


def test_only_the_end_of_stderr_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, FloodStderr(megabytes=3))
        assert text_of(await hear_out(child)) == "Hello."
        assert 0 < len(child.stderr_tail) <= 4096
        assert child.stderr_tail.endswith("nobody asked for")
        await retire(child, LONG)

    run(main())


def test_cancelling_a_reader_loses_no_event(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, Answer(("one ", "two"), delay_s=0.05))
        child.claim(ask(), Sheet())
        reader = asyncio.get_running_loop().create_task(child.next_batch())
        await breathe()
        reader.cancel()
        await asyncio.wait([reader])
        assert text_of(await hear_rest(child)) == "one two"
        await retire(child, LONG)

    run(main())


def test_a_dead_child_takes_signals_frames_and_words_without_complaint(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, FakeScript(on_start="exit"))
        await child.ended.wait()
        child.signal_group(signal.SIGTERM)
        child.close_stdin()
        child.interrupt()
        await child.wait_settled()

    run(main())


# ... and one whose pipes are the test's.


class FakeProcess:
    """A process that is not there: notes what is asked of it."""

    def __init__(self) -> None:
        self._is_read = True
        self.status: int | None = None
        self.is_closed = False
        self.written = bytearray()
        self.signals: list[signal.Signals] = []

    @property
    def pid(self) -> int:
        return 4711

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_stdout(self) -> None:
        self._is_read = False

    def resume_stdout(self) -> None:
        self._is_read = True

    def reads(self) -> bool:
        return self._is_read

    def close_stdin(self) -> None:
        self.written += b"EOF"

    def signal_group(self, number: signal.Signals) -> None:
        self.signals.append(number)

    def close(self) -> None:
        self.is_closed = True


def claimed(tmp_path: Path) -> tuple[Child, FakeProcess]:
    child = Child(ChildId(1), spec_of(Path("/cli"), tmp_path), ignore)
    process = FakeProcess()
    child._process = cast("Process", process)
    child.claim(ask(), Sheet())
    child.stdout_received(encode(*fake_frames.opening(TURN)))
    child.take_nowait()
    return child, process


def say(child: Child, count: int) -> None:
    frames = [fake_frames.delta(TURN, f"word{at} ") for at in range(count)]
    child.stdout_received(encode(*frames))


def test_a_slow_reader_stops_the_child_and_a_reading_one_lets_it_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        child, process = claimed(tmp_path)
        say(child, INBOX_HIGH)
        assert process.reads()
        say(child, 1)
        assert not process.reads()
        # What was read already may still come; it changes nothing.
        say(child, 1)
        assert len(await child.next_batch()) == INBOX_HIGH + 2
        assert process.reads()

    run(main())


def test_an_interrupt_takes_what_nobody_will_read_and_lets_the_child_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        child, process = claimed(tmp_path)
        say(child, INBOX_HIGH + 1)
        child.interrupt()
        assert process.reads()
        assert child.take_nowait() == []
        say(child, INBOX_HIGH + 1)
        assert child.take_nowait() == []
        assert process.reads()

    run(main())


def test_the_exit_waits_for_what_is_still_in_the_pipe(tmp_path: Path) -> None:
    async def main() -> None:
        child, process = claimed(tmp_path)
        process.status = 0
        child.exited(0)
        assert not child.ended.is_set()
        say(child, 2)
        child.stdout_ended()
        assert child.ended.is_set()
        events = child.take_nowait()
        assert text_of(events) == "word0 word1 "
        assert isinstance(events[-1], Failed)

    run(main())


def test_words_on_stderr_are_no_frames(tmp_path: Path) -> None:
    async def main() -> None:
        child, _ = claimed(tmp_path)
        child.stderr_received(encode(fake_frames.delta(TURN, "not said")))
        assert child.take_nowait() == []
        assert "not said" in child.stderr_tail

    run(main())


def test_a_child_that_would_ask_again_by_itself_is_killed_in_the_same_breath(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        child, process = claimed(tmp_path)
        say(child, 1)
        assert process.signals == []
        *_, ending, _ = fake_frames.closing(TURN, "word0 ", "max_tokens")
        child.stdout_received(encode(ending))
        assert process.signals == [signal.SIGKILL]
        assert isinstance(child.take_nowait()[-1], Finished)
        child.stdout_received(encode(ending))
        assert process.signals == [signal.SIGKILL]

    run(main())


def test_a_child_that_closes_its_stdout_and_lives_on_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_child, "ORPHAN_PIPE_S", 0.01)

    async def main() -> None:
        child, process = claimed(tmp_path)
        child.stdout_ended()
        assert process.signals == []
        await until(lambda: process.signals == [signal.SIGKILL])
        process.status = -signal.SIGKILL
        child.exited(-signal.SIGKILL)
        assert child.ended.is_set()

    run(main())


def test_a_child_that_died_before_it_was_claimed_fails_its_turn_as_died(tmp_path: Path) -> None:
    async def main() -> None:
        child = await spawn(tmp_path, FakeScript(on_start="exit", exit_code=7))
        await child.ended.wait()
        (failed,) = await hear_out(child)
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, Died)

    run(main())


# Silence.


class Clock:
    """Moves when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of children."""
    found = Clock()
    monkeypatch.setattr(pool_child, "steady_clock", found)
    return found


def test_silence_is_the_time_since_the_last_sign_of_life(tmp_path: Path, clock: Clock) -> None:
    child, _ = claimed(tmp_path)
    assert child.silence_s() == 0
    clock.now += 30
    assert child.silence_s() == 30
    say(child, 1)
    child.take_nowait()
    clock.now += 5
    assert child.silence_s() == 5
    child.stdout_received(encode({"type": "keep_alive"}))
    assert child.silence_s() == 5
    child.stdout_received(encode({"type": "tool_progress"}))
    assert child.silence_s() == 0


def test_a_caller_that_takes_nothing_makes_no_silence(tmp_path: Path, clock: Clock) -> None:
    async def main() -> None:
        child, _ = claimed(tmp_path)
        say(child, INBOX_HIGH + 1)
        clock.now += 600
        assert child.silence_s() == 0
        clock.now += 600
        child.take_nowait()
        # The pipe is read again from now on.
        clock.now += 1
        assert child.silence_s() == 1

    run(main())


def test_tools_at_work_make_no_silence(tmp_path: Path, clock: Clock) -> None:
    child, _ = claimed(tmp_path)
    child.stdout_received(encode(stop("tool_use"), close()))
    child.take_nowait()
    clock.now += 600
    assert child.silence_s() == 0
    child.stdout_received(encode(requesting()))
    clock.now += 7
    assert child.silence_s() == 7
