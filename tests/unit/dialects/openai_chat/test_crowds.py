"""Promise: no list of a request, however it is spelled, is worth more work than its limit."""

import msgspec
import pytest

from ocpd.dialects.body import SMALL_BYTES
from ocpd.dialects.openai_chat.decode import decode_request
from ocpd.dialects.tally import MAX_ITEMS
from ocpd.errors import BadRequest
from tests.unit.dialects.openai_chat.asking import QUESTION, context, decode, refuse

TEXT = {"type": "text", "text": "a"}
CALL = {"id": "c", "function": {"name": "f"}}
OVER = MAX_ITEMS + 1


def tool(number: int) -> dict[str, object]:
    return {"type": "function", "function": {"name": f"f{number}"}}


def crowd(kind: str, count: int) -> dict[str, object]:
    """A request with ``count`` of one kind."""
    half = count // 2
    return {
        "messages": {"messages": [QUESTION] * count},
        "messages in input": {"messages": None, "input": [QUESTION] * count},
        "content parts": {"messages": [{"role": "user", "content": [TEXT] * count}]},
        "content parts of many messages": {
            "messages": [
                {"role": "user", "content": [TEXT] * half},
                {"role": "assistant", "content": [TEXT] * (count - half - 1)},
                {"role": "user", "content": [TEXT]},
            ]
        },
        "tool calls": {"messages": [{"role": "assistant", "tool_calls": [CALL] * count}, QUESTION]},
        "tools": {"tools": [tool(number) for number in range(count)]},
        "functions": {"functions": [{"name": f"f{number}"} for number in range(count)]},
        "allowed tools": {
            "tools": [tool(0)],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [tool(0)] * count},
            },
        },
    }[kind]


CROWDS = {
    "messages": ("messages", "messages"),
    "messages in input": ("input", "messages"),
    "content parts": ("messages", "content parts"),
    "content parts of many messages": ("messages", "content parts"),
    "tool calls": ("messages", "tool calls"),
    "tools": ("tools", "tools"),
    "functions": ("functions", "functions"),
    "allowed tools": ("tool_choice", "allowed tools"),
}


@pytest.mark.parametrize("kind", CROWDS)
def test_a_crowd_of_the_allowed_size_is_read(kind: str) -> None:
    assert decode(**crowd(kind, MAX_ITEMS)).messages


@pytest.mark.parametrize("kind", CROWDS)
def test_one_more_is_refused_by_name_and_number(kind: str) -> None:
    refusal = refuse(**crowd(kind, OVER))
    field, what = CROWDS[kind]
    assert refusal.param == field
    assert refusal.message.startswith(f"{field}: more than {MAX_ITEMS} {what} were sent")
    assert str(MAX_ITEMS) in refusal.message.partition("at most")[2]


@pytest.mark.parametrize("kind", CROWDS)
def test_the_count_ends_the_reading_before_the_body_ends(kind: str) -> None:
    body = msgspec.json.encode({"messages": [QUESTION], **crowd(kind, 2 * OVER)})
    if kind == "messages in input":
        return
    # Never read: it would not be JSON.
    with pytest.raises(BadRequest, match="more than"):
        decode_request(body[:-20] + b"\x01" * 20, context())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stop", ["a"] * SMALL_BYTES),
        ("stop", "a" * SMALL_BYTES),
        ("modalities", ["text"] * SMALL_BYTES),
        ("logit_bias", {str(token): 1 for token in range(SMALL_BYTES)}),
    ],
)
def test_a_knob_as_large_as_a_conversation_is_refused_unread(field: str, value: object) -> None:
    refusal = refuse(**{field: value})
    assert refusal.param == field
    size = len(msgspec.json.encode(value))
    assert refusal.message == f"{field}: {size} bytes were sent; at most {SMALL_BYTES} are read"


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("modalities", "text", "modalities"),
        ("modalities", [1], "modalities[0]"),
        ("logit_bias", [1], "logit_bias"),
        ("logit_bias", {"1": "x"}, "logit_bias[...]"),
    ],
)
def test_a_small_knob_is_still_checked(field: str, value: object, param: str) -> None:
    assert refuse(**{field: value}).param == param


def test_small_knobs_that_fit_are_read() -> None:
    assert decode(modalities=["text"], logit_bias={"5": 1.5}).ignored == ("logit_bias",)
    assert decode(modalities=None, logit_bias={}, stop=None).ignored == ()
    assert decode(stop="a").limits.stop == ("a",)
    assert decode(stop=["a", "b"]).limits.stop == ("a", "b")
