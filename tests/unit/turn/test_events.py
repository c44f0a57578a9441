"""Events are records that compare by value and cannot be changed."""

import typing

import msgspec
import pytest

from ocpd.turn.events import Event, Finished, Started, StopReason, TextDelta, Usage

EVENTS: tuple[type[msgspec.Struct], ...] = typing.get_args(Event)


def test_all_input_counts_as_prompt_cached_or_not() -> None:
    assert Usage(input_tokens=1, cache_read_tokens=20, cache_write_tokens=300).prompt_tokens == 321
    assert Usage(output_tokens=5, reasoning_tokens=7).prompt_tokens == 0


def test_usage_counts_nothing_by_itself() -> None:
    assert Usage() == Usage(0, 0, 0, 0, 0)


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_cannot_be_changed(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


def test_events_compare_by_what_happened() -> None:
    assert TextDelta("a") == TextDelta("a")
    assert TextDelta("a") != TextDelta("b")
    assert TextDelta("a") != Started("a")
    assert Finished(StopReason.REFUSAL, Usage()) != Finished(StopReason.END_TURN, Usage())


def test_stop_reasons_are_spelled_as_upstream() -> None:
    assert {reason.value for reason in StopReason} == {
        "end_turn",
        "stop_sequence",
        "max_tokens",
        "model_context_window_exceeded",
        "tool_use",
        "refusal",
    }
