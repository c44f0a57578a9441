"""Promise: a failure is a status until the first event or heartbeat, and an event after it."""

import msgspec
import pytest

from ocpd.api.telling import Telling
from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.errors import Gone, Overloaded, Upstream
from ocpd.turn.events import Failed, TextDelta
from ocpd.turn.request import Turn
from tests.unit.api.stage import Link, make_exchange
from tests.unit.claude.stage import ask
from tests.unit.dispatch.stage import FINISHED, STARTED
from tests.unit.http.stage import run
from tests.unit.pool.stage import until

SOON_S = 0.01
KEEPALIVE = OPENAI_CHAT.keepalive
BUSY = Overloaded("no place was free", code="queue_timeout", retry_after_s=5)


def turn(*, stream: bool = True) -> Turn:
    return msgspec.structs.replace(ask(), stream=stream)


def make(*, stream: bool = True, beat_s: float = SOON_S) -> tuple[Telling, Link]:
    link = Link()
    return Telling(make_exchange(link), OPENAI_CHAT, turn(stream=stream), beat_s), link


def error_in(link: Link) -> dict[str, object]:
    *_, frame, done = link.sent.decode().removesuffix("\n\n").split("\n\n")
    assert done == "data: [DONE]"
    return msgspec.json.decode(frame.removeprefix("data: "), type=dict[str, dict[str, object]])[
        "error"
    ]


def test_while_nothing_was_said_a_failure_is_for_the_status() -> None:
    async def main() -> None:
        telling, link = make(beat_s=60)
        telling.begin()
        with pytest.raises(Overloaded):
            await telling.fail(BUSY)
        telling.stop()
        assert link.status == 0

    run(main())


def test_after_a_heartbeat_a_failure_is_the_last_event() -> None:
    async def main() -> None:
        telling, link = make()
        telling.begin()
        await until(lambda: link.status == 200)
        await telling.fail(BUSY)
        telling.stop()
        assert link.is_ended
        assert link.sent.startswith(KEEPALIVE)
        assert error_in(link)["code"] == "queue_timeout"
        assert link.headers["content-type"] == "text/event-stream"
        assert link.headers["x-request-id"] == turn().id

    run(main())


def test_after_a_heartbeat_a_failure_among_the_first_events_is_one_too() -> None:
    async def main() -> None:
        telling, link = make()
        telling.begin()
        await until(lambda: link.status == 200)
        await telling.tell([STARTED, Failed(Upstream("it broke", code="broke_off"))])
        await telling.end()
        telling.stop()
        assert error_in(link)["code"] == "broke_off"

    run(main())


def test_heartbeats_stand_between_events_and_end_with_the_answer() -> None:
    async def main() -> None:
        telling, link = make()
        telling.begin()
        await telling.tell([STARTED, TextDelta("Hel")])
        await until(lambda: KEEPALIVE in link.chunks)
        await telling.tell([TextDelta("lo"), FINISHED])
        await telling.end()
        telling.stop()
        assert link.sent.endswith(b"data: [DONE]\n\n")
        without = link.sent.replace(KEEPALIVE, b"")
        assert without.count(b"data: ") == 5

    run(main())


def test_an_answer_that_is_no_stream_has_no_heartbeat() -> None:
    async def main() -> None:
        telling, link = make(stream=False)
        telling.begin()
        assert telling._heartbeat._alarm._timer is None
        await telling.tell([STARTED, TextDelta("Hello")])
        assert link.status == 0
        await telling.tell([FINISHED])
        await telling.end()
        telling.stop()
        assert link.json["choices"][0]["message"]["content"] == "Hello"

    run(main())


def test_the_headers_are_those_of_the_turn_that_runs() -> None:
    async def main() -> None:
        telling, link = make()
        telling.begin()
        telling.settle(msgspec.structs.replace(turn(), dropped=3))
        await until(lambda: link.status == 200)
        telling.stop()
        assert link.headers["x-ocpd-truncated"] == "3"

    run(main())


def test_nobody_is_told_that_he_left() -> None:
    async def main() -> None:
        telling, link = make()
        await telling.tell([STARTED, TextDelta("Hel")])
        with pytest.raises(Gone):
            await telling.fail(Gone("The client left."))
        telling.stop()
        assert not link.is_ended

    run(main())
