"""Promise: an answer that is told again is the one that was told; only successes are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.errors import Upstream
from ocpd.turn.events import (
    CallBegun,
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Refused,
    Settled,
    Started,
    StopReason,
    TextDelta,
    Usage,
)
from ocpd.turn.recording import (
    BATCH_PIECES,
    PIECE_CHARS,
    Recorder,
    Recording,
    decode_recording,
    encode_recording,
)

USAGE = Usage(3, 1, 2, 5, 4)
END = Finished(StopReason.END_TURN, USAGE)


def record(*events: Event) -> Recording:
    recorder = Recorder()
    for event in events:
        recorder.hear([event])
    assert isinstance(recorder.ending, Recording)
    return recorder.ending


def join(events: list[Event]) -> list[tuple[str, str]]:
    """What was said and thought, in order, whatever the pieces."""
    found: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta):
            name = type(event).__name__
            before = found.pop()[1] if found and found[-1][0] == name else ""
            found.append((name, before + event.text))
    return found


def replayed(recording: Recording) -> list[Event]:
    return [event for batch in recording.replay() for event in batch]


DELTAS = st.lists(
    st.builds(TextDelta, st.text(min_size=1, max_size=300))
    | st.builds(ReasoningDelta, st.text(min_size=1, max_size=300))
)


@given(DELTAS)
def test_what_is_told_again_is_what_was_said(deltas: list[Event]) -> None:
    told = replayed(record(Started("opus"), *deltas, END, Settled(USAGE, 1.0)))
    assert join(told) == join(deltas)
    assert told[0] == Started("opus")
    assert told[-1] == END
    pieces = [event.text for event in told if isinstance(event, TextDelta | ReasoningDelta)]
    assert all(0 < len(piece) <= PIECE_CHARS for piece in pieces)


@given(DELTAS)
def test_what_was_kept_is_read_as_it_was(deltas: list[Event]) -> None:
    recording = record(Started("opus"), *deltas, END)
    again = decode_recording(encode_recording(recording))
    assert again == (recording if recording.is_good else None)


def test_a_long_answer_goes_out_in_batches_of_whole_characters() -> None:
    text = "\N{GRINNING FACE}" * (PIECE_CHARS * BATCH_PIECES * 2 + 1)
    batches = list(record(Started("opus"), TextDelta(text), END).replay())
    assert len(batches) == 3
    assert max(map(len, batches)) <= BATCH_PIECES + 1
    assert join([event for batch in batches for event in batch]) == [("TextDelta", text)]


@pytest.mark.parametrize(
    ("events", "good"),
    [
        ((TextDelta("Hello"), END), True),
        ((TextDelta("Hello"), Finished(StopReason.STOP_SEQUENCE, USAGE)), True),
        ((TextDelta("Hello"), Finished(StopReason.MAX_TOKENS, USAGE)), False),
        ((TextDelta("Hello"), Finished(StopReason.CONTEXT_EXCEEDED, USAGE)), False),
        ((TextDelta("Hello"), Finished(StopReason.REFUSAL, USAGE)), False),
        ((TextDelta("Hello"), Finished(StopReason.TOOL_USE, USAGE)), False),
        ((Refused("no form"), END), False),
        ((END,), False),
        ((TextDelta(" \n"), END), False),
        ((ReasoningDelta("hm"), END), False),
        ((ReasoningDelta("hm"), TextDelta("Hello"), END), True),
    ],
)
def test_only_a_whole_success_is_kept(events: tuple[Event, ...], good: bool) -> None:
    recording = record(Started("opus"), *events)
    assert recording.is_good is good
    assert (decode_recording(encode_recording(recording)) is not None) is good


def test_a_refused_form_is_told_again_as_such() -> None:
    recording = record(Started("opus"), Refused("no form"), END)
    assert replayed(recording) == [Started("opus"), Refused("no form"), END]


def test_a_failure_is_an_ending_too() -> None:
    failed = Failed(Upstream("it broke"))
    recorder = Recorder()
    recorder.hear([Started("opus"), TextDelta("Hel")])
    assert recorder.ending is None
    recorder.hear([failed])
    assert recorder.ending is failed


def test_an_answer_with_calls_is_no_recording() -> None:
    recorder = Recorder()
    recorder.hear([Started("opus"), CallBegun(0, "1", "lookup"), END])
    assert recorder.ending is None


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"model":"opus"}', b"\xff", b"[" * 5000])
def test_what_cannot_be_read_is_nothing(value: bytes) -> None:
    assert decode_recording(value) is None
