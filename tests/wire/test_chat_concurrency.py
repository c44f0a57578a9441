"""Many callers at once: every one gets his own answer, and the books are right."""

import asyncio
import logging

import openai
import pytest

from tests.kit.journal import Received
from tests.kit.script import Fail, Reply, Say
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage, conversation, quick

pytestmark = pytest.mark.real_cli

AT_ONCE = 8
ENDINGS = {"turn_finished", "turn_failed", "turn_cancelled", "turn_refused"}


def echo(request: Received) -> Reply:
    """Say what the user said last; fail if he says so."""
    said = conversation(request)[-1][1][-1]
    if said.startswith("fail"):
        return Fail(400, message=said)
    return Say([said[:9], said[9:]], delay_s=0.02)


async def ask_all(stage: Stage, questions: list[str], streamed: bool) -> list[str]:
    async with openai.AsyncOpenAI(
        base_url=f"{stage.daemon.url}/v1", api_key="unused", max_retries=0, timeout=30
    ) as client:

        async def ask(question: str) -> str:
            messages = [{"role": "user", "content": question}]
            wanted = {"model": "sonnet", "messages": messages, "stream": streamed}
            answer = await client.chat.completions.create(**wanted)  # type: ignore[call-overload]
            if not streamed:
                return str(answer.choices[0].message.content)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])

        return await asyncio.gather(*(ask(question) for question in questions))


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_eight_callers_at_once_get_their_own_answers(stage: Stage, streamed: bool) -> None:
    stage.upstream.script_default(echo)
    questions = [f"question {at} of {AT_ONCE}" for at in range(AT_ONCE)]
    assert asyncio.run(ask_all(stage, questions, streamed)) == questions
    report = stage.assert_at_rest()
    assert report.stats.total_requests == AT_ONCE
    assert report.stats.attempts == AT_ONCE
    assert report.stats.errors == report.stats.cancelled == 0


def test_more_callers_than_places_are_served_in_turn(open_real: OpenStage) -> None:
    with open_real(settings=quick(max_concurrent=2, spares=1)) as stage:
        stage.upstream.script_default(echo)
        questions = [f"question {at} of {AT_ONCE}" for at in range(AT_ONCE)]
        assert asyncio.run(ask_all(stage, questions, streamed=True)) == questions
        open_at_once = max(_overlaps(stage.upstream.requests))
        assert open_at_once <= 2
        stage.assert_at_rest()


def _overlaps(requests: tuple[Received, ...]) -> list[int]:
    # Each answer takes at least its one pause of 20 ms.
    return [
        sum(other.at <= request.at < other.at + 0.02 for other in requests) for request in requests
    ]


def test_every_request_ends_exactly_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.upstream.script_default(echo)
    with caplog.at_level(logging.INFO, "ocpd.turn"):
        for at in range(3):
            stage.ask(f"question {at}")
        stage.refusal("fail this one")
        with stage.client.chat.completions.create(
            model="sonnet", messages=[{"role": "user", "content": "left early"}], stream=True
        ) as chunks:
            next(iter(chunks))
        report = stage.assert_at_rest()
    ends = [record for record in caplog.records if record.message in ENDINGS]
    assert len({record.__dict__["turn"] for record in ends}) == len(ends) == 5
    by_kind = {kind: sum(r.message == kind for r in ends) for kind in sorted(ENDINGS)}
    assert by_kind["turn_finished"] + by_kind["turn_cancelled"] == 4
    assert by_kind["turn_failed"] == 1
    stats = report.stats
    assert stats.total_requests == 5
    assert (stats.active_requests, stats.queued, report.concurrency.inflight) == (0, 0, 0)
    assert (stats.errors, stats.cancelled) == (1, by_kind["turn_cancelled"])
