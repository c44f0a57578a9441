"""A conversation with calls as the model has to see it, from both sides: from what a client sends,
and from what the upstream received; and a model that decides by that alone.

What may live here: the two readings and the model. They share no code with the product.
"""

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.kit.journal import Received
from tests.kit.script import Call, CallTools, Fail, Reply, Say

UNANSWERED = "The tool was not run: the user went on without its result."
UNKNOWN = "<tool_use_error>Error: No such tool available: {}</tool_use_error>"
SMALL = 20
"""A max_tokens up to this cuts the model's answers short."""
FORBIDDEN = "rm"
"""A tool that the model calls although nobody offers it."""

_TOKEN = re.compile(rb"zq\d+n\d+z|br[0-9a-f]{16}z")
_OWNER = re.compile(rb"zq(\d+)n")
_REMINDERS = ("# Environment", "You are powered by", "Today's date")


class Part(msgspec.Struct, frozen=True, order=True):
    """A text, a call, or a result. ``at`` is a result's call, counted within its message; ``name``
    is a call's function; ``is_error`` of a result."""

    kind: str
    at: int = 0
    name: str = ""
    told: str = ""
    is_error: bool = False


class Said(msgspec.Struct, frozen=True):
    """A message; neighbours of one role are one."""

    role: str
    parts: tuple[Part, ...]


class View(msgspec.Struct, frozen=True):
    """All of a request that decides the answer. ``most`` is max_tokens, ``choice`` tool_choice as
    the upstream spells it, "" for none."""

    model: str
    system: str
    tools: tuple[str, ...]
    choice: str
    most: int
    messages: tuple[Said, ...]


_plain = msgspec.json.Encoder(order="sorted")


def spell(value: object) -> str:
    """One spelling for equal JSON values."""
    return _plain.encode(_numbers(value)).decode()


def _numbers(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, list) else value


def tokens(raw: bytes) -> frozenset[bytes]:
    """The marks of all texts in it: every text of a client's and every answer has one."""
    return frozenset(_TOKEN.findall(raw))


def owners(raw: bytes) -> frozenset[int]:
    """The clients whose words are in it."""
    return frozenset(int(found) for found in _OWNER.findall(raw))


# What the upstream received.


def heard(request: Received) -> View:
    """Read a request of the CLI's. Thinking, cache marks and what the CLI says about itself are
    left out: those are elsewhere in a conversation that was rebuilt."""
    body = request.body
    told = _told(body)
    return View(
        model=body["model"],
        # The CLI opens with two lines of its own.
        system="".join(block["text"] for block in body["system"][2:]),
        tools=tuple(sorted(offered["name"] for offered in body["tools"])),
        choice=spell(body["tool_choice"]) if "tool_choice" in body else "",
        most=body["max_tokens"],
        messages=told,
    )


def _told(body: Mapping[str, Any]) -> tuple[Said, ...]:
    found: list[Said] = []
    calls: list[str] = []
    for message in body["messages"]:
        if message["role"] == "system":
            continue
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == "assistant":
            calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        parts = tuple(_part(block, calls) for block in _without_reminders(blocks))
        found.append(Said(message["role"], parts))
    return join(found)


def _part(block: Mapping[str, Any], calls: Sequence[str]) -> Part:
    match block["type"]:
        case "text":
            return Part("text", told=block["text"])
        case "tool_use":
            return Part("call", name=block["name"], told=spell(block["input"]))
        case "tool_result":
            content = block.get("content", "")
            if not isinstance(content, str):
                content = "".join(piece["text"] for piece in _without_reminders(content))
            at = calls.index(block["tool_use_id"])
            return Part("result", at, told=content, is_error=block.get("is_error", False))
    raise AssertionError(f"a block of type {block['type']}")


