"""What makes two conversations the same: the key of what surrounds them, and a chain of hashes over
their messages.

What may live here: the one definition of "equal". Clients send their whole history back each time,
and not byte for byte: a text may come as a string or as an array of one part (the decoders make
both the same), reasoning may be left out, tool-call ids may be spelled differently. White space is
never touched: an answer that the client edited is another answer.
"""

import hashlib
from collections.abc import Iterable

import msgspec

from ocpd.turn.blank import is_blank
from ocpd.turn.request import (
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)

ROOT = b""
"""The chain of a conversation without messages."""

_DIGEST_BYTES = 16
_PREFIXES = ("toolu_", "call_")

_encoder = msgspec.json.Encoder()


class Surroundings(msgspec.Struct, frozen=True):
    """What a conversation depends on beside its turn: whose it is (``scope``), and the lane and
    version of the CLI."""

    scope: str
    lane: str = ""
    version: str = ""


def key_of(turn: Turn, around: Surroundings) -> bytes:
    """Return a digest of all that a process learns once and keeps: two turns with the same key may
    be served by the same process. Never equal for two callers."""
    return _digest(_encoder.encode((around, turn.model, turn.system, turn.tools, turn.format)))


def chain_of(messages: Iterable[Message], start: bytes = ROOT) -> tuple[bytes, ...]:
    """Return the chain over ``messages``: its entry i stands for the first i of them, and equal
    entries for equal beginnings. The first is ``start``."""
    chain = [start]
    for message in messages:
        chain.append(_digest(chain[-1], _normal_form(message)))
    return tuple(chain)


def answer_of(text: str) -> Message:
    """Return the message that an answer is, once the caller sends it back."""
    return Message(Role.ASSISTANT, () if is_blank(text) else (Text(text),))


def last_request(messages: tuple[Message, ...]) -> int:
    """Return where the last run of the user's messages begins: what an edit of the last message,
    or another answer to it, replaces."""
    at = len(messages)
    while at > 0 and messages[at - 1].role is Role.USER:
        at -= 1
    return at


def count_answers(messages: Iterable[Message]) -> int:
    """Return how many messages are the model's."""
    return sum(message.role is Role.ASSISTANT for message in messages)


def _normal_form(message: Message) -> bytes:
    parts = [_normal_part(part) for part in message.parts if not isinstance(part, Reasoning)]
    return _encoder.encode((message.role.value, parts))


def _normal_part(part: Part) -> Part:
    match part:
        case ToolUse(id=name):
            return msgspec.structs.replace(part, id=_plain_id(name))
        case ToolResult(id=name):
            return msgspec.structs.replace(part, id=_plain_id(name))
        case Text() | Image() | Document() | Reasoning():
            return part


def _plain_id(name: str) -> str:
    # Some clients take our prefix for another dialect's and put their own.
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return "".join(character for character in name if character.isalnum())


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
