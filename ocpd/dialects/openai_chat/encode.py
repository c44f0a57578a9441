"""Events to the bytes of a stream, or of one answer; failures to an error body.

What may live here: the two encoders and the structs they write. The structs are for writing only;
what is read is in ``wire``.
"""

from typing import Literal, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from ocpd.dialects.sse import DONE, data_frame, escape_breaks
from ocpd.errors import OcpdError, QuotaFacts
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
from ocpd.turn.request import Turn

FinishReason = Literal["stop", "length", "tool_calls", "function_call", "content_filter"]

FINISH_REASONS: dict[StopReason, FinishReason] = {
    StopReason.END_TURN: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.MAX_TOKENS: "length",
    StopReason.CONTEXT_EXCEEDED: "length",
    StopReason.TOOL_USE: "tool_calls",
    StopReason.REFUSAL: "content_filter",
}

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
}


class PromptDetails(msgspec.Struct):
    """``prompt_tokens_details``."""

    cached_tokens: int


class CompletionDetails(msgspec.Struct):
    """``completion_tokens_details``."""

    reasoning_tokens: int


class WireUsage(msgspec.Struct):
    """``usage``; ``prompt_tokens`` includes the cached ones."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class CalledFunction(msgspec.Struct):
    """``function`` of a call, or the older ``function_call``."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, kw_only=True):
    """One element of ``tool_calls``."""

    id: str
    type: str = "function"
    function: CalledFunction


class AnswerMessage(msgspec.Struct, kw_only=True):
    """``message`` of a choice. ``reasoning_content`` is only there if the model thought aloud,
    ``content`` null if it called and said nothing."""

    role: str = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[ToolCall] | msgspec.UnsetType = msgspec.UNSET
    function_call: CalledFunction | msgspec.UnsetType = msgspec.UNSET


class Choice(msgspec.Struct, kw_only=True):
    """The one element of ``choices``."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: FinishReason


class Completion(msgspec.Struct, kw_only=True):
    """A whole answer."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice]
    usage: WireUsage


class ErrorDetail(msgspec.Struct):
    """What is inside ``error``."""

    message: str
    type: str
    param: str | None
    code: str | None
    quota: QuotaFacts | UnsetType = UNSET


class ErrorBody(msgspec.Struct):
    """The body of a refusal, and the last frame of a stream that broke."""

    error: ErrorDetail


_encode = msgspec.json.Encoder().encode


def encode_refusal(error: OcpdError) -> bytes:
    """Spell ``error`` as the body that goes with its status."""
    kind = error.kind or _ERROR_TYPES.get(error.status, "api_error")
    quota = UNSET if error.quota is None else error.quota
    return _encode(ErrorBody(ErrorDetail(error.message, kind, error.param, error.code, quota)))


def count_tokens(usage: Usage) -> WireUsage:
    """Put what the upstream counted into this API's words."""
    return WireUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.prompt_tokens + usage.output_tokens,
        prompt_tokens_details=PromptDetails(usage.cache_read_tokens),
        completion_tokens_details=CompletionDetails(usage.reasoning_tokens),
    )


def _spell_reason(reason: StopReason, turn: Turn) -> FinishReason:
    if reason is StopReason.TOOL_USE and turn.calls_as_functions:
        return "function_call"
    return FINISH_REASONS[reason]


