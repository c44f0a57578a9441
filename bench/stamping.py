"""An upstream whose every delta carries the time it was written: for relay delays.

``python -m bench.stamping --port 0 [--deltas N] [--gap-ms G]``. The text of a delta is
``@<monotonic ns>#``; all processes of one machine share that clock.
"""

import argparse
import asyncio
import json
import time


def event(kind: str, **fields: object) -> bytes:
    """One server-sent event as a chunk of HTTP/1.1."""
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    payload = f"event: {kind}\ndata: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(payload), payload)


async def answer(writer: asyncio.StreamWriter, deltas: int, gap_s: float) -> None:
    """Write one stream."""
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + event("message_start", message=message)
        + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    )
    for _ in range(deltas):
        text = f"@{time.monotonic_ns()}#"
        writer.write(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        )
        await asyncio.sleep(gap_s)
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    writer.write(
        event("content_block_stop", index=0)
        + event("message_delta", delta=stop, usage={"output_tokens": deltas})
        + event("message_stop")
        + b"0\r\n\r\n"
    )
    await writer.drain()


async def serve(options: argparse.Namespace) -> None:
    """Answer every POST with a stamped stream; prints the size of each body."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                await reader.readexactly(length)
                print(f"body {length}", flush=True)
                await answer(writer, options.deltas, options.gap_ms / 1000)
                if "connection: close" in head:
                    writer.close()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", options.port, limit=1 << 26)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--deltas", type=int, default=100)
    parser.add_argument("--gap-ms", type=float, default=10.0)
    asyncio.run(serve(parser.parse_args()))