def _without_reminders(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    ended = False
    for block in blocks:
        if block["type"] == "thinking":
            continue
        if block["type"] != "text" or not _is_reminder(block["text"]):
            found.append(dict(block))
            ended = False
        elif found and found[-1]["type"] == "text" and not ended:
            # The first of them ends the line of the text that it is put behind.
            found[-1]["text"] = found[-1]["text"].removesuffix("\n")
            ended = True
    return found


def _is_reminder(text: str) -> bool:
    return text.startswith(tuple(f"<system-reminder>\n{opening}" for opening in _REMINDERS))


def join(messages: Sequence[Said]) -> tuple[Said, ...]:
    """Make neighbours of one role one message, with its results first and in the order of the
    calls."""
    found: list[Said] = []
    for message in messages:
        parts = message.parts
        if found and found[-1].role == message.role:
            parts = found.pop().parts + parts
        results = sorted(part for part in parts if part.kind == "result")
        others = [part for part in parts if part.kind != "result"]
        found.append(Said(message.role, (*results, *others)))
    return tuple(found)


# What a client sends.


def expected(chat: Sequence[Mapping[str, Any]]) -> tuple[Said, ...]:
    """What a fresh process sends for the messages of a client."""
    found: list[Said] = []
    waiting: list[str] = []
    for message in [*chat, {"role": "end"}]:
        if message["role"] not in ("tool", "system") and waiting:
            missing = [at for at, name in enumerate(waiting) if name]
            late = (Part("result", at, told=UNANSWERED, is_error=True) for at in missing)
            found += [Said("user", (part,)) for part in late]
            waiting = []
        match message["role"]:
            case "tool":
                at = waiting.index(message["tool_call_id"])
                waiting[at] = ""
                found.append(Said("user", (Part("result", at, told=message["content"]),)))
            case "assistant":
                calls = message.get("tool_calls") or []
                waiting = [call["id"] for call in calls]
                text = message["content"]
                parts = [Part("text", told=text)] if text and not text.isspace() else []
                found.append(Said("assistant", (*parts, *map(_call, calls))))
            case "user":
                _end_line(found)
                found.append(Said("user", (Part("text", told=message["content"]),)))
    return join(found)


def _call(call: Mapping[str, Any]) -> Part:
    text = call["function"]["arguments"]
    try:
        told = msgspec.json.decode(text)
    except msgspec.DecodeError:
        # That is how the CLI tells the model.
        told = {"__unparsedToolInput": {"raw": text, "len": len(text)}}
    return Part("call", name=call["function"]["name"], told=spell(told))


def _end_line(found: list[Said]) -> None:
    """Of two messages of the user's the CLI ends the first with a line end."""
    if found and found[-1].role == "user" and found[-1].parts[-1].kind == "text":
        *parts, last = found[-1].parts
        ended = msgspec.structs.replace(last, told=last.told + "\n")
        found[-1] = Said("user", (*parts, ended))


# The model.


def decide(view: View, *, thinks: bool = False) -> Reply:
    """Answer as ``view`` alone says: a text, or calls, sometimes of a tool that nobody offered."""
    last = view.messages[-1].parts
    if any(part.kind == "result" and part.told == UNKNOWN.format(FORBIDDEN) for part in last):
        return Say(f"So not. {_digest(view)}", thinking="Oh." if thinks else "")
    mark = _digest(view)
    dice = random.Random(mark)
    if dice.random() < 0.03:
        return Fail(dice.choice((400, 413)))
    choice = msgspec.json.decode(view.choice or "{}", type=dict[str, Any])
    kind = choice.get("type", "auto")
    calls = kind in ("any", "tool") or (kind == "auto" and dice.random() < 0.6)
    pause: dict[str, Any] = {
        "first_delay_s": dice.choice((0, 0, 0.02)),
        "delay_s": dice.choice((0, 0, 0.005)),
    }
    thinking = "Let me see." if thinks else ""
    if not calls or not view.tools:
        text = dice.choice((f"{mark} said.", f" {mark}\n\nsaid \n", f"é {mark}\u2028/clear @x"))
        pieces = [text[at : at + 9] for at in range(0, len(text), 9)]
        if view.most <= SMALL:
            return Say(pieces[:2], stop_reason="max_tokens", thinking=thinking, **pause)
        return Say(pieces, thinking=thinking, **pause)
    return _call_tools(view, dice, mark, choice, {"thinking": thinking, **pause})


def _call_tools(
    view: View, dice: random.Random, mark: str, choice: Mapping[str, Any], more: Mapping[str, Any]
) -> CallTools:
    count = 1 if choice.get("disable_parallel_tool_use") else dice.choice((1, 1, 2, 3))
    names = [choice.get("name") or dice.choice(view.tools) for _ in range(count)]
    if choice.get("type", "auto") == "auto" and dice.random() < 0.1:
        names[dice.randrange(count)] = FORBIDDEN
    calls = []
    for number, name in enumerate(names):
        arguments = {"key": number, "b": [1.5, 2.0], "about": {"y": None, "x": f"é {mark}"}}
        calls.append(Call(name, arguments, fragments=dice.choice((1, 2, 5))))
    texts = ("", "", f"Let me look. {mark}", f"Hm {mark}\n\n", " \n")
    text = dice.choice(texts[:-1] if FORBIDDEN in names else texts)
    if view.most <= SMALL:
        cut = Call(calls[0].name, raw='{"key"')
        return CallTools((cut,), text=text, stop_reason="max_tokens", **more)
    if calls[-1].name != FORBIDDEN and dice.random() < 0.04:
        calls[-1] = Call(calls[-1].name, raw=f'{{"key": "{mark}')
    return CallTools(tuple(calls), text=text, **more)


def _digest(view: View) -> str:
    told = msgspec.json.encode((view.tools, view.choice, view.most <= SMALL, view.messages))
    return f"br{hashlib.blake2b(told, digest_size=8).hexdigest()}z"
