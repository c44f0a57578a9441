"""Promise: whatever was acknowledged is there after SIGKILL, and a disk that is really full costs
rows and nothing else."""

import asyncio
import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpd.errors import Overloaded
from tests.unit.store.stage import make_row, open_store, run
from tests.wire import store_crasher

TOP = Path(__file__).parents[2]
ROUNDS = 6


def _crash(directory: Path, lines: int) -> list[tuple[str, str, str]]:
    """Let the crasher make ``lines`` promises, kill it, and return all that it had made by then."""
    child = subprocess.Popen(
        [sys.executable, "-m", store_crasher.__name__, str(directory)],
        cwd=TOP,
        stdout=subprocess.PIPE,
        text=True,
    )
    promises: list[tuple[str, str, str]] = []
    with child:
        assert child.stdout is not None
        for line in child.stdout:
            # A line that was cut by the kill promised nothing.
            if line.endswith("\n"):
                what, key, secret = line.split()
                promises.append((what, key, secret))
            if len(promises) == lines:
                child.kill()
    return promises


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_what_was_acknowledged_survives_a_kill(tmp_path, seed):
    lines = random.Random(seed).randrange(2, store_crasher.WRITES)
    promises = _crash(tmp_path, lines)
    assert len(promises) >= lines
    assert promises[-1][0] != "done"

    # What SQLite says of the file before anybody mends it.
    connection = sqlite3.connect(tmp_path / "ocpd.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()

    secrets: dict[str, str] = {}
    ended: set[str] = set()
    for what, key, secret in promises:
        if what in ("added", "rotated"):
            secrets[key] = secret
        if what == "revoked":
            ended.add(key)

    async def main():
        async with open_store(tmp_path) as store:
            assert store.statistics().moved_aside is None
            for key, secret in secrets.items():
                record = store.keys.get(key)
                if key in ended:
                    assert record.revoked_at is not None
                    assert store.keys.find(secret) is None
                elif record.revoked_at is None and store.keys.find(secret) is None:
                    # It was on the way from one promise to the next.
                    assert record.preview != f"{secret[:8]}...{secret[-4:]}"
            turns = {row.turn_id for row in await store.usage.recent(1000)}
            assert {key for what, key, _ in promises if what == "recorded"} <= turns
            # And it goes on.
            await store.keys.add("after")

    run(main())


def test_a_crasher_that_is_left_alone_keeps_every_promise(tmp_path):
    promises = _crash(tmp_path, -1)
    assert promises[-1][0] == "done"
    assert sum(what == "recorded" for what, _, _ in promises) == store_crasher.WRITES // 2

    async def main():
        async with open_store(tmp_path) as store:
            assert len(store.keys.list()) == store_crasher.WRITES // 2
            assert len(await store.usage.recent(1000)) == store_crasher.WRITES // 2

    run(main())


def test_a_second_process_is_refused_while_the_first_lives(tmp_path):
    async def main():
        async with open_store(tmp_path):
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", store_crasher.__name__, str(tmp_path)],
                cwd=TOP,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 1
            assert f"another ocpd (process {os.getpid()})" in done.stderr
            assert done.stdout == ""

    run(main())


def _fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(b"x" * 4096):
            pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_costs_rows_and_then_all_is_well(small_disk):
    filler = small_disk / "filler"

    async def main():
        async with open_store(small_disk / "state") as store:
            record, secret = await store.keys.add("before")
            store.usage.record(make_row())
            assert await store.flush()
            _fill_up(filler)
            for _ in range(2000):
                store.usage.record(make_row(asked_model="x" * 200))
            assert not await store.flush()
            counts = store.statistics()
            assert counts.lost >= 1000
            assert counts.last_error
            # What is asked of memory and of the file is still answered; a backup too.
            assert store.keys.find(secret) == record
            assert len(await store.usage.recent(5000)) >= 1
            assert (await store.backup()).startswith(b"SQLite format 3")
            with pytest.raises(Overloaded) as no:
                await store.knobs.put({"large": "x" * 100_000}, "me")
            assert no.value.code == "store_unavailable"

            filler.unlink()
            store.usage.record(make_row())
            await store.keys.add("after")
            assert await store.flush()
            assert store.statistics().written > counts.written
        async with open_store(small_disk / "state") as store:
            assert {key.name for key in store.keys.list()} == {"before", "after"}

    run(main())
    assert not [t for t in threading.enumerate() if t.name.startswith("store-")]
