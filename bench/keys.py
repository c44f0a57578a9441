"""Who gets in: three keys with weights and quotas of their own, all asking for more than there is.

What may live here: this one. ``python -m bench keys``. Every turn takes the same at the upstream,
so that the share of the turns is the share of the places.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec

from bench import client, stage

PLACES = 4
QUEUE = 20
ASKERS = 9
"""Of each key, at once: together more than run and wait."""
LOAD_S = 60.0
WARM_S = 10.0
FULL_S = 0.25
"""When to ask again after ``queue_full``. The daemon says seconds; that would be no load."""
TOP = Path(__file__).parents[1]


class Key(msgspec.Struct):
    """A key, and what became of its requests. ``answers`` are when they came, and how long each
    took in all; seconds."""

    name: str
    role: str
    weight: int
    daily: int
    secret: str = ""
    answers: list[tuple[float, float]] = msgspec.field(default_factory=list)
    refused: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def is_cut(self) -> bool:
        """Whether its quota was reached."""
        return self.refused["quota_exceeded"] > 0

    @property
    def asked(self) -> int:
        """Requests that were sent and ended."""
        return len(self.answers) + sum(self.refused.values())


def main() -> None:
    """Put three keys under load and print what they got."""
    keys = [
        Key("laptop", "owner", 4, 1_000),
        Key("family", "user", 2, 120),
        Key("nightly", "batch", 1, 45),
    ]
    with tempfile.TemporaryDirectory(prefix="ocpd-bench-") as folder:
        place = f"{folder}/ocpd.sock"
        delays = ("--first-delay-ms", "150", "--delay-ms", "20")
        # As many processes as places for each key: none has to start one in a place.
        numbers = {"max-concurrent": PLACES, "max-queue": QUEUE, "max-processes": 4 * PLACES}
        settings = [word for name, n in numbers.items() for word in (f"--{name}", str(n))]
        settings += ["--auth-mode", "multi", "--log-level", "error", "--spares", "0"]
        with (
            stage.upstream(*delays) as url,
            stage.daemon(url, *settings, socket=place) as (_, port),
        ):
            for key in keys:
                said = _ocpctl(place, "--json", "keys", "add", key.name, "--role", key.role)
                key.secret = msgspec.json.decode(said)["key"]
                _ocpctl(place, "quota", key.name, f"daily={key.daily}")
            asyncio.run(_load(port, keys))
    _show(keys)


async def _load(port: int, keys: list[Key]) -> None:
    until = time.monotonic() + LOAD_S
    await asyncio.gather(*(_keep_asking(port, key, until) for key in keys for _ in range(ASKERS)))


async def _keep_asking(port: int, key: Key, until: float) -> None:
    while (began := time.monotonic()) < until:
        code = await _ask(port, key)
        if not code:
            now = time.monotonic()
            key.answers.append((now, now - began))
            continue
        key.refused[code] += 1
        if code == "quota_exceeded":
            return
        await asyncio.sleep(FULL_S)


async def _ask(port: int, key: Key) -> str:
    """Ask once; returns the code of the refusal, "" for an answer."""
    body = client.chat_body("Please say 40 words.")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
        f"authorization: Bearer {key.secret}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    whole = await reader.read()
    writer.close()
    if whole.startswith(b"HTTP/1.1 200 ") and b"data: [DONE]" in whole:
        return ""
    return whole.partition(b'"code":"')[2].partition(b'"')[0].decode() or "unknown"


def _show(keys: list[Key]) -> None:
    # While all three are in it, and have processes of their own.
    first = min(at for key in keys for at, _ in key.answers) + WARM_S
    last = min(key.answers[-1][0] - key.answers[-1][1] for key in keys if key.is_cut)
    shared = Counter({key.name: sum(first <= at <= last for at, _ in key.answers) for key in keys})
    print(
        f"\n{ASKERS} at once of each key for {LOAD_S:.0f} s, {PLACES} places, {QUEUE} may wait\n"
        "  key      role   weight  quota   asked  got in  queue full  quota full"
        "   of the turns    p50/p95 s"
    )
    for key in keys:
        share = 100 * shared[key.name] / max(1, shared.total())
        took = stage.p50_p95([seconds for _, seconds in key.answers])
        turned_away = f"{key.refused['queue_full']:11} {key.refused['quota_exceeded']:11}"
        print(
            f"  {key.name:8} {key.role:6} {key.weight:6} {key.daily:6} {key.asked:7}"
            f" {len(key.answers):7} {turned_away} {share:12.0f} % {took}"
        )
    others = {code for key in keys for code in key.refused} - {"queue_full", "quota_exceeded"}
    print(f"  turns while all asked: {shared.total()}; other refusals: {sorted(others) or 'none'}")


def _ocpctl(place: str, *argv: str) -> bytes:
    environ = {"PATH": os.defpath, "OCPD_SOCKET": place, "HOME": "/nowhere"}
    program = (sys.executable, "-m", "ocpctl", *argv)
    done = subprocess.run(program, env=environ, cwd=TOP, check=True, capture_output=True)
    return done.stdout


if __name__ == "__main__":
    main()
