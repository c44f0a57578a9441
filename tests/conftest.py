"""What holds for every test: a home of its own, nothing left behind, an end in time.

A module may set ``TIME_LIMIT_S`` when its tests need longer than the default, and
``LEAKS_PER_MODULE`` when a fixture of module scope starts processes while the tests run: what is
left is then looked for once, after the module's last test.
"""

import asyncio
import contextlib
import faulthandler
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import uvloop
from hypothesis import settings

from tests.kit.cli import RealCli
from tests.kit.leaks import leaks_since, take_snapshot
from tests.kit.upstream import Upstream

TIME_LIMIT_S = 60
# Beyond the limit by this much Python cannot run its own signal handler any more.
_STUCK_S = 30
_AGAIN_S = 5
_SETTLE_S = 5.0

_STRIPPED = ("ANTHROPIC_", "OPENAI_", "CLAUDE", "OCPD_", "XDG_")
# Options of the test run itself.
_KEPT = ("OCPD_TEST_",)

_root = pytest.StashKey[Path]()
_stderr = pytest.StashKey[int]()

settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=200, database=None, print_blob=True
)
settings.register_profile("nightly", deadline=None, max_examples=5000, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    """Move the whole session into a home in a temporary directory, with nothing of the user's."""
    # Short on purpose: the path of a Unix socket may have 107 characters.
    root = Path(tempfile.mkdtemp(prefix="ocpd-test-"))
    config.stash[_root] = root
    # Not yet captured here.
    config.stash[_stderr] = os.dup(2)
    for name in list(os.environ):
        if name.startswith(_STRIPPED) and not name.startswith(_KEPT):
            del os.environ[name]
    for name, folder in {
        "HOME": "home",
        "XDG_CONFIG_HOME": "home/.config",
        "XDG_DATA_HOME": "home/.local/share",
        "XDG_STATE_HOME": "home/.local/state",
        "XDG_CACHE_HOME": "home/.cache",
        "XDG_RUNTIME_DIR": "run",
    }.items():
        (root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        os.environ[name] = str(root / folder)
    # libuv opens one pipe for signals with its first loop and keeps it: not a leak of that test.
    uvloop.new_event_loop().close()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's home."""
    shutil.rmtree(config.stash[_root], ignore_errors=True)
    os.close(config.stash[_stderr])


@pytest.fixture(autouse=True, scope="module")
def _nothing_left_behind_by_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """For modules whose fixtures start processes while their tests run."""
    yield from _guarded(request) if _is_guarded_whole(request) else iter([None])


@pytest.fixture(autouse=True)
def _nothing_left_behind(
    request: pytest.FixtureRequest, _nothing_left_behind_by_module: None
) -> Iterator[None]:
    """Fail a test that leaves a process, a thread, a socket or a pipe behind, and name it."""
    yield from iter([None]) if _is_guarded_whole(request) else _guarded(request)


def _is_guarded_whole(request: pytest.FixtureRequest) -> bool:
    return bool(getattr(request.module, "LEAKS_PER_MODULE", False))


def _guarded(request: pytest.FixtureRequest) -> Iterator[None]:
    folders = [request.config.stash[_root]]
    factory = getattr(request.config, "_tmp_path_factory", None)
    if isinstance(factory, pytest.TempPathFactory):
        folders.append(factory.getbasetemp())
    before = take_snapshot()
    yield
    left = leaks_since(before, within_s=_SETTLE_S, marks=tuple(f"{path}/" for path in folders))
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A scripted Messages API that lasts as long as the test."""
    with Upstream() as running:
        yield running


@pytest.fixture
def start_cli(upstream: Upstream, tmp_path: Path) -> Iterator[Callable[..., RealCli]]:
    """Starts the real CLI against ``upstream``; takes what ``RealCli`` takes by name."""
    with contextlib.ExitStack() as started:
        yield lambda **options: started.enter_context(
            RealCli(upstream.url, tmp_path / "cli-home", **options)
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Put the last resort around a test: the stacks of all threads, then the end of the run."""
    end_s = _limit_of(item) + _STUCK_S
    faulthandler.dump_traceback_later(end_s, exit=True, file=item.config.stash[_stderr])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Limit the time of the fixtures before a test."""
    yield from _limited(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Limit the time of a test."""
    yield from _limited(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Limit the time of the fixtures after a test."""
    yield from _limited(item)


def _limit_of(item: pytest.Item) -> float:
    return float(getattr(getattr(item, "module", None), "TIME_LIMIT_S", TIME_LIMIT_S))


def _limited(item: pytest.Item) -> Iterator[None]:
    limit = _limit_of(item)
    reason = f"took longer than {limit:g} s"
    expired = False

    def expire(_number: int, _frame: FrameType | None) -> None:
        nonlocal expired
        expired = True
        faulthandler.dump_traceback(file=2)
        loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
        if loop is None:
            pytest.fail(reason)
        # uvloop swallows what a signal handler raises.
        loop.call_soon_threadsafe(_cancel_tasks, loop)

    before = signal.signal(signal.SIGALRM, expire)
    # Again and again: the first cancellation may be caught and waited out.
    signal.setitimer(signal.ITIMER_REAL, limit, _AGAIN_S)
    try:
        result = yield
    except BaseException:
        if expired:
            pytest.fail(reason)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if expired:
        pytest.fail(reason)
    return result


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
