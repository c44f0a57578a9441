"""Keys under load: who gets how much of the places, by role and weight."""

import asyncio
from collections import Counter
from pathlib import Path

import openai

from tests.kit.fake_script import Answer
from tests.wire.conftest import OpenStage
from tests.wire.operator import Operator
from tests.wire.stage import quick

AT_ONCE = 8
EACH = 3


def test_keys_share_the_places_as_they_weigh(open_fake: OpenStage, tmp_path: Path) -> None:
    # It is time that is shared. All turns take the same, once each key has processes of its own.
    script = (Answer(("one ", "two"), delay_s=0.3),) * 100
    settings = quick(max_concurrent=2, max_queue=100, max_processes=8)
    with open_fake(script, settings=settings) as stage:
        operator = Operator(stage.daemon.socket, tmp_path)
        keys = {
            "heavy": operator.add_key("heavy", "--weight", "6"),
            "light": operator.add_key("light", "--weight", "2"),
            "nightly": operator.add_key("nightly", "--role", "batch"),
        }
        url = f"{stage.daemon.url}/v1"
        for name, secret in keys.items():
            asyncio.run(crowd(url, {name: secret}, at_once=2, each=1))
        ends = asyncio.run(crowd(url, keys, at_once=AT_ONCE, each=EACH))
        # While all of them wait: the first come before there is a queue.
        served = Counter(ends[2 : AT_ONCE * EACH])
        print(f"while all wait: {dict(served)}")  # noqa: T201
        assert served["heavy"] > 1.5 * served["light"] > 0
        assert 1 <= served["nightly"] <= len(ends) // 8 + 2
        assert Counter(ends) == dict.fromkeys(keys, AT_ONCE * EACH)
        assert operator.does("keys", "show", "heavy").count("6") >= 1


async def crowd(url: str, keys: dict[str, str], *, at_once: int, each: int) -> list[str]:
    """Let each key ask ``at_once`` questions at a time, ``each`` times. Returns whose answer ended,
    in this order."""
    ends: list[str] = []

    async def keep_asking(name: str, client: openai.AsyncOpenAI) -> None:
        for _ in range(each):
            await client.chat.completions.create(
                model="sonnet", messages=[{"role": "user", "content": "hello"}]
            )
            ends.append(name)

    clients = {
        name: openai.AsyncOpenAI(base_url=url, api_key=secret, max_retries=0, timeout=60)
        for name, secret in keys.items()
    }
    await asyncio.gather(*(keep_asking(*item) for item in clients.items() for _ in range(at_once)))
    for client in clients.values():
        await client.close()
    return ends
