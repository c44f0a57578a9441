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

from ocpd.turn.calls import cut_before, plain_id, read_arguments
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

_encoder = msgspec.json.Encoder()
_sorted = msgspec.json.Encoder(order="sorted")


class Surroundings(msgspec.Struct, frozen=True):
    """What a conversation depends on beside its turn: whose it is (``scope``), and the lane and
    version of the CLI."""

    scope: str
    lane: str = ""
    version: str = ""


def key_of(turn: Turn, around: Surroundings) -> bytes:
    """Return a digest of all that a process learns once and keeps: two turns with the same key may
    be served by the same process. Never equal for two callers."""
    tools = (turn.tools, turn.servers, turn.own_tools, turn.is_unasked)
    return _digest(_encoder.encode((around, turn.model, turn.system, tools, turn.format)))


def chain_of(messages: Iterable[Message], start: bytes = ROOT) -> tuple[bytes, ...]:
    """Return the chain over ``messages``: its entry i stands for the first i of them, and equal
    entries for equal beginnings. The first is ``start``."""
    chain = [start]
    for message in messages:
        chain.append(_digest(chain[-1], _normal_form(message)))
    return tuple(chain)


def last_request(messages: tuple[Message, ...]) -> int:
    """Return where the user's last request begins: what an edit of it, or another answer to it,
    replaces. The calls that were made for it, and their results, are part of it."""
    return cut_before(messages, len(messages))


def count_answers(messages: Iterable[Message]) -> int:
    """Return how many messages are the model's."""
    return sum(message.role is Role.ASSISTANT for message in messages)


def _normal_form(message: Message) -> bytes:
    parts = [_normal_part(part) for part in message.parts if not isinstance(part, Reasoning)]
    return _encoder.encode((message.role.value, parts))


def _normal_part(part: Part) -> Part:
    match part:
        case ToolUse(id=name, arguments=text):
            return msgspec.structs.replace(part, id=plain_id(name), arguments=_plain_json(text))
        case ToolResult(id=name):
            return msgspec.structs.replace(part, id=plain_id(name))
        case Text() | Image() | Document() | Reasoning():
            return part


def _plain_json(text: str) -> str:
    """Clients read the arguments and write them again, each in its own way."""
    told = read_arguments(text)
    return text if told is None else _sorted.encode(_plain_numbers(told)).decode()


def _plain_numbers(value: object) -> object:
    # 1.0 is 1 for a client that knows one kind of number.
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _plain_numbers(item) for key, item in value.items()}
        case list():
            return [_plain_numbers(item) for item in value]
        case _:
            return value


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
