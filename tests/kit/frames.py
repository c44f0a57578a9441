"""From a reply to the steps that play it: heads, bytes, pauses, silences and cuts.

What may live here: the spelling of the Messages API's answers, streamed and whole. Pure: a
connection plays the steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, assert_never

import msgspec
from msgspec import Struct

from tests.kit.script import (
    ERROR_TYPES,
    Call,
    CallTools,
    Cut,
    ErrorEvent,
    Fail,
    Hang,
    Reply,
    Say,
    Usage,
)


class Head(Struct, frozen=True):
    """Send the response head."""

    status: int
    headers: Mapping[str, str]


class Send(Struct, frozen=True):
    """Send these body bytes."""

    data: bytes


class Pause(Struct, frozen=True):
    """Let this much time pass; what was sent before is on its way meanwhile."""

    seconds: float


class Silence(Struct, frozen=True):
    """Send nothing until released."""


class Drop(Struct, frozen=True):
    """End the connection now."""

    how: Literal["reset", "fin"]


Step = Head | Send | Pause | Silence | Drop


class Facts(Struct, frozen=True):
    """What an answer needs to know of its request: the model, its number, its size, the plan."""

    model: str
    number: int
    input_tokens: int
    headers: Mapping[str, str]

    @property
    def message_id(self) -> str:
        """The id of the message that answers."""
        return f"msg_kit{self.number:06d}"


def steps_for(reply: Reply, facts: Facts, *, stream: bool) -> Iterator[Step]:
    """The steps that play ``reply``, made one by one as they are asked for."""
    if isinstance(reply, Fail):
        yield from _fail(reply, facts)
    elif stream:
        yield from _streamed(reply, facts)
    else:
        yield from _whole(reply, facts)


def _fail(reply: Fail, facts: Facts) -> Iterator[Step]:
    kind = reply.type or ERROR_TYPES.get(reply.status, "api_error")
    body = _error_body(kind, reply.message, facts)
    bare = msgspec.structs.replace(facts, headers={})
    yield Head(reply.status, _json_headers(body, bare, reply.headers))
    yield Send(body)


def _streamed(reply: Say | CallTools | ErrorEvent | Cut | Hang, facts: Facts) -> Iterator[Step]:
    match reply:
        case Say() | CallTools():
            yield from _opening(reply, facts)
            yield from _play(reply, facts)
        case ErrorEvent():
            yield from _opening(reply.answer, facts)
            if reply.after is not None:
                yield from _first(reply.answer, facts, reply.after)
            yield from _maybe_pause(reply.delay_s)
            yield Send(_event({"type": "error", "error": _error(reply.type, reply.message)}))
        case Cut():
            if reply.after is not None:
                yield from _opening(reply.answer, facts)
                yield from _first(reply.answer, facts, reply.after)
            yield from _maybe_pause(reply.delay_s)
            yield Drop(reply.how)
        case Hang():
            played = chain(_opening(reply.answer, facts), _play(reply.answer, facts))
            if reply.after is not None:
                yield from _until_delta(played, reply.after)
            yield Silence()
            yield from played
        case _:
            assert_never(reply)


def _whole(reply: Say | CallTools | ErrorEvent | Cut | Hang, facts: Facts) -> Iterator[Step]:
    match reply:
        case Say() | CallTools():
            yield from _maybe_pause(reply.first_delay_s)
            body = _message_body(reply, facts)
            yield Head(200, _json_headers(body, facts, reply.headers))
            yield Send(body)
        case ErrorEvent():
            status = next((s for s, kind in ERROR_TYPES.items() if kind == reply.type), 500)
            yield from _fail(Fail(status, reply.type, reply.message), facts)
        case Cut():
            body = _message_body(reply.answer, facts)
            if reply.after is not None:
                yield Head(200, _json_headers(body, facts, reply.answer.headers))
                yield Send(body[: len(body) // 2])
            yield from _maybe_pause(reply.delay_s)
            yield Drop(reply.how)
        case Hang():
            yield Silence()
            yield from _whole(reply.answer, facts)
        case _:
            assert_never(reply)


# The parts of a stream, in the order they are sent...


def _opening(answer: Say | CallTools, facts: Facts) -> Iterator[Step]:
    yield from _maybe_pause(answer.first_delay_s)
    yield Head(
        200,
        {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            **_common_headers(facts),
            **answer.headers,
        },
    )


def _play(answer: Say | CallTools, facts: Facts) -> Iterator[Step]:
    usage = _usage(answer, facts)
    start = {**_message(facts), "usage": {**usage, "output_tokens": 1}}
    yield Send(_event({"type": "message_start", "message": start}))
    blocks = _blocks(answer, facts)
    pinged = not (isinstance(answer, Say) and answer.ping)
    started = False
    for index, (block, deltas, closing) in enumerate(blocks):
        yield Send(_event({"type": "content_block_start", "index": index, "content_block": block}))
        if not pinged:
            yield Send(_event({"type": "ping"}))
            pinged = True
        for delta in deltas:
            if started:
                yield from _maybe_pause(answer.delay_s)
            yield Send(_delta(index, delta))
            started = True
        for delta in closing:
            yield Send(_event({"type": "content_block_delta", "index": index, "delta": delta}))
        yield Send(_event({"type": "content_block_stop", "index": index}))
    sequence = answer.stop_sequence if isinstance(answer, Say) else None
    delta = {"stop_reason": answer.stop_reason, "stop_sequence": sequence}
    yield Send(_event({"type": "message_delta", "delta": delta, "usage": usage}))
    yield Send(_event({"type": "message_stop"}))


_Block = tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]


def _blocks(answer: Say | CallTools, facts: Facts) -> list[_Block]:
    found: list[_Block] = []
    if thinking := _pieces(answer.thinking):
        found.append(
            (
                {"type": "thinking", "thinking": "", "signature": ""},
                [{"type": "thinking_delta", "thinking": piece} for piece in thinking],
                [{"type": "signature_delta", "signature": _signature(facts)}],
            )
        )
    text = _pieces(answer.text)
    if text or isinstance(answer, Say):
        found.append(
            (
                {"type": "text", "text": ""},
                [{"type": "text_delta", "text": piece} for piece in text],
                [],
            )
        )
    if isinstance(answer, CallTools):
        for at, call in enumerate(answer.calls):
            block = _tool_block(call, at, facts)
            pieces = _fragments(call)
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            found.append(({**block, "input": {}}, deltas, []))
    return found


def _first(answer: Say | CallTools, facts: Facts, deltas: int) -> Iterator[Step]:
    yield from _until_delta(_play(answer, facts), deltas)


def _until_delta(steps: Iterator[Step], deltas: int) -> Iterator[Step]:
    """Up to and with the delta of that number; with 0, ``message_start`` alone."""
    seen = 0
    for step in steps:
        yield step
        if isinstance(step, Send) and step.data.startswith(_DELTA):
            seen += 1
        if isinstance(step, Send) and seen >= deltas:
            return


_DELTA = b"event: content_block_delta\n"


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": delta})


def _event(body: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (body["type"].encode(), msgspec.json.encode(body))


def _maybe_pause(seconds: float) -> Iterator[Step]:
    if seconds > 0:
        yield Pause(seconds)


# The parts of a message...


def _message(facts: Facts) -> dict[str, Any]:
    return {
        "id": facts.message_id,
        "type": "message",
        "role": "assistant",
        "model": facts.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _message_body(answer: Say | CallTools, facts: Facts) -> bytes:
    content: list[dict[str, Any]] = []
    if thinking := "".join(_pieces(answer.thinking)):
        content.append({"type": "thinking", "thinking": thinking, "signature": _signature(facts)})
    if (text := "".join(_pieces(answer.text))) or isinstance(answer, Say):
        content.append({"type": "text", "text": text})
    if isinstance(answer, CallTools):
        content += [_tool_block(call, at, facts) for at, call in enumerate(answer.calls)]
    return msgspec.json.encode(
        {
            **_message(facts),
            "content": content,
            "stop_reason": answer.stop_reason,
            "stop_sequence": answer.stop_sequence if isinstance(answer, Say) else None,
            "usage": _usage(answer, facts),
        }
    )


def _tool_block(call: Call, at: int, facts: Facts) -> dict[str, Any]:
    call_id = call.id or f"toolu_kit{facts.number:06d}x{at}"
    return {"type": "tool_use", "id": call_id, "name": call.name, "input": dict(call.arguments)}


def _fragments(call: Call) -> list[str]:
    text = msgspec.json.encode(dict(call.arguments)).decode() if call.raw is None else call.raw
    size = max(1, -(-len(text) // max(1, call.fragments)))
    # The real API opens with an empty fragment.
    return ["", *(text[at : at + size] for at in range(0, len(text), size))]


def _pieces(text: str | Sequence[str]) -> list[str]:
    if isinstance(text, str):
        return [text] if text else []
    return list(text)


def _signature(facts: Facts) -> str:
    return f"kit-signature-{facts.number}"


def _usage(answer: Say | CallTools, facts: Facts) -> dict[str, Any]:
    told: Usage = answer.usage
    said = sum(map(len, (*_pieces(answer.thinking), *_pieces(answer.text))))
    if isinstance(answer, CallTools):
        said += sum(len(piece) for call in answer.calls for piece in _fragments(call))
    thought = told.thinking_tokens or sum(map(len, _pieces(answer.thinking))) // 4
    given = told.input_tokens
    return {
        "input_tokens": facts.input_tokens if given is None else given,
        "cache_creation_input_tokens": told.cache_creation_input_tokens,
        "cache_read_input_tokens": told.cache_read_input_tokens,
        "output_tokens": said // 4 + 1 if told.output_tokens is None else told.output_tokens,
        "output_tokens_details": {"thinking_tokens": thought},
        "service_tier": "standard",
    }


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "message": message}


def _error_body(kind: str, message: str, facts: Facts) -> bytes:
    return msgspec.json.encode(
        {"type": "error", "error": _error(kind, message), "request_id": _request_id(facts)}
    )


def _request_id(facts: Facts) -> str:
    return f"req_kit{facts.number:06d}"


def _common_headers(facts: Facts) -> dict[str, str]:
    return {"request-id": _request_id(facts), **facts.headers}


def _json_headers(body: bytes, facts: Facts, more: Mapping[str, str]) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **_common_headers(facts),
        **more,
    }
