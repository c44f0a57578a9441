"""What can happen while a turn runs: a closed union.

What may live here: records of things that happened, named in the past tense or as nouns. Whoever
matches over ``Event`` ends in ``assert_never``, so that a new event breaks the build at every
place that cares.

The order is a law: ``Started`` once, then deltas, then ``Finished`` or ``Failed`` once, then at
most one ``Settled``. ``Failed`` may come at any time before ``Finished``. The pieces of a call come
after its beginning and before the next call's; together they are its arguments.
"""

import enum

import msgspec

from ocpd.errors import OcpdError


class StopReason(enum.Enum):
    """Why the model stopped, in the Messages API's words."""

    END_TURN = "end_turn"
    STOP_SEQUENCE = "stop_sequence"
    MAX_TOKENS = "max_tokens"
    CONTEXT_EXCEEDED = "model_context_window_exceeded"
    TOOL_USE = "tool_use"
    REFUSAL = "refusal"


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the upstream counted them. ``input_tokens`` excludes both kinds of cached ones."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All input tokens, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    def plus(self, other: "Usage") -> "Usage":
        """Return both together."""
        return self._combine(other, 1)

    def minus(self, other: "Usage") -> "Usage":
        """Return what is left without ``other``; no count goes below 0."""
        return self._combine(other, -1)

    def _combine(self, other: "Usage", sign: int) -> "Usage":
        return Usage(
            max(0, self.input_tokens + sign * other.input_tokens),
            max(0, self.cache_read_tokens + sign * other.cache_read_tokens),
            max(0, self.cache_write_tokens + sign * other.cache_write_tokens),
            max(0, self.output_tokens + sign * other.output_tokens),
            max(0, self.reasoning_tokens + sign * other.reasoning_tokens),
        )


class Started(msgspec.Struct, frozen=True):
    """The upstream accepted the turn; nothing was said yet."""

    model: str


class TextDelta(msgspec.Struct, frozen=True):
    """A piece of the answer, as it came."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """A piece of thinking text, as it came."""

    text: str


class CallBegun(msgspec.Struct, frozen=True):
    """The model calls a tool of the caller's. ``index`` counts the calls of one answer from 0,
    ``id`` is the upstream's."""

    index: int
    id: str
    name: str


class CallDelta(msgspec.Struct, frozen=True):
    """A piece of the arguments of call ``index``, JSON text as it came."""

    index: int
    fragment: str


class Refused(msgspec.Struct, frozen=True):
    """The answer did not have the form that was asked for, and is not told; ``text`` says why, or
    is what the model said instead. ``Finished`` comes next."""

    text: str


class Finished(msgspec.Struct, frozen=True):
    """The answer is complete for the caller."""

    reason: StopReason
    usage: Usage


class Settled(msgspec.Struct, frozen=True):
    """The CLI closed its books on the turn. ``cost_usd`` is what the CLI reports for it."""

    usage: Usage
    cost_usd: float


class Failed(msgspec.Struct, frozen=True):
    """The turn ended without an answer, or in the middle of one."""

    error: OcpdError


Event = (
    Started
    | TextDelta
    | ReasoningDelta
    | CallBegun
    | CallDelta
    | Refused
    | Finished
    | Settled
    | Failed
)
