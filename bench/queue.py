"""A thousand streams that wait for a place: what each costs in memory, and all of them in CPU.

What may live here: this one. ``python -m bench queue``. The one place is held by a turn whose
upstream never answers.
"""

import asyncio
import contextlib
import resource
import time
import urllib.request
from collections.abc import AsyncIterator, Callable

import msgspec

from bench import client, stage

WAITING = 1_000
WATCH_S = 30.0
WITHIN_S = 60.0
HEARTBEAT_MS = 15_000
FILES = 8_192


class _Queue(msgspec.Struct, rename="camel"):
    inflight: int
    queued: int


class _Health(msgspec.Struct):
    concurrency: _Queue


def main() -> None:
    """Measure with heartbeats on and off: the difference is theirs."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    print(f"\n{WAITING} streams that wait in the queue     KB each   % of a core   heartbeats")
    for name, beat_ms in (("heartbeat 15 s", HEARTBEAT_MS), ("no heartbeat", 0)):
        each_kb, share, heard = asyncio.run(_measure(beat_ms))
        print(f"  {name:32} {each_kb:10.1f} {share * 100:12.2f} {heard:12}")


async def _measure(beat_ms: int) -> tuple[float, float, int]:
    """Kilobytes per request, the share of a core they use, and the heartbeats that came."""
    async with _mute_upstream() as url:
        numbers = {"max-concurrent": 1, "max-queue": WAITING, "spares": 0, "timeout": 1_800_000}
        numbers["heartbeat"] = beat_ms
        settings = [word for name, n in numbers.items() for word in (f"--{name}", str(n))]
        # Put up in a thread: the upstream must answer meanwhile.
        daemon = stage.daemon(url, *settings)
        pid, port = await asyncio.to_thread(daemon.__enter__)
        try:
            return await _wait_and_watch(pid, port)
        finally:
            await asyncio.to_thread(daemon.__exit__, None, None, None)


async def _wait_and_watch(pid: int, port: int) -> tuple[float, float, int]:
    streams = [await _ask(port)]
    await _until(port, lambda queue: queue.inflight == 1)
    await asyncio.sleep(3)
    empty_kb = stage.memory_mb(pid)[1] * 1024
    streams += [await _ask(port) for _ in range(WAITING)]
    await _until(port, lambda queue: queue.queued == WAITING)
    before, began = stage.cpu_of(pid).own, time.monotonic()
    heard = await _count(streams[1:], WATCH_S)
    share = (stage.cpu_of(pid).own - before) / (time.monotonic() - began)
    each_kb = (stage.memory_mb(pid)[1] * 1024 - empty_kb) / WAITING
    for _, writer in streams:
        writer.close()
    return each_kb, share, heard


async def _ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    body = client.chat_body("One line, please.")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    return reader, writer


async def _count(
    streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]], seconds: float
) -> int:
    async def listen(reader: asyncio.StreamReader) -> int:
        found = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while data := await reader.read(65536):
                    found += data.count(b": keepalive")
        return found

    return sum(await asyncio.gather(*(listen(reader) for reader, _ in streams)))


async def _until(port: int, is_so: Callable[[_Queue], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not is_so(await asyncio.to_thread(_look, port)):
            await asyncio.sleep(0.2)


def _look(port: int) -> _Queue:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
        return msgspec.json.decode(answer.read(), type=_Health).concurrency


@contextlib.asynccontextmanager
async def _mute_upstream() -> AsyncIterator[str]:
    """An API that takes every request and answers none."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                pass
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


if __name__ == "__main__":
    main()
