"""Promise: a program's words, exit and pipes reach the loop; nothing of it stays behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ocpd.pool.process import Process
from tests.kit.leaks import is_alive
from tests.unit.http.stage import breathe, run
from tests.unit.pool.stage import until


class Ears:
    """Notes what it hears, in order."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.errors = bytearray()
        self.heard: list[str] = []
        self.status: int | None = None

    def stdout_received(self, data: bytes) -> None:
        self.out += data

    def stderr_received(self, data: bytes) -> None:
        self.errors += data

    def stdout_ended(self) -> None:
        self.heard.append("stdout ended")

    def exited(self, status: int) -> None:
        self.heard.append("exited")
        self.status = status

    async def wait_end(self) -> None:
        await until(lambda: len(self.heard) == 2)


async def start(code: str, folder: Path) -> tuple[Process, Ears]:
    ears = Ears()
    argv = [sys.executable, "-c", f"import os, sys, signal, time\n{code}"]
    return await Process.start(argv, dict(os.environ), folder, ears), ears


@pytest.fixture(params=["pidfd", "thread"])
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to learn of an exit; macOS has only the second."""
    if request.param == "thread":
        monkeypatch.delattr(os, "pidfd_open")


@pytest.mark.usefixtures("watched")
def test_what_it_writes_and_how_it_ends_is_heard(tmp_path: Path) -> None:
    async def main() -> None:
        process, ears = await start(
            "sys.stdout.write('x' * 200_000); sys.stderr.write('oh'); sys.exit(3)", tmp_path
        )
        await ears.wait_end()
        assert ears.out == b"x" * 200_000
        assert ears.errors == b"oh"
        assert (ears.status, process.status) == (3, 3)
        process.close()
        assert not is_alive(process.pid)

    run(main())


@pytest.mark.usefixtures("watched")
def test_a_signal_reaches_it_and_all_it_started(tmp_path: Path) -> None:
    async def main() -> None:
        process, ears = await start(
            "pid = os.fork()\nif pid: print(pid, flush=True)\ntime.sleep(60)", tmp_path
        )
        await until(lambda: b"\n" in ears.out)
        grandchild = int(ears.out)
        process.signal_group(signal.SIGKILL)
        await ears.wait_end()
        assert ears.status == -signal.SIGKILL
        await until(lambda: not is_alive(grandchild))
        process.close()

    run(main())


def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """macOS has no pidfd, and there it stays."""

    async def main() -> None:
        process, ears = await start(
            "pid = os.fork()\nif pid: print(pid, flush=True); sys.exit(3)\ntime.sleep(60)", tmp_path
        )
        await ears.wait_end()
        assert ears.status == 3
        await until(lambda: not is_alive(int(ears.out)))
        process.close()

    run(main())


def test_a_signal_to_one_that_has_ended_hits_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        process, ears = await start("pass", tmp_path)
        await ears.wait_end()
        hit: list[int] = []
        monkeypatch.setattr(os, "killpg", lambda *given: hit.append(given))
        process.signal_group(signal.SIGTERM)
        assert hit == []
        process.close()

    run(main())


def test_what_is_written_arrives_whole_and_the_end_too(tmp_path: Path) -> None:
    async def main() -> None:
        process, ears = await start("print(len(sys.stdin.read()))", tmp_path)
        for _ in range(20):
            process.write(b"x" * 100_000)
        process.close_stdin()
        await ears.wait_end()
        assert ears.out.strip() == b"2000000"
        process.close()

    run(main())


def test_writing_to_one_that_closed_its_input_is_no_failure(tmp_path: Path) -> None:
    async def main() -> None:
        process, ears = await start(
            "os.close(0)\nprint('deaf', flush=True)\ntime.sleep(60)", tmp_path
        )
        await until(lambda: b"deaf" in ears.out)
        for _ in range(3):
            process.write(b"x" * 100_000)
            await until(lambda: True)
        process.signal_group(signal.SIGKILL)
        await ears.wait_end()
        process.write(b"too late")
        process.close_stdin()
        process.close()

    run(main())


def test_its_streams_are_sockets_since_uvloop_closes_pipes_twice(tmp_path: Path) -> None:
    # The second close may hit a descriptor that another thread was given meanwhile.
    async def main() -> None:
        process, ears = await start(
            "import stat\nprint([stat.S_ISSOCK(os.fstat(fd).st_mode) for fd in range(3)])", tmp_path
        )
        await ears.wait_end()
        assert ears.out.strip() == b"[True, True, True]"
        process.close()

    run(main())


def test_a_program_that_does_not_read_can_still_be_closed(tmp_path: Path) -> None:
    async def main() -> None:
        # With its first stream a loop opens a descriptor of its own.
        first, heard = await start("", tmp_path)
        await heard.wait_end()
        first.close()
        await breathe()
        before = set(os.listdir("/proc/self/fd"))
        process, ears = await start(
            "pid = os.fork()\nif not pid: time.sleep(60)\nprint(pid, flush=True)", tmp_path
        )
        process.write(b"x" * 5_000_000)
        await until(lambda: ears.status is not None)
        # What it started holds the other end and reads nothing.
        process.close()
        await until(lambda: set(os.listdir("/proc/self/fd")) <= before)
        os.kill(int(ears.out), signal.SIGKILL)

    run(main())


def test_a_paused_pipe_holds_the_program_up(tmp_path: Path) -> None:
    async def main() -> None:
        process, ears = await start(
            "sys.stdin.readline()\n"
            "sys.stdout.write('x' * 10_000_000); sys.stdout.flush()\n"
            "sys.stderr.write('done'); sys.stderr.flush()\n",
            tmp_path,
        )
        process.pause_stdout()
        process.write(b"go\n")
        # It hangs in the middle of its write.
        await until(lambda: Path(f"/proc/{process.pid}/syscall").read_text().startswith("1 0x1 "))
        assert len(ears.out) < 10_000_000
        assert ears.errors == b""
        process.resume_stdout()
        await ears.wait_end()
        assert len(ears.out) == 10_000_000
        process.resume_stdout()
        process.pause_stdout()
        process.close()

    run(main())


def test_a_program_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await Process.start(["/nowhere"], {}, tmp_path, Ears())

    run(main())


def test_a_start_that_is_cancelled_leaves_no_process_and_no_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            started.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Noted)

    async def main() -> None:
        ears = Ears()
        argv = [sys.executable, "-c", "import time; time.sleep(60)"]
        loop = asyncio.get_running_loop()
        starting = loop.create_task(Process.start(argv, dict(os.environ), tmp_path, ears))
        loop.call_soon(starting.cancel)
        await asyncio.wait([starting])
        assert starting.cancelled()
        await until(lambda: ears.status is not None)
        assert not is_alive(started[0])

    run(main())
