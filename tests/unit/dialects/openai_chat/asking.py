"""Requests for the tests of this dialect: what a decoded or refused one comes to."""

import msgspec
import pytest

from ocpd.dialects.interface import Context
from ocpd.dialects.openai_chat.decode import decode_request
from ocpd.errors import BadRequest
from ocpd.turn.request import Message, Turn, TurnId

TURN_ID = TurnId("0123456789abcdef" * 2)
QUESTION = {"role": "user", "content": "hi"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def resolve(name: str | None) -> str:
    """Call every model by its own name; none is the default."""
    if name == "unknown":
        raise BadRequest("no such model", status=404, code="model_not_found", param="model")
    return name or "default-model"


def context(session: str | None = None, effort: str | None = None) -> Context:
    """Make the context of a test: what the headers say."""
    return Context(TURN_ID, resolve, session, effort)


def decode(*, session: str | None = None, effort: str | None = None, **fields: object) -> Turn:
    """Decode a request of ``fields``; without messages it asks QUESTION."""
    body = msgspec.json.encode({"messages": [QUESTION], **fields})
    return decode_request(body, context(session, effort))


def refuse(**fields: object) -> BadRequest:
    """Return the refusal that a request of ``fields`` meets."""
    with pytest.raises(BadRequest) as caught:
        decode(**fields)
    assert caught.value.status == 400
    assert caught.value.message
    return caught.value


def converse(*messages: object) -> tuple[Message, ...]:
    """Return the messages that ``messages`` become."""
    return decode(messages=list(messages)).messages
