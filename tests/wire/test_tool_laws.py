"""The laws of conversations with tools: whatever clients send after whatever, the upstream hears
what a fresh process would send for it, nobody hears of anybody else, and every answer is the
model's to just that.
"""

import difflib
import os
import random
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import openai
import pytest

from tests.kit.journal import Received
from tests.kit.leaks import descendants
from tests.kit.script import Reply
from tests.kit.upstream import Upstream
from tests.wire.conftest import OpenStage
from tests.wire.stage import Caller, Stage, body_of, family_of, quick
from tests.wire.tool_clients import Answer, Ask, Client, outcome
from tests.wire.tool_view import View, decide, heard, owners, spell, tokens
from tests.wire.tooling import called

pytestmark = pytest.mark.real_cli

TIME_LIMIT_S = 120
CLIENTS = 3
ROUNDS = 40
MOST_PROCESSES = 4
KILL = 0.08
"""How often all processes are killed between two rounds."""


def brain(request: Received) -> Reply:
    """The model: it decides from the request alone."""
    thinking = request.body.get("thinking", {}).get("type", "disabled")
    return decide(heard(request), thinks=thinking != "disabled")


class Books:
    """What was asked, and whether the upstream heard just that."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._read = 0
        self._heard: Counter[View] = Counter()
        self._must: Counter[View] = Counter()
        self._may: Counter[View] = Counter()
        # What the CLI may go on to ask by itself before it is killed.
        self._cut: set[View] = set()

    def ask(self, ask: Ask) -> None:
        """Write down what is asked, before it is."""
        views, answer = outcome(ask.view)
        self._may.update(views)
        if answer.finish == "length" or any(not _is_json(text) for _, text in answer.calls):
            self._cut.add(views[-1])

    def answered(self, ask: Ask) -> None:
        """It came to its end."""
        self._must.update(outcome(ask.view)[0])

    def check(self) -> None:
        """Read what the upstream heard since the last time."""
        requests = self._upstream.requests
        for request in requests[self._read :]:
            assert request.refusal is None
            view = heard(request)
            assert len(owners(request.raw)) == 1
            assert tokens(request.raw) == tokens(msgspec.json.encode(view))
            if not self._is_known(view):
                pytest.fail(self._compare(view), pytrace=False)
            self._heard[view] += 1
            _check_thinking(request)
        self._read = len(requests)

    def close(self, attempts: int) -> None:
        """All is over: everything was heard that had to be, and nothing too often."""
        self.check()
        assert self._must <= self._heard
        assert self._heard.total() <= attempts + self._may.total()

    def _compare(self, view: View) -> str:
        """Show how it differs from what is most like it."""
        told = list(map(str, _lines(view)))
        wanted = min(
            ([*map(str, _lines(known))] for known in self._may),
            key=lambda lines: -difflib.SequenceMatcher(None, lines, told).ratio(),
        )
        return "\n".join(difflib.ndiff(wanted, told))

    def _is_known(self, view: View) -> bool:
        if view in self._may:
            return True
        return any(
            len(view.messages) > len(cut.messages)
            and view.messages[: len(cut.messages)] == cut.messages
            for cut in self._cut
        )


def _check_thinking(request: Received) -> None:
    """A model that thinks on a budget must have thought before the calls that are answered."""
    body = request.body
    if body.get("thinking", {}).get("type") != "enabled":
        return
    told = [message for message in body["messages"] if message["role"] != "system"]
    last = told[-1]["content"]
    if any(not isinstance(block, str) and block["type"] == "tool_result" for block in last):
        assert told[-2]["content"][0]["type"] == "thinking"


def _lines(view: View) -> list[object]:
    top = [view.model, view.system, view.tools, view.choice, view.most]
    return [*top, *((said.role, part) for said in view.messages for part in said.parts)]


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def run(stage: Stage, ask: Ask) -> tuple[dict[str, Any], str] | None:
    """Ask; returns the message and why it ended, or None if the client has left."""
    if ask.leaves_at is not None:
        leave(stage, ask)
        return None
    if ask.is_streamed:
        told = stage.stream(ask.wire, **ask.more)
        assert told.error is None, told.error
        (finish,) = told.finish
        message = called(told)
    else:
        answer = stage.ask(ask.wire, **ask.more)
        finish, message = answer.choices[0].finish_reason, called(answer)
    if not message["tool_calls"]:
        del message["tool_calls"]
    return message, finish


def leave(stage: Stage, ask: Ask) -> None:
    body = body_of(ask.wire, stream=ask.is_streamed, **ask.more)
    with Caller(stage.daemon.port, body) as caller:
        while ask.leaves_at not in caller.seen:
            data = caller.socket.recv(100)
            if not data:
                break
            caller.seen += data


def read(message: dict[str, Any], finish: str) -> Answer:
    calls = [call["function"] for call in message.get("tool_calls", ())]
    return Answer(
        text=message["content"] or "",
        calls=tuple((call["name"], plain(call["arguments"])) for call in calls),
        finish=finish,
    )


def plain(arguments: str) -> str:
    return spell(msgspec.json.decode(arguments)) if _is_json(arguments) else arguments


def kill_all(stage: Stage, dice: random.Random) -> None:
    stage.daemon.wait_quiet()
    for pid in descendants(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    if dice.random() < 0.5:
        stage.wait_report(lambda report: report.processes.resting == 0)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_clients_do_with_tools_the_model_hears_what_they_say(
    open_real: OpenStage, upstream: Upstream, seed: int
) -> None:
    upstream.script_default(brain)
    play(open_real, upstream, seed)


def play(open_real: OpenStage, upstream: Upstream, seed: int, rounds: int = ROUNDS) -> Any:
    dice = random.Random(seed)
    clients = [Client(number, seed) for number in range(CLIENTS)]
    books = Books(upstream)
    with (
        open_real(settings=quick(max_processes=MOST_PROCESSES)) as stage,
        ThreadPoolExecutor(2 * CLIENTS) as pool,
    ):
        for _ in range(rounds):
            asks = [(client, ask) for client in clients for ask in client.wants()]
            for _, ask in asks:
                books.ask(ask)
            answers = list(pool.map(lambda pair: run(stage, pair[1]), asks))
            books.check()
            for (client, ask), answer in zip(asks, answers, strict=True):
                if answer is not None:
                    assert read(*answer) == outcome(ask.view)[1], ask.name
                    books.answered(ask)
                    client.take(ask, *answer)
            told = stage.daemon.report().processes
            assert sum(told.parked.values()) + told.resting + told.leased <= MOST_PROCESSES
            if dice.random() < KILL:
                kill_all(stage, dice)
        report = stage.daemon.wait_quiet()
        assert len(family_of(os.getpid())) <= MOST_PROCESSES
        books.close(report.stats.attempts)
    return report
