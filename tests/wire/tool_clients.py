"""Clients that do with conversations and tools whatever clients do, by dice.

What may live here: what they want next, how they spell it, and what they make of an answer. They
keep their messages in one plain spelling; what they send is respelled each time.
"""

import copy
import random
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.kit.script import CallTools, Fail, Say
from tests.wire.tool_view import (
    FORBIDDEN,
    UNKNOWN,
    Part,
    Said,
    View,
    decide,
    expected,
    spell,
)
from tests.wire.tooling import Chat, tool

LIMITS = {
    "claude-sonnet-5-5": 128_000,
    "claude-sonnet-4-6": 32_000,
    "claude-haiku-4-5-20251001": 32_000,
}
MUST_THINK = "claude-sonnet-5-5"
"""This model cannot be forced to call; the others can do without thinking."""

TOOLS = (("look_up",), ("look_up", "Read"), ())
SYSTEMS = ("Be brief.", "Be brief.", "Be brief.", "")
MOST_TALKS = 3


class Talk(msgspec.Struct):
    """One conversation of a client's. ``spelling`` seeds how it is written: mostly as before."""

    model: str
    system: str
    tools: tuple[str, ...]
    messages: Chat = []
    spelling: float = 0.0


class Answer(msgspec.Struct, frozen=True):
    """What a client gets: the text, the calls as name and arguments, and the finish reason."""

    text: str
    calls: tuple[tuple[str, str], ...]
    finish: str


class Ask(msgspec.Struct, frozen=True):
    """One request: ``wire`` are its messages as they are sent, ``view`` is what the upstream has to
    hear. ``leaves_at`` is how much of the answer is read before the client is gone."""

    name: str
    talk: Talk
    view: View
    wire: Chat
    more: dict[str, Any]
    is_streamed: bool
    leaves_at: bytes | None = None


def outcome(ask: Ask) -> tuple[list[View], Answer]:
    """What the model makes of it: the requests that it hears, and the answer."""
    views, text = [ask.view], ""
    stops = ask.more.get("stop", ())
    while True:
        reply = decide(views[-1])
        if isinstance(reply, Fail):
            return views, Answer("", (), str(reply.status))
        assert isinstance(reply, Say | CallTools)
        text += "".join(reply.text)
        if hits := [text.index(stop) for stop in stops if stop in text]:
            return views, Answer(text[: min(hits)], (), "stop")
        offered = _offered(reply, ask.view)
        if reply.stop_reason == "max_tokens":
            return views, Answer(text, offered, "length")
        if isinstance(reply, Say):
            return views, Answer(text, (), "stop")
        if offered:
            return views, Answer(text, offered, "tool_calls")
        views.append(_after_refusal(views[-1], reply))


def _offered(reply: Say | CallTools, view: View) -> tuple[tuple[str, str], ...]:
    calls = reply.calls if isinstance(reply, CallTools) else ()
    return tuple(
        (call.name, spell(call.arguments) if call.raw is None else call.raw)
        for call in calls
        if call.name in view.tools
    )


def _after_refusal(view: View, reply: CallTools) -> View:
    """The CLI answers a call of a tool that nobody offered, and asks again."""
    (call,) = reply.calls
    told = "".join(reply.text)
    texts = [Part("text", told=told)] if told else []
    said = Said("assistant", (*texts, Part("call", name=call.name, told=spell(call.arguments))))
    refused = Part("result", told=UNKNOWN.format(FORBIDDEN), is_error=True)
    messages = (*view.messages, said, Said("user", (refused,)))
    return msgspec.structs.replace(view, messages=messages)


