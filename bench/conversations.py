"""Conversations that live on, beside a CLI that is spawned for every request.

What may live here: later turns, new conversations under a system prompt in use, crowds, and what
resting processes hold.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from bench import client, stage
from bench.cold import cold

TURNS = 20
CHATS = 8
ONE_SHOTS = 200
RESTING = 12
COLD_ROUNDS = 3
SETTLE_S = 3.0

Messages = list[dict[str, str]]


def chat(messages: Messages) -> bytes:
    """A streamed request with this history."""
    return msgspec.json.encode({"model": "sonnet", "stream": True, "messages": messages})


class Chat:
    """A client that sends its whole history with every turn."""

    def __init__(self, port: int, system: str) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self._messages: Messages = [{"role": "system", "content": system}]

    async def turn(self, text: str) -> client.Answer:
        """Ask, and remember both."""
        self._messages.append({"role": "user", "content": text})
        answer = await client.ask(self._url, chat(self._messages))
        self._messages.append({"role": "assistant", "content": answer.text})
        return answer


def cpu_total(pid: int) -> float:
    """CPU seconds of a daemon with all its children, ended and alive."""
    own = stage.cpu_of(pid)
    alive = sum(stage.cpu_of(child).own for child in stage.children_of(pid))
    return own.own + own.children + alive


def colds(url: str, home: Path) -> list[float]:
    """A process for each request, one at a time."""
    return [cold(url, home) for _ in range(10)]


def later_turns(port: int, resting: int) -> list[float]:
    """First text of turn 2 and later, with ``resting`` other conversations at rest."""

    async def run() -> list[float]:
        for number in range(resting):
            other = Chat(port, f"Other {number}.")
            await other.turn("one")
            await other.turn("two")
        # The machine is busy with starting spares for a moment after each.
        await asyncio.sleep(SETTLE_S)
        mine = Chat(port, "Mine.")
        answers = [await mine.turn(f"turn {number}") for number in range(TURNS * 2)]
        return [answer.first_ms for answer in answers[1:]]

    return asyncio.run(run())


def new_conversations(port: int) -> list[float]:
    """First text of a conversation under a system prompt that is in use."""

    async def run() -> list[float]:
        first = []
        for number in range(30):
            answer = await Chat(port, "In use.").turn(f"question {number}")
            first.append(answer.first_ms)
        return first[2:]

    return asyncio.run(run())


async def crowd(jobs: list[Callable[[], Coroutine[Any, Any, None]]], at_once: int) -> None:
    """Run all jobs, so many at once."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    await asyncio.gather(*(work() for _ in range(at_once)))


def chats_at_once(port: int) -> None:
    """Eight conversations of twenty turns."""

    def one(number: int) -> Callable[[], Coroutine[Any, Any, None]]:
        async def talk() -> None:
            mine = Chat(port, f"Chat {number}.")
            for turn in range(TURNS):
                await mine.turn(f"turn {turn}")

        return talk

    asyncio.run(crowd([one(number) for number in range(CHATS)], CHATS))


def one_shots(port: int) -> None:
    """Two hundred questions under one system prompt."""

    def one(number: int) -> Callable[[], Coroutine[Any, Any, None]]:
        async def ask() -> None:
            await Chat(port, "Be brief.").turn(f"question {number}")

        return ask

    asyncio.run(crowd([one(number) for number in range(ONE_SHOTS)], CHATS))


def cold_crowd(url: str, home: Path) -> float:
    """Requests a second of a process for each request, eight at once."""

    async def one() -> None:
        await asyncio.to_thread(cold, url, home)

    count = COLD_ROUNDS * CHATS
    started = time.monotonic()
    asyncio.run(crowd([one] * count, CHATS))
    return count / (time.monotonic() - started)


def measured(pid: int, name: str, count: int, work: Callable[[], None], cold_rate: float) -> None:
    """Run ``work`` and print its throughput."""
    before, started = cpu_total(pid), time.monotonic()
    work()
    took = time.monotonic() - started
    spent = cpu_total(pid) - before
    rate = count / took
    print(f"  {name:34} {rate:8.1f} {rate / cold_rate:8.1f} {spent / count:12.3f}")


def ratios(name: str, values: list[float], cold_ms: float) -> None:
    """Print one row of first-text times."""
    ratio = statistics.median(values) / cold_ms
    print(f"  {name:42} {stage.p50_p95(values)} {ratio:10.3f}")


def resting_memory(pid: int) -> None:
    """Print what processes at rest hold."""
    stage.rest(1.0)
    private = [stage.memory_mb(child)[1] for child in stage.children_of(pid)]
    told = f"{min(private):.0f} to {max(private):.0f} MB each, {sum(private):.0f} MB together"
    print(f"\nmemory of {len(private)} processes (resting and parked): private {told}")


def main() -> None:
    """Run everything."""
    with tempfile.TemporaryDirectory(prefix="ocpd-bench-") as folder, stage.upstream() as url:
        home = Path(folder)
        cold(url, home)
        cold_ms = statistics.median(firsts := colds(url, home))
        print(
            "\nconversations                                first text p50/p95 ms   of a cold CLI"
        )
        ratios("cold CLI for each request", firsts, cold_ms)
        with stage.daemon(url) as (_, port):
            ratios("turn 2 and later, alone", later_turns(port, 0), cold_ms)
            ratios("new conversation, system prompt in use", new_conversations(port), cold_ms)
        with stage.daemon(url, "--max-processes", str(RESTING + 2)) as (_, port):
            told = later_turns(port, RESTING)
            ratios(f"turn 2 and later, {RESTING} others resting", told, cold_ms)
        cold_rate = cold_crowd(url, home)
        print(f"\n{CHATS} at once                           requests/s  of cold  CPU s/request")
        print(f"  cold CLI for each request          {cold_rate:8.1f}")
        with stage.daemon(url) as (pid, port):
            count = CHATS * TURNS
            name = f"{CHATS} conversations of {TURNS} turns"
            measured(pid, name, count, lambda: chats_at_once(port), cold_rate)
            resting_memory(pid)
        with stage.daemon(url) as (pid, port):
            name = f"{ONE_SHOTS} one-shots, one prompt"
            measured(pid, name, ONE_SHOTS, lambda: one_shots(port), cold_rate)
