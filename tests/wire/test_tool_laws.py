"""The laws of conversations with tools: whatever clients send after whatever, the upstream hears
what a fresh process would send for it, nobody hears of anybody else, and every answer is the
model's to just that.
"""

import contextlib
import difflib
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import openai
import pytest

from ocpd.api.health import Report
from ocpd.turn.flatten import flatten
from ocpd.turn.request import Message, Role, Text, ToolResult, ToolUse, Turn, TurnId
from tests.kit.journal import Received
from tests.kit.leaks import descendants
from tests.kit.script import Call, CallTools, Reply
from tests.kit.upstream import Upstream
from tests.wire.conftest import OpenStage
from tests.wire.stage import Caller, Stage, body_of, family_of, quick, say
from tests.wire.tool_clients import LIMITS, Answer, Ask, Client, outcome
from tests.wire.tool_view import View, decide, heard, owners, spell, tokens
from tests.wire.tooling import Chat, called, calls_in, result, results_heard, tool

pytestmark = pytest.mark.real_cli

TIME_LIMIT_S = 120

Got = tuple[dict[str, Any], str]
"""An assistant message as it goes back into the history, and its finish reason or status."""

CLIENTS = 3
ROUNDS = 20
MOST_PROCESSES = 6
KILL = 0.05
"""How often all processes are killed between two rounds."""
STORM = 0.05
"""How often they are killed while the clients ask."""


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
        # How often it must have been heard, and may have been.
        self._must: Counter[View] = Counter()
        self._may: Counter[View] = Counter()
        # What the CLI may go on to ask by itself before it is killed.
        self._cut: set[View] = set()

    def ask(self, ask: Ask, *, may_break: bool) -> None:
        """Write down what is asked, before it is."""
        views, answer = outcome(ask)
        # What the API refuses as malformed is asked again with less; what breaks, by us.
        times = 3 if answer.finish == "400" else 2 if may_break else 1
        self._may.update(views * times)
        is_broken = any(not is_json(text) for _, text in answer.calls)
        if is_broken or answer.finish == "length" or "stop" in ask.more:
            self._cut.add(views[-1])

    def answered(self, ask: Ask) -> None:
        """It came to its end."""
        self._must.update(outcome(ask)[0])

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

    def close(self) -> None:
        """All is over: everything was heard that had to be, and nothing too often."""
        self.check()
        assert self._must <= self._heard
        assert not [view for view in self._heard - self._may if view in self._may]

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


# Asking.


def run(stage: Stage, ask: Ask, *, may_break: bool) -> Got | None:
    """Ask; returns the message and why it ended, or None if there is none: the client has left, or
    something broke that may."""
    try:
        if ask.leaves_at is None:
            return send(stage, ask)
        leave(stage, ask, ask.leaves_at)
    except openai.APIStatusError as error:
        if may_break and error.status_code >= 500:
            return None
        return {"content": ""}, str(error.status_code)
    except AssertionError:
        if not may_break:
            raise
    return None


def send(stage: Stage, ask: Ask) -> Got:
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


def leave(stage: Stage, ask: Ask, mark: bytes) -> None:
    """Ask, read until ``mark`` or a refusal, and be gone."""
    body = body_of(ask.wire, stream=ask.is_streamed, **ask.more)
    with Caller(stage.daemon.port, body) as caller:
        while mark not in caller.seen and b'"error"' not in caller.seen:
            data = caller.socket.recv(100)
            assert data, caller.seen
            caller.seen += data


def read(message: dict[str, Any], finish: str) -> Answer:
    calls = [call["function"] for call in message.get("tool_calls", ())]
    return Answer(
        text=message["content"] or "",
        calls=tuple((call["name"], plain(call["arguments"])) for call in calls),
        finish=finish,
    )


def plain(arguments: str) -> str:
    return spell(msgspec.json.decode(arguments)) if is_json(arguments) else arguments


def is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def kill_all() -> None:
    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_soon(share: float) -> None:
    """Kill all processes while the clients ask."""
    threading.Event().wait(share / 2)
    kill_all()


# The laws.


class Round:
    """What all clients want at once. With ``storms`` the processes are killed meanwhile."""

    def __init__(self, clients: Sequence[Client], dice: random.Random) -> None:
        self.asks = [(client, ask) for client in clients for ask in client.wants()]
        self.storms = dice.random() < STORM
        self._wait = dice.random()

    def play(self, stage: Stage, pool: ThreadPoolExecutor) -> list[Got | None]:
        """Ask it all; returns what came, in the same order."""
        killer = pool.submit(kill_soon, self._wait) if self.storms else None
        asking = [pool.submit(run, stage, ask, may_break=self.storms) for _, ask in self.asks]
        found = [one.result() for one in asking]
        if killer is not None:
            killer.result()
        return found


