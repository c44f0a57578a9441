"""Processes of a benchmark: starting them, ending them, and what they used.

What may live here: /proc readings and life times.
"""

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

TICK = os.sysconf("SC_CLK_TCK")
PAGE_KB = 4


class Cpu(msgspec.Struct, frozen=True):
    """Seconds a process used itself, and what its ended children used."""

    own: float
    children: float


def cpu_of(pid: int) -> Cpu:
    """Read /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    user, system, child_user, child_system = (int(field) / TICK for field in fields[11:15])
    return Cpu(user + system, child_user + child_system)


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and private megabytes of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
    private = int(kilobytes["Private_Clean"]) + int(kilobytes["Private_Dirty"])
    return int(kilobytes["Rss"]) / 1024, private / 1024


def children_of(pid: int) -> list[int]:
    """Direct children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def quantile(values: list[float], share: float) -> float:
    """The value below which ``share`` of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def p50_p95(values: list[float]) -> str:
    """Spell median and 95th percentile of milliseconds."""
    return f"{statistics.median(values):8.1f} {quantile(values, 0.95):8.1f}"


@contextlib.contextmanager
def started(
    *argv: str, announces: str, env: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run ``argv`` until the block ends; yields the process and what ``announces`` matched."""
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stdin=subprocess.PIPE, env={**os.environ, **(env or {})}
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(announces, line.decode()):
                yield process, found[1]
                break
        else:
            raise RuntimeError(f"{argv} ended before it was ready")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()
        if process.stdin is not None:
            process.stdin.close()


@contextlib.contextmanager
def upstream(*arguments: str, module: str = "tests.kit.upstream") -> Iterator[str]:
    """The scripted API in a process of its own; yields its URL."""
    argv = (sys.executable, "-m", module, "--port", "0", *arguments)
    with started(*argv, announces=r"listening on (http://\S+)") as (_, url):
        yield url


@contextlib.contextmanager
def daemon(upstream_url: str, *arguments: str, socket: str = "") -> Iterator[tuple[int, int]]:
    """ocpd in a process of its own with an empty HOME; yields pid and port."""
    with tempfile.TemporaryDirectory(prefix="ocpd-bench-") as home:
        env = {
            "HOME": home,
            "OCPD_STATE_DIR": f"{home}/state",
            "OCPD_SOCKET": socket or f"{home}/ocpd.sock",
            "BENCH_UPSTREAM": upstream_url,
            "OCPD_LOG_LEVEL": "warning",
        }
        argv = (sys.executable, "-m", "bench.daemon", "--port", "0", *arguments)
        with started(*argv, announces=r"listens on https?://127.0.0.1:(\d+)", env=env) as found:
            process, port = found
            yield process.pid, int(port)


def rest(seconds: float) -> None:
    """Let background work end, so that the next figure is not its."""
    time.sleep(seconds)
