"""Run the benchmarks and print the tables: ``make bench``, about five minutes. ``make bench
ARGS=admin`` runs one part: turn, conversations, queue, keys, tools, tls or admin.

(a) the CLI cold, spawned per request; (b) a new conversation through ocpd; (c) the upstream
called directly. Rounds alternate, so that a slow minute of the machine hits all three.
"""

import asyncio
import itertools
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import admin, client, conversations, keys, queue, stage, tls, tools
from bench.cold import cold
from tests.kit.cli import find_real_cli

SEQUENTIAL = 15
ROUNDS_AT_ONCE = 4
AT_ONCE = 8
SPARE_READY_S = 1.2
"""A spare has long finished starting by then; it says nothing until it is claimed."""

UPSTREAM_TEXT = b'"text_delta","text":"'


_number = itertools.count()


def fresh_body() -> bytes:
    """A question under a system prompt that nobody has used: no process has served it before."""
    return client.chat_body("One line, please.", system=f"Number {next(_number)}.")


def through(port: int) -> client.Answer:
    """Ask ocpd once, as the beginning of a conversation."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    return asyncio.run(client.ask(url, fresh_body()))


def direct(url: str) -> client.Answer:
    """Ask the upstream once."""
    body = client.messages_body("One line, please.")
    return asyncio.run(client.ask(f"{url}/v1/messages", body, UPSTREAM_TEXT))


def sequential(url: str, pid: int, port: int, home: Path) -> None:
    """One at a time, with a spare ready."""
    a: list[float] = []
    b: list[float] = []
    c: list[float] = []
    cold(url, home)
    through(port)
    stage.rest(SPARE_READY_S)
    cpu_a = cpu_b = 0.0
    before_b = stage.cpu_of(pid)
    for _ in range(SEQUENTIAL):
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        a.append(cold(url, home))
        cpu_a += _spent(used)
        stage.rest(SPARE_READY_S)
        b.append(through(port).first_ms)
        stage.rest(SPARE_READY_S)
        c.append(direct(url).first_ms)
    after_b = stage.cpu_of(pid)
    own = (after_b.own - before_b.own) / SEQUENTIAL
    cpu_b = own + (after_b.children - before_b.children) / SEQUENTIAL
    print(f"\none at a time, {SEQUENTIAL} each       first text p50/p95 ms   CPU s/request")
    print(f"  (a) cold CLI            {stage.p50_p95(a)}   {cpu_a / SEQUENTIAL:12.3f}")
    print(f"  (b) ocpd                {stage.p50_p95(b)}   {cpu_b:12.3f}")
    print(f"  (c) upstream            {stage.p50_p95(c)}")
    print(f"  (b)/(a) at p50          {statistics.median(b) / statistics.median(a):8.2f}")
    print(f"  daemon's own CPU        {own * 1000:8.1f} ms a request")


def _spent(before: resource.struct_rusage) -> float:
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime


def at_once(url: str, pid: int, port: int, home: Path) -> None:
    """Eight at a time."""
    count = ROUNDS_AT_ONCE * AT_ONCE
    chat = f"http://127.0.0.1:{port}/v1/chat/completions"
    plain = client.messages_body("One line, please.")

    async def cold_once() -> client.Answer:
        started = time.monotonic()
        first = await asyncio.to_thread(cold, url, home)
        return client.Answer(first, (time.monotonic() - started) * 1000, [])

    print(f"\n{AT_ONCE} at once, {count} each           first text p50/p95 ms   requests/s")
    runs = {
        "(a) cold CLI": cold_once,
        "(b) ocpd": lambda: client.ask(chat, fresh_body()),
        "(c) upstream": lambda: client.ask(f"{url}/v1/messages", plain, UPSTREAM_TEXT),
    }
    for name, one in runs.items():
        stage.rest(2.0)
        before = stage.cpu_of(pid)
        started = time.monotonic()
        answers = asyncio.run(client.many(one, count, AT_ONCE))
        took = time.monotonic() - started
        firsts = [answer.first_ms for answer in answers]  # type: ignore[attr-defined]
        print(f"  {name:22}  {stage.p50_p95(firsts)}   {count / took:10.1f}")
        if name == "(b) ocpd":
            stage.rest(2.0)
            after = stage.cpu_of(pid)
            print(
                f"      CPU a request: {(after.children - before.children) / count:.3f} s in the "
                f"CLI, {(after.own - before.own) / count * 1000:.1f} ms in the daemon"
            )


def memory(pid: int) -> None:
    """Daemon and children."""
    rss, private = stage.memory_mb(pid)
    print(f"\nmemory after the run: daemon {rss:.1f} MB resident, {private:.1f} MB private")
    for child in stage.children_of(pid):
        rss, private = stage.memory_mb(child)
        print(f"  parked CLI: {rss:.0f} MB resident, {private:.0f} MB private")


def idle_memory(url: str) -> None:
    """A daemon that has just started and keeps no spare."""
    with stage.daemon(url, "--spares", "0") as (pid, _):
        stage.rest(1.0)
        rss, private = stage.memory_mb(pid)
        print(f"idle daemon: {rss:.1f} MB resident, {private:.1f} MB private")


def relay(home: Path) -> None:
    """How long a delta takes."""
    print("\nrelay of a delta, written to received        p50/p95 ms")
    with stage.upstream(module="bench.stamping") as url:
        with stage.daemon(url) as (_, port):
            stage.rest(SPARE_READY_S)
            stamps = through(port).stamps
            print(f"  upstream -> CLI -> ocpd -> client {stage.p50_p95(stamps)}")
        stamps = asyncio.run(
            client.ask(f"{url}/v1/messages", client.messages_body("x"), UPSTREAM_TEXT)
        ).stamps
        print(f"  upstream -> client                {stage.p50_p95(stamps)}")
    wrapper = home / "claude"
    script = Path(__file__).parent / "stamping_cli.py"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -I {script} "$@"\n')
    wrapper.chmod(0o755)
    with stage.daemon("http://127.0.0.1:1", "--claude-bin", str(wrapper)) as (_, port):
        stage.rest(SPARE_READY_S)
        stamps = through(port).stamps
        print(f"  child's stdout -> ocpd -> client  {stage.p50_p95(stamps)}   (stand-in child)")


def body_bytes() -> None:
    """What reaches the upstream for one line."""
    argv = (sys.executable, "-m", "bench.stamping", "--deltas", "1")
    with (
        stage.started(*argv, announces=r"listening on (http://\S+)") as (process, url),
        stage.daemon(url) as (_, port),
    ):
        through(port)
        assert process.stdout is not None
        size = process.stdout.readline().decode().split()[1]
        print(f"\nupstream body of a one-line question: {size} bytes")


def small_answers(port: int) -> None:
    """GET /v1/models beside uvicorn with h11."""
    print("\nGET of a small JSON document, 8 connections   requests/s")
    if shutil.which("wrk") is None:
        print("  wrk is not installed (Debian: wrk); left out")
        return
    free = port + 1 if port < 65000 else port - 1
    argv = (sys.executable, "-m", "bench.apps", str(free))
    with stage.started(*argv, announces=r"listening on (http://\S+)") as (_, url):
        stage.rest(1.5)
        for name, target in (
            ("ocpd /v1/models", f"http://127.0.0.1:{port}/v1/models"),
            ("uvicorn + h11, bare app", f"{url}/"),
        ) * 2:
            out = subprocess.run(
                ["wrk", "-t1", "-c8", "-d4s", target], capture_output=True, check=True, text=True
            ).stdout
            rate = next(line.split()[1] for line in out.splitlines() if "Requests/sec" in line)
            print(f"  {name:26} {float(rate):10.0f}")


def main() -> None:
    """Run everything."""
    version = subprocess.run([find_real_cli(), "--version"], capture_output=True, check=True)
    print(
        f"Claude CLI {version.stdout.decode().split()[0]}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, scripted upstream: no model behind any figure"
    )
    with tempfile.TemporaryDirectory(prefix="ocpd-bench-") as folder, stage.upstream() as url:
        home = Path(folder)
        with stage.daemon(url) as (pid, port):
            sequential(url, pid, port, home)
            at_once(url, pid, port, home)
            memory(pid)
            small_answers(port)
        idle_memory(url)
        relay(home)
        body_bytes()


if __name__ == "__main__":
    parts = {
        "admin": admin.main,
        "conversations": conversations.main,
        "keys": keys.main,
        "queue": queue.main,
        "tls": tls.main,
        "tools": tools.main,
        "turn": main,
    }
    for part in sys.argv[1:] or parts:
        parts[part]()