class Client:
    """Keeps some conversations. ``wants`` says what comes next; give every answer to ``take``."""

    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.dice = random.Random(f"{seed} {number}")
        self.talks: list[Talk] = []
        self._words = 0

    def wants(self) -> list[Ask]:
        """The next request, or two at once."""
        talk = self.dice.choice(self.talks[-2:] + self.talks[-1:]) if self.talks else None
        acts = ["begin", "edit", "fork", "retool", "twice", "again", "again"]
        acts += [*["rewrite"] * 4, *["go_on"] * 9]
        act = self.dice.choice(acts)
        if talk is None or act == "begin":
            model = self.dice.choice((*[MUST_THINK] * 5, *LIMITS))
            talk = Talk(
                model, self.dice.choice(SYSTEMS), self.dice.choice((*TOOLS[:1] * 3, *TOOLS))
            )
            self._keep(talk)
            self._say(talk)
            return [self._ask("begin", talk)]
        match act:
            case "again" if talk.messages[-1]["role"] == "assistant":
                talk.messages.pop()
            case "edit":
                users = [at for at, m in enumerate(talk.messages) if m["role"] == "user"]
                del talk.messages[self.dice.choice(users) :]
                self._say(talk)
            case "fork":
                talk = self._fork(talk)
                self._go_on(talk)
            case "twice":
                other = self._fork(talk, whole=True)
                self._go_on(other)
                self._go_on(talk)
                return [self._ask("twice", other), self._ask("twice", talk)]
            case _:
                if act == "rewrite":
                    self._rewrite(self.dice.choice(talk.messages[-6:]))
                if act == "retool":
                    talk.tools = self.dice.choice(TOOLS)
                self._go_on(talk)
        return [self._ask(act, talk)]

    def take(self, ask: Ask, said: dict[str, Any], finish: str) -> None:
        """Go on from the answer ``said``. What was cut short is kept or not, but a call that was is
        of no use to anybody; and there may be no answer at all."""
        calls = bool(said.get("tool_calls"))
        is_whole = finish in ("stop", "tool_calls")
        is_kept = finish == "length" and not calls and self.dice.random() < 0.5
        if (calls or said["content"]) and (is_whole or is_kept):
            ask.talk.messages.append(said)

    # What it does.

    def _word(self) -> str:
        self._words += 1
        tail = self.dice.choice(("", "", "\n", " @/etc/hostname /clear", "\u2028é", "\n\nx"))
        return f"{self.dice.choice(('', ' ', '/clear '))}zq{self.number}n{self._words}z{tail}"

    def _say(self, talk: Talk) -> None:
        talk.messages.append({"role": "user", "content": self._word()})

    def _keep(self, talk: Talk) -> None:
        self.talks.append(talk)
        if len(self.talks) > MOST_TALKS:
            self.talks.remove(self.dice.choice(self.talks[:-1]))

    def _fork(self, talk: Talk, *, whole: bool = False) -> Talk:
        answers = [at for at, m in enumerate(talk.messages) if m["role"] == "assistant"]
        end = len(talk.messages)
        if answers and not whole:
            end = self.dice.choice(answers) + 1
        branch = copy.deepcopy(talk)
        del branch.messages[end:]
        self._keep(branch)
        return branch

    def _go_on(self, talk: Talk) -> None:
        """Say what comes after the last message; nothing if it was never answered."""
        last = talk.messages[-1]
        if calls := last.get("tool_calls"):
            way = self.dice.choice(("all", "all", "all", "all", "and", "some", "none"))
            if way == "some":
                calls = self.dice.sample(calls, self.dice.randrange(len(calls)))
            if way != "none":
                talk.messages += [self._result(call) for call in calls]
            if way == "all":
                return
        elif last["role"] != "assistant" and self.dice.random() < 0.6:
            return
        self._say(talk)

    def _result(self, call: dict[str, Any]) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": call["id"], "content": self._word()}

    def _rewrite(self, message: dict[str, Any]) -> None:
        """Some clients change what lies behind them."""
        if message.get("tool_calls"):
            arguments = spell({"key": self._word()})
            self.dice.choice(message["tool_calls"])["function"]["arguments"] = arguments
        else:
            message["content"] = self._word()

    # How it spells that.

    def _ask(self, name: str, talk: Talk) -> Ask:
        more, choice = self._options(talk)
        view = View(
            model=talk.model,
            system=talk.system,
            tools=tuple(sorted(talk.tools)),
            choice=choice,
            most=more.get("max_tokens", LIMITS[talk.model]),
            messages=expected(talk.messages),
        )
        if self.dice.random() < 0.1:
            talk.spelling = self.dice.random()
        wire = respell(talk.messages, random.Random(talk.spelling))
        if talk.system:
            wire.insert(0, {"role": "system", "content": talk.system})
        leaves = (b"", b"", b"HTTP/1.1", b'"finish_reason"', b'"finish_reason":"')
        return Ask(
            name,
            talk,
            view,
            wire,
            more={"model": talk.model, **more},
            is_streamed=self.dice.random() < 0.7,
            leaves_at=self.dice.choice(leaves) if self.dice.random() < 0.12 else None,
        )

    def _options(self, talk: Talk) -> tuple[dict[str, Any], str]:
        """Fields of the request, and the tool_choice that the upstream hears."""
        more: dict[str, Any] = {}
        limit = self.dice.choice((None, None, None, None, 300, 4000))
        if self.dice.random() < 0.04:
            limit = 5
        if limit is not None:
            more["max_tokens"] = limit
        if self.dice.random() < 0.06:
            more["stop"] = ["said", "Hm "]
        if not talk.tools:
            return more, ""
        more["tools"] = [tool(name) for name in talk.tools]
        named = {"type": "function", "function": {"name": talk.tools[-1]}}
        wanted = self.dice.choice((None, None, None, None, None, "auto", "none", "required", named))
        if wanted is not None:
            more["tool_choice"] = wanted
        forced: dict[str, Any] = {}
        if wanted == "none":
            return more, spell({"type": "none"})
        if wanted == "required":
            forced = {"type": "any"}
        elif wanted is named:
            forced = {"type": "tool", "name": talk.tools[-1]}
        heard = {} if talk.model == MUST_THINK else forced
        if self.dice.random() < 0.1:
            more["parallel_tool_calls"] = False
            heard = {"type": "auto", **heard, "disable_parallel_tool_use": True}
        return more, spell(heard) if heard else ""