class StreamEncoder:
    """One chunk for each event, as server-sent events.

    A broken stream ends with an error frame and without a finish chunk: a made-up "stop" would
    pass half an answer off as a whole one.
    """

    content_type = "text/event-stream"

    def __init__(self, turn: Turn, created: int) -> None:
        # What never changes is encoded once: a delta costs one string and a concatenation.
        self._head = (
            b'data: {"id":'
            + _encode(f"chatcmpl-{turn.id}")
            + b',"object":"chat.completion.chunk","created":%d,"model":' % created
            + _encode(turn.model)
            + b',"choices":['
        )
        end = b',"usage":null}\n\n' if turn.include_usage else b"}\n\n"
        self._turn = turn
        self._choice = self._head + b'{"index":0,"delta":{'
        self._heads: dict[type[Event], bytes] = {
            TextDelta: self._choice + b'"content":',
            ReasoningDelta: self._choice + b'"reasoning_content":',
            Refused: self._choice + b'"refusal":',
        }
        self._last = b'},"finish_reason":%b}]' + end
        self._more = self._last % b"null"
        # What changes.
        self._started = False
        self._ended = False

    def feed(self, event: Event) -> bytes:
        """Return the frames for ``event``. After ``Finished`` or ``Failed`` all is empty."""
        if self._ended:
            return b""
        match event:
            case TextDelta(text) | ReasoningDelta(text) | Refused(text):
                said = escape_breaks(_encode(text))
                return self._start() + self._heads[type(event)] + said + self._more
            case CallBegun():
                return self._start() + self._begin_call(event)
            case CallDelta(index, fragment):
                return self._choice + self._continue_call(index, fragment) + self._more
            case Started():
                return self._start()
            case Finished(reason, usage):
                return self._start() + self._finish(reason, usage)
            case Failed(error):
                self._ended = True
                return data_frame(encode_refusal(error)) + DONE
            case Settled():
                return b""
            case _:
                assert_never(event)

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        return self._choice + b'"role":"assistant","content":""' + self._more

    def _begin_call(self, call: CallBegun) -> bytes:
        function = CalledFunction(call.name, "")
        if self._turn.calls_as_functions:
            return self._choice + b'"function_call":' + _encode(function) + self._more
        told = _encode(ToolCall(id=call.id, function=function))
        # The index is no part of a whole answer's calls.
        delta = b'"tool_calls":[{"index":%d,%b]' % (call.index, told[1:])
        return self._choice + delta + self._more

    def _continue_call(self, index: int, fragment: str) -> bytes:
        text = escape_breaks(_encode(fragment))
        if self._turn.calls_as_functions:
            return b'"function_call":{"arguments":%b}' % text
        return b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (index, text)

    def _finish(self, reason: StopReason, usage: Usage) -> bytes:
        self._ended = True
        frames = self._choice + self._last % _encode(_spell_reason(reason, self._turn))
        if self._turn.include_usage:
            frames += self._head + b'],"usage":' + _encode(count_tokens(usage)) + b"}\n\n"
        return frames + DONE


class FoldingEncoder:
    """Nothing until the end, then the whole answer, or the error body."""

    content_type = "application/json"

    def __init__(self, turn: Turn, created: int) -> None:
        self._turn = turn
        self._created = created
        self._texts: list[str] = []
        self._reasonings: list[str] = []
        self._refusal: str | None = None
        self._calls: list[tuple[CallBegun, list[str]]] = []
        self._ended = False

    def feed(self, event: Event) -> bytes:
        """Return b"" until ``Finished`` or ``Failed``, which bring the body."""
        if self._ended:
            return b""
        match event:
            case TextDelta(text):
                self._texts.append(text)
            case ReasoningDelta(text):
                self._reasonings.append(text)
            case Refused(text):
                self._refusal = text
            case CallBegun():
                self._calls.append((event, []))
            case CallDelta(fragment=fragment):
                self._calls[-1][1].append(fragment)
            case Finished(reason, usage):
                self._ended = True
                return _encode(self._fold(reason, usage))
            case Failed(error):
                self._ended = True
                return encode_refusal(error)
            case Started() | Settled():
                pass
            case _:
                assert_never(event)
        return b""

    def _fold(self, reason: StopReason, usage: Usage) -> Completion:
        calls = [
            ToolCall(id=call.id, function=CalledFunction(call.name, "".join(pieces)))
            for call, pieces in self._calls
        ]
        text = "".join(self._texts)
        message = AnswerMessage(
            content=None if (calls and not text) or self._refusal is not None else text,
            refusal=self._refusal,
            reasoning_content="".join(self._reasonings) or msgspec.UNSET,
        )
        if calls and self._turn.calls_as_functions:
            message.function_call = calls[0].function
        elif calls:
            message.tool_calls = calls
        return Completion(
            id=f"chatcmpl-{self._turn.id}",
            created=self._created,
            model=self._turn.model,
            choices=(Choice(message=message, finish_reason=_spell_reason(reason, self._turn)),),
            usage=count_tokens(usage),
        )
