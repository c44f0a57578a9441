"""The face of the dialect."""

import msgspec
import pytest

from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.dialects.openai_chat.encode import FoldingEncoder, StreamEncoder
from ocpd.errors import BadRequest
from tests.unit.dialects.openai_chat.asking import QUESTION, context


def test_it_has_a_name() -> None:
    assert OPENAI_CHAT.name == "openai_chat"


@pytest.mark.parametrize(
    ("asked", "encoder"), [(True, StreamEncoder), (False, FoldingEncoder), (None, FoldingEncoder)]
)
def test_the_encoder_is_the_one_that_was_asked_for(asked: object, encoder: type) -> None:
    body = msgspec.json.encode({"messages": [QUESTION], "stream": asked})
    turn = OPENAI_CHAT.decode(body, context())
    assert isinstance(OPENAI_CHAT.encoder(turn, 0), encoder)


def test_a_refusal_is_the_apis_error_body() -> None:
    assert OPENAI_CHAT.refusal(BadRequest("no", param="n")) == (
        b'{"error":{"message":"no","type":"invalid_request_error","param":"n","code":null}}'
    )
