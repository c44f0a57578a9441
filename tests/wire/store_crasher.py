"""A process that writes keys and usage rows and says what was acknowledged, until it is killed.

Run as ``python -m tests.wire.store_crasher DIRECTORY``. Every line on stdout is one promise.
"""

import asyncio
import sys
from pathlib import Path

from ocpd.store.store import Store
from tests.unit.store.stage import make_row

WRITES = 200


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def _use_keys(store: Store, worker: int) -> None:
    for number in range(WRITES // 4):
        record, secret = await store.keys.add(f"w{worker} {number}")
        _say("added", record.id, secret)
        if number % 3 == 0:
            _, secret = await store.keys.rotate(record.id)
            _say("rotated", record.id, secret)
        if number % 5 == 0:
            await store.keys.revoke(record.id)
            _say("revoked", record.id, secret)


async def _use_book(store: Store, worker: int) -> None:
    for number in range(WRITES // 4):
        turn = f"{worker}-{number}"
        store.usage.record(make_row(turn_id=turn))
        if await store.flush():
            _say("recorded", turn, "-")


async def main(directory: Path) -> None:
    """Write from several tasks at once, so that batches hold more than one promise."""
    async with Store(directory) as store:
        _say("open", 0, "-")
        async with asyncio.TaskGroup() as group:
            for worker in range(2):
                group.create_task(_use_keys(store, worker))
                group.create_task(_use_book(store, worker))
        _say("done", 0, "-")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
