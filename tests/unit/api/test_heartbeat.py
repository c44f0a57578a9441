"""Promise: a stream says that it is alive after each interval of silence, and nothing else."""

import asyncio

from ocpd.api.heartbeat import Heartbeat
from ocpd.dialects.sse import KEEPALIVE
from ocpd.http.exchange import Exchange
from tests.unit.api.stage import Link, make_exchange
from tests.unit.http.stage import run
from tests.unit.pool.stage import until

HEAD = (("content-type", "text/event-stream"),)
SOON_S = 0.01
NEVER_S = 600.0


def make(interval_s: float) -> tuple[Heartbeat, Exchange, Link]:
    link = Link()
    exchange = make_exchange(link)
    return Heartbeat(exchange, KEEPALIVE, interval_s, HEAD), exchange, link


def test_the_first_beat_commits_the_status_and_more_follow() -> None:
    async def main() -> None:
        heartbeat, exchange, link = make(SOON_S)
        heartbeat.start()
        assert link.status == 0
        await until(lambda: len(link.chunks) >= 3)
        heartbeat.stop()
        assert (link.status, link.headers) == (200, dict(HEAD))
        assert set(link.chunks) == {KEEPALIVE}
        assert exchange.started

    run(main())


def test_the_head_that_is_sent_is_the_newest() -> None:
    async def main() -> None:
        heartbeat, _, link = make(SOON_S)
        heartbeat.start()
        heartbeat.head = (*HEAD, ("x-more", "1"))
        await until(lambda: link.status == 200)
        heartbeat.stop()
        assert link.headers["x-more"] == "1"

    run(main())


def test_without_an_interval_there_is_no_timer() -> None:
    async def main() -> None:
        heartbeat, _, _ = make(0)
        heartbeat.start()
        assert heartbeat._alarm._timer is None
        heartbeat.stop()

    run(main())


def test_each_start_begins_the_interval_anew() -> None:
    async def main() -> None:
        heartbeat, _, link = make(NEVER_S)
        heartbeat.start()
        first = heartbeat._alarm._deadline
        # The clock of the loop stands still within one step.
        await until(lambda: asyncio.get_running_loop().time() > first - NEVER_S)
        heartbeat.start()
        assert heartbeat._alarm._deadline > first
        heartbeat.stop()
        assert link.chunks == []

    run(main())


def test_a_slow_client_is_not_told_and_an_ended_answer_is_left_alone() -> None:
    async def main() -> None:
        heartbeat, exchange, link = make(NEVER_S)
        await exchange.start(200, HEAD)
        link.is_choked = True
        heartbeat._beat()
        assert link.chunks == []
        link.is_choked = False
        await exchange.finish()
        heartbeat._beat()
        assert link.chunks == []
        heartbeat.stop()

    run(main())


def test_a_client_that_is_gone_is_not_told() -> None:
    async def main() -> None:
        heartbeat, exchange, link = make(NEVER_S)
        exchange.give_up()
        heartbeat._beat()
        assert link.status == 0
        heartbeat.stop()

    run(main())
