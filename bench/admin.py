"""The doors, timed: what a key look-up and a quota cost, and how long ``ocpctl status`` takes.

What may live here: these. ``python -m bench admin``.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import stage
from ocpd.admin.tokens import KnownTokens
from ocpd.api.doorkeeper import Doorkeeper
from ocpd.claude.limits import Sheet
from ocpd.dispatch.gate import Gate
from ocpd.dispatch.job import Job
from ocpd.http.message import Headers, Request
from ocpd.http.sentry import Sentry
from ocpd.settings.doors import read_doors
from ocpd.settings.values import Settings
from ocpd.store.quotas import PLACES
from ocpd.store.store import Store
from ocpd.turn.events import Usage
from ocpd.turn.outcome import Outcome, TurnState
from ocpd.turn.request import Turn, TurnId

KEYS = 1_000
LOOK_UPS = 50_000
A_SECOND = 1_000
LIMITED_KEYS = 50
ENTRIES = 10_000
RUNS = 40
TOP = Path(__file__).parents[1]


def look_ups(folder: Path) -> None:
    """Find keys by their secret, as every request with a token does."""

    async def measure() -> tuple[float, float]:
        async with Store(folder) as store:
            secrets = [(await store.keys.add(f"key {number}"))[1] for number in range(KEYS)]
            known = _cpu_of([secrets[n % KEYS] for n in range(LOOK_UPS)], store)
            unknown = _cpu_of([f"ocp_{n:032}" for n in range(LOOK_UPS)], store)
            return known, unknown

    known, unknown = asyncio.run(measure())
    print(f"\nkey look-up, {KEYS} keys              us each   % of a core at {A_SECOND}/s")
    for name, each_s in (("known", known), ("unknown", unknown)):
        print(f"  {name:32} {each_s * 1e6:8.2f}   {each_s * A_SECOND * 100:12.3f}")


def _cpu_of(secrets: list[str], store: Store) -> float:
    """CPU seconds of one look-up."""
    began = time.process_time()
    for secret in secrets:
        store.keys.find(secret)
    return (time.process_time() - began) / len(secrets)


def admission(folder: Path) -> None:
    """Come in as turns do: the door, with a key of mode multi, then the gate, under a limit of
    every kind and period, and out again."""

    async def measure() -> list[float]:
        async with Store(folder) as store:
            gate = Gate(store.quotas, store.usage, store.plan)
            doors = read_doors(Settings(auth_mode="multi"))
            door = Doorkeeper(KnownTokens(store.keys), doors, Sentry())
            secrets: list[str] = []
            for number in range(LIMITED_KEYS):
                record, secret = await store.keys.add(f"key {number}")
                secrets.append(secret)
                await store.quotas.set(record.id, dict.fromkeys(PLACES, 1_000_000_000))
            requests = [_request(secret) for secret in secrets]
            return [await _enter_once(door, gate, requests, n) for n in range(ENTRIES)]

    # The first of each key reads what it used before.
    took = asyncio.run(measure())[LIMITED_KEYS:]
    print(f"\ndoor, quota and end, {LIMITED_KEYS} keys, {len(PLACES)} limits          p50/p95 us")
    print(f"  a turn                           {stage.p50_p95(took)}")


def _request(secret: str) -> Request:
    """A request from another machine, as the OpenAI SDK sends it."""
    headers = Headers(
        [
            (b"host", b"10.0.0.2:3456"),
            (b"authorization", f"Bearer {secret}".encode()),
            (b"content-type", b"application/json"),
            (b"user-agent", b"OpenAI/Python"),
        ]
    )
    path = "/v1/chat/completions"
    return Request("POST", path, path, "", headers, "1.1", "10.0.0.3")


async def _enter_once(door: Doorkeeper, gate: Gate, requests: list[Request], number: int) -> float:
    turn = Turn(id=TurnId(f"{number}"), model="m", messages=())
    began = time.perf_counter()
    caller = door.admit(requests[number % LIMITED_KEYS])
    await gate.enter(Job(turn, Sheet(), caller=caller, prompt_chars=4_000))
    gate.headers(caller)
    outcome = Outcome(turn.id, "openai_chat", "m", 0.0, caller, state=TurnState.FINISHED)
    outcome.usage = Usage(1_000, output_tokens=200)
    outcome.open_attempt(1, 0.0)
    gate.settle(outcome)
    return (time.perf_counter() - began) * 1e6


def status(home: Path) -> None:
    """Run ``ocpctl status`` against a daemon, from exec to exit."""
    frozen = TOP / "dist/ocpctl/ocpctl"
    programs = {"from source": (sys.executable, "-m", "ocpctl")}
    if frozen.exists():
        programs["frozen"] = (str(frozen),)
    print(f"\nocpctl, {RUNS} runs each               p50/p95 ms")
    place = str(home / "ocpd.sock")
    with stage.upstream() as url, stage.daemon(url, socket=place):
        for name, program in programs.items():
            for argv in (("status",), ("--help",)):
                took = [_time([*program, *argv], place) for _ in range(RUNS)]
                print(f"  {' '.join(argv):10} {name:22} {stage.p50_p95(took)}")


def _time(argv: list[str], place: str) -> float:
    began = time.perf_counter()
    environ = {"OCPD_SOCKET": place, "HOME": "/nowhere"}
    quiet = subprocess.DEVNULL
    subprocess.run(argv, env=environ, cwd=TOP, check=True, stdout=quiet, stderr=quiet)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Run all."""
    with tempfile.TemporaryDirectory(prefix="ocpd-bench-") as folder:
        look_ups(Path(folder) / "store")
        admission(Path(folder) / "gate")
        status(Path(folder))