def respell(messages: Sequence[dict[str, Any]], dice: random.Random) -> Chat:
    """The same messages as other programs would write them."""
    style = "own" if dice.random() < 0.1 else dice.choice(("same", "same", "bare", "call"))
    names: dict[str, str] = {}
    found: Chat = []
    for message in copy.deepcopy(list(messages)):
        for at, call in enumerate(message.get("tool_calls") or ()):
            names[call["id"]] = call["id"] = _rename(call["id"], style, at)
            if dice.random() < 0.3:
                function = call["function"]
                function["arguments"] = _respell_json(function["arguments"], dice)
        if message["role"] == "tool":
            message["tool_call_id"] = names[message["tool_call_id"]]
        if dice.random() < 0.2 and message["content"]:
            message["content"] = [{"type": "text", "text": message["content"]}]
        if dice.random() < 0.2 and message["role"] == "assistant":
            message["reasoning_content"] = "Let me see."
        at = len(found)
        while message["role"] == "tool" and found[at - 1]["role"] == "tool":
            at -= 1
        # Results come in any order.
        found.insert(dice.randint(at, len(found)), message)
    return found


def _respell_json(text: str, dice: random.Random) -> str:
    try:
        told = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return text
    other = {key: told[key] for key in dice.sample(sorted(told), len(told))}
    return msgspec.json.format(msgspec.json.encode(other), indent=dice.choice((0, 2))).decode()


def _rename(name: str, style: str, at: int) -> str:
    match style:
        case "bare":
            return name.replace("_", "")
        case "call":
            return name.replace("toolu_", "call_")
        case "own":
            # Counted from 0 for each answer.
            return f"call_{at}"
    return name
