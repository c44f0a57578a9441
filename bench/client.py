"""A lean client: one request, one stream, with the time of each piece.

What may live here: bytes over a loopback socket. It parses as little as it can, so that the
figures are the server's.
"""

import asyncio
import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

_CALL = re.compile(rb'"id":"(toolu_[^"]*)"')


class Answer(msgspec.Struct):
    """Milliseconds from the request to the first text and to the end; ``stamps`` are the delays
    of pieces that carry the time they were written (milliseconds), ``calls`` the ids of calls."""

    first_ms: float
    total_ms: float
    stamps: list[float]
    text: str = ""
    calls: list[str] = []


def chat_body(text: str, *, model: str = "sonnet", system: str = "") -> bytes:
    """A streamed chat completion."""
    messages = [{"role": "user", "content": text}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    return msgspec.json.encode({"model": model, "stream": True, "messages": messages})


def messages_body(text: str) -> bytes:
    """The same for the upstream itself."""
    return msgspec.json.encode(
        {
            "model": "claude-sonnet-5-5",
            "max_tokens": 1000,
            "stream": True,
            "messages": [{"role": "user", "content": text}],
        }
    )


async def ask(url: str, body: bytes, first_text: bytes = b'"content":"') -> Answer:
    """Send one request on a new connection and read the stream to its end.

    ``first_text`` marks the first piece that says something.
    """
    parts = urlsplit(url)
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\n"
        "content-type: application/json\r\nauthorization: Bearer bench\r\n"
        "anthropic-version: 2023-06-01\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = Answer(0.0, 0.0, [])
    seen = whole = b""
    while chunk := await reader.read(1 << 16):
        now = time.monotonic()
        whole += chunk
        if not answer.first_ms:
            seen += chunk
            if _says_something(seen, first_text):
                answer.first_ms = (now - started) * 1000
        _collect_stamps(chunk, now, answer.stamps)
    answer.total_ms = (time.monotonic() - started) * 1000
    answer.text = _read_text(whole)
    answer.calls = [found.decode() for found in _CALL.findall(whole)]
    writer.close()
    if not answer.first_ms:
        raise RuntimeError(f"no text in {seen[:500]!r}")
    return answer


def _read_text(whole: bytes) -> str:
    """The text of a chat stream; "" for another one. Chunk borders of HTTP may stand in it."""
    found = re.findall(rb'"delta":\{"content":("(?:[^"\\\\]|\\\\.)*")\}', whole)
    return "".join(msgspec.json.decode(piece, type=str) for piece in found)


def _says_something(seen: bytes, mark: bytes) -> bool:
    at = seen.find(mark)
    while at >= 0:
        if seen[at + len(mark) : at + len(mark) + 1] not in (b'"', b""):
            return True
        at = seen.find(mark, at + 1)
    return False


def _collect_stamps(chunk: bytes, now: float, stamps: list[float]) -> None:
    for piece in chunk.split(b"@")[1:]:
        digits = piece.partition(b"#")[0]
        if digits.isdigit():
            stamps.append((now - int(digits) / 1e9) * 1000)


async def many(ask_one: Callable[[], object], count: int, at_once: int) -> list[object]:
    """Run ``count`` requests, ``at_once`` at a time."""
    left = iter(range(count))
    answers: list[object] = []

    async def worker() -> None:
        for _ in left:
            answers.append(await ask_one())  # type: ignore[misc]  # noqa: PERF401

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return answers
