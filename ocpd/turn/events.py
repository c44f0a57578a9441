"""What can happen while a turn runs: a closed union.

What may live here: records of things that happened, named in the past tense or as nouns. Whoever
matches over ``Event`` ends in ``assert_never``, so that a new event breaks the build at every
place that cares.

The order is a law: ``Started`` once, then deltas, then ``Finished`` or ``Failed`` once, then at
most one ``Settled``. ``Failed`` may come at any time before ``Finished``.
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


class Started(msgspec.Struct, frozen=True):
    """The upstream accepted the turn; nothing was said yet."""

    model: str


class TextDelta(msgspec.Struct, frozen=True):
    """A piece of the answer, as it came."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """A piece of thinking text, as it came."""

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


Event = Started | TextDelta | ReasoningDelta | Finished | Settled | Failed
