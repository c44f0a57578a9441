"""An answer, once it is over, is the message that the caller will send back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.errors import Upstream
from ocpd.turn.answer import Answer
from ocpd.turn.events import (
    CallBegun,
    CallDelta,
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Settled,
    Started,
    StopReason,
    TextDelta,
    Usage,
)
from ocpd.turn.request import Message, Role, Text, ToolUse
from ocpd.turn.transcript import chain_of

QUIET: list[Event] = [
    Started("m"),
    ReasoningDelta("hm"),
    Finished(StopReason.END_TURN, Usage()),
    Settled(Usage(), 0.1),
    Failed(Upstream("broke")),
]


def answer(*events: Event) -> Message:
    heard = Answer()
    for event in events:
        heard.hear(event)
    return heard.message()


def call(index: int, name: str, *pieces: str) -> list[Event]:
    """A call and its arguments in pieces."""
    return [CallBegun(index, name, "lookup"), *(CallDelta(index, piece) for piece in pieces)]


def test_pieces_of_text_are_one_text() -> None:
    assert answer(TextDelta("Hel"), TextDelta("lo\n")).parts == (Text("Hello\n"),)


def test_it_is_the_models() -> None:
    assert answer() == Message(Role.ASSISTANT, ())


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\ufeff"])
def test_a_text_that_says_nothing_is_none(text: str) -> None:
    assert answer(TextDelta(text), *call(0, "toolu_1", "{}")).parts == (
        ToolUse("toolu_1", "lookup", "{}"),
    )


def test_pieces_of_arguments_go_to_their_call() -> None:
    said = answer(*call(0, "toolu_1", '{"a"', ":1}"), *call(1, "toolu_2", "{}"))
    assert said.parts == (
        ToolUse("toolu_1", "lookup", '{"a":1}'),
        ToolUse("toolu_2", "lookup", "{}"),
    )


def test_a_call_whose_arguments_never_came_has_none() -> None:
    assert answer(*call(0, "toolu_1")).parts == (ToolUse("toolu_1", "lookup", ""),)


def test_the_text_comes_before_the_calls_wherever_it_stood() -> None:
    """That is how a client has it: a content, and calls beside it."""
    said = answer(TextDelta("Let me "), *call(0, "toolu_1", "{}"), TextDelta("look."))
    assert said.parts == (Text("Let me look."), ToolUse("toolu_1", "lookup", "{}"))


@pytest.mark.parametrize("event", QUIET)
def test_what_says_nothing_is_of_no_effect(event: Event) -> None:
    said = [TextDelta("Hi"), *call(0, "toolu_1", "{}")]
    assert answer(event, *said) == answer(*said, event) == answer(*said)


def test_it_can_be_asked_before_it_is_over() -> None:
    heard = Answer()
    heard.hear(TextDelta("Hel"))
    assert heard.message().parts == (Text("Hel"),)
    heard.hear(TextDelta("lo"))
    assert heard.message().parts == (Text("Hello"),)


def test_a_client_that_sends_it_back_says_the_same() -> None:
    """With another dialect's id, no arguments for an empty object, and its thinking left out."""
    said = answer(ReasoningDelta("hm"), TextDelta("Look:"), *call(0, "toolu_a1", "{}"))
    back = Message(Role.ASSISTANT, (Text("Look:"), ToolUse("call_a1", "lookup", "")))
    assert chain_of([said])[-1] == chain_of([back])[-1]


PIECES = st.lists(st.text(max_size=5), max_size=5)


@given(PIECES, st.lists(PIECES, max_size=3), st.lists(st.sampled_from(QUIET), max_size=3))
def test_cuts_do_not_matter(texts: list[str], told: list[list[str]], quiet: list[Event]) -> None:
    cut: list[Event] = [TextDelta(piece) for piece in texts]
    whole: list[Event] = [TextDelta("".join(texts))]
    for index, pieces in enumerate(told):
        cut += [*call(index, f"toolu_{index}", *pieces), *quiet]
        whole += call(index, f"toolu_{index}", "".join(pieces))
    assert answer(*cut) == answer(*whole)
