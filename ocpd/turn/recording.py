"""A whole answer, kept so that it can be told once more.

What may live here: from the events of a turn to the record, whether it is good enough to be kept,
and back to events. Who keeps it, and for how long, is not decided here.
"""

from collections.abc import Iterator
from typing import assert_never

import msgspec

from ocpd.turn.blank import is_blank
from ocpd.turn.events import (
    CallBegun,
    CallDelta,
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

PIECE_CHARS = 80
"""Length of the pieces in which an answer is told again. Whole characters: half of one is none."""

BATCH_PIECES = 64
"""How many of them go out at once: a slow reader holds up the rest."""

GOOD = frozenset({StopReason.END_TURN, StopReason.STOP_SEQUENCE})


class Passage(msgspec.Struct, frozen=True, array_like=True):
    """What was said in one go, or thought."""

    text: str
    is_thought: bool = False


class Recording(msgspec.Struct, frozen=True):
    """One complete answer. ``refused`` is there if it is told in place of the text."""

    model: str
    passages: tuple[Passage, ...]
    reason: StopReason
    usage: Usage
    refused: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether this is a success, whole and not empty: worth keeping."""
        said = "".join(passage.text for passage in self.passages if not passage.is_thought)
        return self.reason in GOOD and self.refused is None and not is_blank(said)

    def replay(self) -> Iterator[list[Event]]:
        """Return the events again, in batches; the last one holds ``Finished``."""
        batch: list[Event] = [Started(self.model)]
        for passage in self.passages:
            kind = ReasoningDelta if passage.is_thought else TextDelta
            for start in range(0, len(passage.text), PIECE_CHARS):
                batch.append(kind(passage.text[start : start + PIECE_CHARS]))
                if len(batch) >= BATCH_PIECES:
                    yield batch
                    batch = []
        if self.refused is not None:
            batch.append(Refused(self.refused))
        yield [*batch, Finished(self.reason, self.usage)]


_DECODER: msgspec.json.Decoder[Recording] = msgspec.json.Decoder(Recording)
_encode = msgspec.json.Encoder().encode


def encode_recording(recording: Recording) -> bytes:
    """Return the bytes to keep."""
    return _encode(recording)


def decode_recording(value: bytes) -> Recording | None:
    """Return what was kept; None if it cannot be read, or is not worth telling."""
    try:
        recording = _DECODER.decode(value)
    except (ValueError, RecursionError):
        return None
    return recording if recording.is_good else None


class Recorder:
    """Hears the events of one turn. ``ending`` is there once it is over: the whole answer, or the
    failure; it stays None for answers that call tools, which cannot be told again."""

    def __init__(self) -> None:
        self.ending: Recording | Failed | None = None
        self._model = ""
        self._runs: list[tuple[bool, list[str]]] = []
        self._refused: str | None = None
        self._calls = False

    def hear(self, batch: list[Event]) -> None:
        """Take in what happened."""
        for event in batch:
            match event:
                case Started(model=model):
                    self._model = model
                case TextDelta(text=text):
                    self._add(text, is_thought=False)
                case ReasoningDelta(text=text):
                    self._add(text, is_thought=True)
                case Refused(text=text):
                    self._refused = text
                case Finished(reason=reason, usage=usage) if not self._calls:
                    passages = (Passage("".join(told), thought) for thought, told in self._runs)
                    self.ending = Recording(
                        self._model, tuple(passages), reason, usage, self._refused
                    )
                case Failed():
                    self.ending = event
                case CallBegun():
                    self._calls = True
                case CallDelta() | Settled() | Finished():
                    pass
                case _:
                    assert_never(event)

    def _add(self, text: str, *, is_thought: bool) -> None:
        if not self._runs or self._runs[-1][0] is not is_thought:
            self._runs.append((is_thought, []))
        self._runs[-1][1].append(text)
