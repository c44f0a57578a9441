"""What the CLI answers to our requests.

What may live here: reading those answers. What follows from them is ``session``'s.
"""

from typing import TypeVar

import msgspec

from ocpd.claude.wire import (
    BadFrame,
    ControlAnswer,
    InitializeAnswer,
    InterruptAnswer,
    OfferedModel,
    RewindAnswer,
    ServersAnswer,
)

T = TypeVar("T")

_LATEST_IN_SECONDS = 1e11
"""The CLI's types do not say whether a moment is in seconds or in milliseconds: this is in the year
5138, or in 1973."""

_initialize: msgspec.json.Decoder[InitializeAnswer] = msgspec.json.Decoder(InitializeAnswer)
_interrupt: msgspec.json.Decoder[InterruptAnswer] = msgspec.json.Decoder(InterruptAnswer)
_servers: msgspec.json.Decoder[ServersAnswer] = msgspec.json.Decoder(ServersAnswer)
_rewind: msgspec.json.Decoder[RewindAnswer] = msgspec.json.Decoder(RewindAnswer)


def read_offered(answer: ControlAnswer) -> tuple[OfferedModel, ...]:
    """Return the models that the CLI offers. Raises BadFrame."""
    told = _read(answer, _initialize)
    return () if told is None else tuple(told.models)


def read_cancelled(answer: ControlAnswer) -> list[str]:
    """Return the messages that an interrupt found still queued. Raises BadFrame."""
    told = _read(answer, _interrupt)
    return [] if told is None else told.cancelled


def read_failed_servers(answer: ControlAnswer) -> dict[str, str]:
    """Return the MCP servers that did not start, with the CLI's words. Raises BadFrame."""
    told = _read(answer, _servers)
    return {} if told is None else told.errors


def is_taken_back(answer: ControlAnswer, *, keeps: bool | None) -> bool:
    """Whether a rewind did what it should; ``keeps``: something was to stay before it (None: more
    rewinds are to come).

    An assistant message that nothing precedes can never be taken back, and would stand in
    somebody's next request. And where something is kept, an answer must be left.
    """
    if answer.subtype != "success":
        return False
    try:
        told = _rewind.decode(answer.response)
    except msgspec.DecodeError:
        return False
    if keeps is None:
        return told.rewound
    return told.rewound and keeps == (told.precedingAssistantUuid is not None)


def read_moment(told: float | str | None) -> float | None:
    """Return a moment of the CLI's in epoch seconds; None if it told none, or no number."""
    if not isinstance(told, int | float):
        return None
    return told / 1000 if told > _LATEST_IN_SECONDS else float(told)


def _read(answer: ControlAnswer, decoder: msgspec.json.Decoder[T]) -> T | None:
    if not bytes(answer.response):
        return None
    try:
        return decoder.decode(answer.response)
    except msgspec.DecodeError as error:
        raise BadFrame(str(error)) from None
