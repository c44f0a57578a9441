"""The model of the demo and of the benchmarks: short, friendly, the same every time.

What may live here: answers made from the request alone. No clock, no dice.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import msgspec
from msgspec import Struct

from tests.kit.journal import Received
from tests.kit.script import Call, CallTools, Reply, Say

_WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper"),
    *("kettle", "lantern", "meadow", "nectar", "orchard", "pebble", "quartz", "river", "saffron"),
)
_SAY_WORDS = re.compile(r"\bsay (\d{1,6}) words\b", re.IGNORECASE)
_CALL_TOOL = re.compile(r"\bcall ([\w.-]{1,128})(?:\s+(\{.*\}))?", re.IGNORECASE | re.DOTALL)


class Canned(Struct, frozen=True):
    """A brain without a model behind it: says that it is canned and how many messages it saw.

    ``say N words`` in the last user text gives N words; ``call NAME {json}`` calls that tool if it
    is offered; a tool's result is repeated. Keeps to ``max_tokens`` (a word counts as one token)
    and to ``stop_sequences``. ``words_per_delta`` words go out every ``delay_s`` seconds, the
    first after ``first_delay_s``.
    """

    delay_s: float = 0.0
    first_delay_s: float = 0.0
    words_per_delta: int = 4

    def __call__(self, request: Received) -> Reply:
        """The answer to ``request``."""
        text, result = _last_user(request.messages)
        if result is not None:
            return self._say(f"The tool answered: {result or 'nothing'}", request.body)
        if wanted := _SAY_WORDS.search(text):
            return self._say(" ".join(islice(cycle(_WORDS), int(wanted[1]))), request.body)
        if call := _maybe_call(text, request.body):
            return CallTools((call,), text="Let me look.", first_delay_s=self.first_delay_s)
        seen = sum(message.get("role") != "system" for message in request.messages)
        messages = "1 message" if seen == 1 else f"{seen} messages"
        return self._say(
            f"Hello! This is a canned answer: no model was asked. I saw {messages}, "
            f"the last one with {len(text)} characters.",
            request.body,
        )

    def _say(self, text: str, body: Mapping[str, Any]) -> Say:
        stops = [stop for stop in body.get("stop_sequences") or () if stop and stop in text]
        stop = min(stops, key=text.index, default=None)
        reason = "end_turn" if stop is None else "stop_sequence"
        words = (text if stop is None else text[: text.index(stop)]).split(" ")
        if len(words) > body["max_tokens"]:
            words, reason, stop = words[: body["max_tokens"]], "max_tokens", None
        size = self.words_per_delta
        lines = [" ".join(words[at : at + size]) for at in range(0, len(words), size)]
        deltas = [*(f"{line} " for line in lines[:-1]), *filter(None, lines[-1:])]
        return Say(
            deltas,
            delay_s=self.delay_s,
            first_delay_s=self.first_delay_s,
            stop_reason=reason,
            stop_sequence=stop,
        )


def _last_user(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
    """The text of the last user message, without reminders, and its tool results if any."""
    for message in reversed(messages):
        if message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, str):
            return content, None
        blocks = content if isinstance(content, list) else []
        results = [_text_of(b.get("content")) for b in blocks if b.get("type") == "tool_result"]
        return _text_of(blocks), " ".join(results) if results else None
    return "", None


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    texts = [str(block.get("text", "")) for block in blocks if block.get("type") == "text"]
    return "\n".join(text for text in texts if not text.startswith("<system-reminder>"))


def _maybe_call(text: str, body: Mapping[str, Any]) -> Call | None:
    wanted = _CALL_TOOL.search(text)
    offered = {tool.get("name") for tool in body.get("tools") or ()}
    if wanted is None or wanted[1] not in offered:
        return None
    try:
        arguments = msgspec.json.decode(wanted[2] or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        arguments = {}
    return Call(wanted[1], arguments)
