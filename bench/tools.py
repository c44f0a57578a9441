"""Rounds of a tool, beside a CLI that is spawned for every request.

What may live here: results in, next text; with one tool and with many, on the process that called
and on another.
"""

import asyncio
import os
import signal
import statistics
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from bench import client, stage
from bench.cold import cold
from bench.conversations import SETTLE_S, colds, cpu_total, ratios

ROUNDS = 40
MANY = 200
REBUILT = 8


def tool(number: int) -> dict[str, Any]:
    """A function with a schema of some size."""
    fields = {f"field{at}": {"type": "string", "description": "d" * 60} for at in range(8)}
    schema = {"type": "object", "properties": {"key": {"type": "integer"}, **fields}}
    name = f"tool{number:03}"
    return {"type": "function", "function": {"name": name, "parameters": schema}}


class Loop:
    """A client that runs its tool each time the model calls it."""

    def __init__(self, port: int, tools: int) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self._tools = [tool(number) for number in range(tools)]
        self._messages: list[dict[str, Any]] = []

    async def _ask(self, *messages: dict[str, Any]) -> client.Answer:
        self._messages += messages
        body = {
            "model": "sonnet",
            "stream": True,
            "messages": self._messages,
            "tools": self._tools,
        }
        return await client.ask(self._url, msgspec.json.encode(body))

    async def call(self) -> str:
        """Let the model call; returns the id of the call."""
        answer = await self._ask({"role": "user", "content": 'call tool000 {"key":1}'})
        (name,) = answer.calls
        function = {"name": "tool000", "arguments": '{"key":1}'}
        call = {"id": name, "type": "function", "function": function}
        self._messages.append({"role": "assistant", "content": answer.text, "tool_calls": [call]})
        return name

    async def resolve(self, name: str) -> float:
        """Send the result; returns the milliseconds to the next text."""
        answer = await self._ask({"role": "tool", "tool_call_id": name, "content": "42"})
        self._messages.append({"role": "assistant", "content": answer.text})
        return answer.first_ms


def rounds(port: int, tools: int) -> list[float]:
    """Results in, next text, round after round of one conversation."""

    async def run() -> list[float]:
        loop = Loop(port, tools)
        return [await loop.resolve(await loop.call()) for _ in range(ROUNDS)]

    return asyncio.run(run())


def rebuilt(pid: int, port: int) -> list[float]:
    """The same when the process that called is gone; a spare waits."""

    async def run() -> list[float]:
        found = []
        for _ in range(REBUILT):
            loop = Loop(port, 1)
            name = await loop.call()
            await asyncio.sleep(SETTLE_S)
            oldest = min(stage.children_of(pid))
            os.kill(oldest, signal.SIGKILL)
            await asyncio.sleep(SETTLE_S)
            found.append(await loop.resolve(name))
        return found

    return asyncio.run(run())


def main() -> None:
    """Run everything."""
    with tempfile.TemporaryDirectory(prefix="ocpd-bench-") as folder, stage.upstream() as url:
        home = Path(folder)
        cold(url, home)
        cold_ms = statistics.median(firsts := colds(url, home))
        print(
            "\ntools                                        first text p50/p95 ms   of a cold CLI"
        )
        ratios("cold CLI for each request", firsts, cold_ms)
        with stage.daemon(url) as (pid, port):
            before = cpu_total(pid)
            found = rounds(port, 1)
            spent = (cpu_total(pid) - before) / (2 * ROUNDS)
            ratios("results in, next text", found, cold_ms)
            ratios(f"the same with {MANY} tools", rounds(port, MANY), cold_ms)
        with stage.daemon(url) as (pid, port):
            ratios("the same, process gone, spare waits", rebuilt(pid, port), cold_ms)
        print(f"\nCPU of a request in a tool loop, daemon and CLI: {spent * 1000:.0f} ms")
