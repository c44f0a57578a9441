"""Promise: what a test leaves behind is seen and named, and what goes away in time is not."""

import os
import socket
import subprocess
import sys
import threading

from tests.kit.leaks import descendants, is_alive, leaks_since, take_snapshot

pytest_plugins = ["pytester"]

_SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


def test_nothing_new_is_nothing_left():
    assert leaks_since(take_snapshot(), within_s=0) == []


def test_a_child_process_is_seen_until_it_is_gone():
    before = take_snapshot()
    child = subprocess.Popen(_SLEEPER)
    try:
        found = leaks_since(before, within_s=0)
        assert len(found) == 1
        assert f"process {child.pid}:" in found[0]
        assert child.pid in descendants(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert leaks_since(before, within_s=5) == []
    assert not is_alive(child.pid)


def test_a_grandchild_is_seen_and_after_its_parent_only_by_its_mark(tmp_path):
    before = take_snapshot()
    code = f"import subprocess; print(subprocess.Popen({_SLEEPER!r}).pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    ) as child:
        assert child.stdout is not None
        orphan = int(child.stdout.readline())
        try:
            assert orphan in descendants(os.getpid())
            child.kill()
            child.wait()
            assert orphan not in descendants(os.getpid())
            found = leaks_since(before, within_s=0, marks=(str(tmp_path),))
            assert any(f"process {orphan}:" in line for line in found)
        finally:
            os.kill(orphan, 9)
    assert leaks_since(before, within_s=5, marks=(str(tmp_path),)) == []


def test_a_zombie_is_called_one():
    before = take_snapshot()
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    child.stdout.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = leaks_since(before, within_s=0)
    child.wait()
    assert len(found) == 1
    assert "zombie" in found[0]


def test_threads_sockets_and_pipes_are_named():
    before = take_snapshot()
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="forgotten")
    thread.start()
    left, right = socket.socketpair()
    reader, writer = os.pipe()
    found = leaks_since(before, within_s=0)
    end.set()
    thread.join()
    left.close()
    right.close()
    os.close(reader)
    os.close(writer)
    assert sum("forgotten" in line for line in found) == 1
    assert sum("socket:" in line for line in found) == 2
    assert sum("pipe:" in line for line in found) == 2
    assert leaks_since(before, within_s=5) == []


def test_a_connection_belongs_to_the_listener_that_was_there_before():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = take_snapshot()
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        assert len(leaks_since(before, within_s=0)) == 1
        client.close()
        assert leaks_since(before, within_s=0) == []
        accepted.close()


def test_a_few_plain_files_are_tolerated_and_many_are_not(tmp_path):
    before = take_snapshot()
    files = [(tmp_path / str(at)).open("w") for at in range(3)]
    assert leaks_since(before, within_s=0) == []
    files += [(tmp_path / str(at)).open("w") for at in range(3, 6)]
    found = leaks_since(before, within_s=0)
    for file in files:
        file.close()
    assert len(found) == 6


def test_what_settles_in_time_is_no_leak():
    before = take_snapshot()
    child = subprocess.Popen([sys.executable, "-c", ""])
    thread = threading.Thread(target=child.wait)
    thread.start()
    assert leaks_since(before, within_s=20) == []
    thread.join()


def test_the_fixture_fails_a_test_that_leaks_and_the_limit_one_that_hangs(pytester, monkeypatch):
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    monkeypatch.setenv("PYTHONPATH", repository)
    pytester.makeconftest(
        "from tests import conftest\n"
        "conftest._SETTLE_S = 0.1\n"
        "from tests.conftest import *\n"
        "from tests.conftest import _nothing_left_behind, _nothing_left_behind_by_module\n"
    )
    pytester.makepyfile(
        test_each="""
        import asyncio, os, threading, uvloop
        TIME_LIMIT_S = 0.5
        async def wait(): await asyncio.Event().wait()
        def test_hangs_in_a_loop(): asyncio.run(wait())
        def test_hangs_in_libuv(): uvloop.run(wait())
        def test_leaks(): os.pipe()
        def test_hangs(): threading.Event().wait()
        def test_is_good(): assert "ocpd-test-" in os.environ["HOME"]
        """,
        test_together="""
        import os, pytest
        LEAKS_PER_MODULE = True
        @pytest.fixture(scope="module")
        def pipes():
            made = []
            yield made
            for pipe in made: os.close(pipe)
        def test_opens(pipes): pipes.extend(os.pipe())
        def test_leaks(): os.pipe()
        """,
    )
    run = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    run.assert_outcomes(passed=4, failed=3, errors=2)
    run.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaks*",
            "*left behind: open file*pipe:*",
            "*ERROR at teardown of test_leaks*",
            "*left behind: open file*pipe:*",
            "*took longer than 0.5 s*",
        ]
    )