def play(stage: Stage, seed: int, rounds: int = ROUNDS) -> Report:
    """Let some clients do as they like, and watch."""
    dice = random.Random(seed)
    clients = [Client(number, seed) for number in range(CLIENTS)]
    books = Books(stage.upstream)
    with ThreadPoolExecutor(2 * CLIENTS + 1, "client") as pool:
        for _ in range(rounds):
            now = Round(clients, dice)
            for _, ask in now.asks:
                books.ask(ask, may_break=now.storms)
            found = now.play(stage, pool)
            books.check()
            for (client, ask), got in zip(now.asks, found, strict=True):
                if got is not None:
                    assert read(*got) == outcome(ask)[1], ask.name
                    books.answered(ask)
                    client.take(ask, *got)
            told = stage.daemon.report().processes
            assert sum(told.parked.values()) + told.resting + told.leased <= MOST_PROCESSES
            if dice.random() < KILL:
                stage.daemon.wait_quiet()
                kill_all()
    report = stage.daemon.wait_quiet()
    assert len(family_of(os.getpid())) <= MOST_PROCESSES
    books.close()
    return report


@pytest.mark.parametrize("seed", range(3))
def test_whatever_clients_do_with_tools_the_model_hears_what_they_say(
    open_real: OpenStage, upstream: Upstream, seed: int
) -> None:
    upstream.script_default(brain)
    with open_real(settings=quick(max_processes=MOST_PROCESSES)) as stage:
        report = play(stage, seed)
    assert {"spawned", "continued", "rewound", "recycled"} == set(report.processes.sources)


def test_what_the_laws_expect_is_what_fresh_processes_send(
    open_real: OpenStage, upstream: Upstream
) -> None:
    client, asks = Client(0, seed=0), list[Ask]()
    for _ in range(150):
        for ask in client.wants():
            _, answer = outcome(ask)
            calls = [
                {"id": f"toolu_{len(asks)}x{at}", "type": "function", "function": function}
                for at, (name, text) in enumerate(answer.calls)
                for function in [{"name": name, "arguments": text}]
            ]
            message: dict[str, Any] = {"role": "assistant", "content": answer.text}
            client.take(ask, message | ({"tool_calls": calls} if calls else {}), answer.finish)
            asks.append(msgspec.structs.replace(ask, leaves_at=None))
    # Those with the most to say, of every model.
    asks.sort(key=lambda ask: (-len(ask.view.messages), -len(ask.wire)))
    chosen = [ask for model in LIMITS for ask in [a for a in asks if a.view.model == model][:2]]
    upstream.script_default(brain)
    books = Books(upstream)
    with open_real(settings=quick(recycle_turns=1)) as stage:
        for ask in chosen:
            books.ask(ask, may_break=False)
            got = run(stage, ask, may_break=False)
            assert got is not None
            assert read(*got) == outcome(ask)[1]
        books.check()
        assert stage.daemon.wait_quiet().processes.sources == {"spawned": len(chosen)}


# What they have found.


@pytest.mark.parametrize("names", [("call_0", "call_0"), ("a", "a_1"), ("b_1", "b")])
def test_a_result_is_heard_whatever_the_ids_of_a_client_look_like(
    stage: Stage, names: tuple[str, str]
) -> None:
    """Of the ids X and X_1 the CLI takes one for the other's echo, and drops its result."""
    chat: Chat = []
    for at, name in enumerate(names):
        call = {"id": name, "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
        chat += say(f"question {at}")
        chat += [{"role": "assistant", "content": None, "tool_calls": [call]}]
        chat += [result(name, f"result {at}")]
    stage.ask(chat, tools=[tool("look_up")])
    told = [[{"type": "text", "text": f"result {at}"}] for at in range(2)]
    assert [*results_heard(stage.heard()).values()] == told


@pytest.mark.parametrize("nothing", ["", " \n"])
def test_an_empty_result_is_the_same_in_a_live_process_and_in_a_fresh_one(
    stage: Stage, nothing: str
) -> None:
    """The CLI puts words of its own into the place of an empty result."""
    tools = [tool("look_up")]
    stage.upstream.script(CallTools((Call("look_up"),)))
    chat: Chat = say("hi")
    first = stage.stream(chat, tools=tools)
    chat += [called(first), result(calls_in(first)[0], nothing)]
    stage.ask(chat, tools=tools)
    stage.daemon.wait_quiet()
    kill_all()
    stage.wait_report(lambda report: report.processes.resting == 0)
    stage.ask(chat, tools=tools)
    live, fresh = stage.upstream.requests[-2:]
    assert results_heard(live) == results_heard(fresh)


def test_a_conversation_that_is_made_one_message_keeps_its_calls_and_results() -> None:
    messages = (
        Message(Role.USER, (Text("What is in a.txt?"),)),
        Message(Role.ASSISTANT, (ToolUse("call_1", "read_file", '{"path":"a.txt"}'),)),
        Message(Role.USER, (ToolResult("call_1", (Text("forty-two"),)),)),
    )
    (told,) = flatten(Turn(id=TurnId("ab" * 16), model="m", messages=messages)).messages
    text = "".join(part.text for part in told.parts if isinstance(part, Text))
    for expected in ("read_file", "a.txt", "forty-two"):
        assert expected in text
