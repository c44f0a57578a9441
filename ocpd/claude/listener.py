"""One turn's frames read as events.

What may live here: what the frames of a turn mean, from the first upstream event to the
``result``. Which frames belong to the turn, and what is written, is ``session``'s.

Rules that the CLI's behaviour forces (each seen on 2.1.330):

* Text is what the stream's deltas say. An ``assistant`` frame repeats it, and is read only when
  its message was never streamed: after stream failures the CLI asks once without streaming.
* A synthetic ``assistant`` message is an error's text, never the model's.
* When an upstream stream breaks in the middle the CLI closes the message without a stop reason
  and starts again from nothing. If text of it is already with the caller, the turn has failed.
* After a length stop or a refusal the CLI goes on by itself with a request of its own: the answer
  ends at that ``message_delta``, and the process must be killed.
"""

import msgspec

from ocpd.claude.faults import Fault, explain_fault
from ocpd.claude.wire import (
    AssistantFrame,
    RateLimitInfo,
    ResultFrame,
    StreamEvent,
    SystemFrame,
    WireUsage,
)
from ocpd.errors import Upstream
from ocpd.turn.events import (
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

CUTTING = frozenset({StopReason.MAX_TOKENS, StopReason.REFUSAL, StopReason.CONTEXT_EXCEEDED})
"""Stop reasons after which the CLI would start another upstream request by itself."""

SYNTHETIC = "<synthetic>"


class Listener:
    """Reads the frames of one turn. ``over`` once ``Finished`` or ``Failed`` was said; ``cut``
    when the process must be killed rather than stopped."""

    def __init__(self, model: str, sign_in: str) -> None:
        self._model = model
        self._sign_in = sign_in
        self.over = False
        self.cut = False
        self.last_retry: Fault | None = None
        self._started = False
        self._spoke = False
        self._streamed: set[str] = set()
        self._whole: set[str] = set()
        self._stop: StopReason | None = None
        self._message_usage = WireUsage()
        self._earlier = Usage()
        self._word: str | None = None

    def on_stream(self, event: StreamEvent) -> list[Event]:
        """Read one upstream event."""
        if self.over:
            return []
        match event.type:
            case "content_block_delta" if event.delta is not None:
                if event.delta.type == "text_delta" and event.delta.text:
                    self._spoke = True
                    return [TextDelta(event.delta.text)]
                if event.delta.type == "thinking_delta" and event.delta.thinking:
                    self._spoke = True
                    return [ReasoningDelta(event.delta.thinking)]
            case "message_start" if event.message is not None:
                self._streamed.add(event.message.id)
                self._earlier = self._usage()
                self._message_usage = event.message.usage or WireUsage()
                self._stop = None
                return self._start(event.message.model)
            case "message_delta" if event.delta is not None:
                self._message_usage = _newer(self._message_usage, event.usage)
                return self._stopped(event.delta.stop_reason)
            case "message_stop" if self._stop is None:
                return self._broke_off()
            case _:
                pass
        return []

    def on_assistant(self, frame: AssistantFrame) -> list[Event]:
        """Read a whole block, which matters only if it was not streamed or is no answer."""
        message = frame.message
        if frame.error is not None or message.model == SYNTHETIC:
            self._word = frame.error or self._word
            return []
        if self.over or message.id in self._streamed or isinstance(message.content, str):
            return []
        if message.id in self._whole:
            events: list[Event] = []
        elif self._spoke:
            return self._broke_off()
        else:
            self._whole.add(message.id)
            events = self._start(message.model)
        self._message_usage = message.usage or self._message_usage
        for block in message.content:
            if block.type == "text" and block.text:
                self._spoke = True
                events.append(TextDelta(block.text))
        return events

    def on_system(self, frame: SystemFrame) -> list[Event]:
        """Remember what a retry was about: a time-out during retries answers with it."""
        if frame.subtype == "api_retry":
            self.last_retry = Fault(
                status=frame.error_status,
                word=frame.error,
                terminal_reason="api_retry",
                text=f"the upstream answers {frame.error_status or 'nothing'} ({frame.error})",
            )
        return []

    def on_result(self, frame: ResultFrame, limit: RateLimitInfo | None) -> list[Event]:
        """Read the end of the turn. ``limit`` is the newest word on the plan."""
        if self.over:
            return [] if self.cut else [self._settled(frame)]
        if frame.is_error:
            return self._fail(frame, limit)
        if not self._started:
            empty = msgspec.structs.replace(frame, result="the CLI ended without an answer")
            return self._fail(empty, limit)
        if frame.usage is not None:
            self._earlier, self._message_usage = Usage(), frame.usage
        self.over = True
        reason = _stop_reason(frame.stop_reason) or StopReason.END_TURN
        return [Finished(reason, self._usage()), self._settled(frame)]

    def time_out(self, error: Upstream) -> Event:
        """End the turn from outside: a time limit was reached. If the CLI was between retries,
        the upstream's own failure is the better answer."""
        self.over = True
        if self.last_retry is not None and not self._spoke and self.last_retry.status is not None:
            return Failed(explain_fault(self.last_retry, model=self._model, sign_in=self._sign_in))
        return Failed(error)

    def _start(self, model: str) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started(model or self._model)]

    def _stopped(self, raw: str | None) -> list[Event]:
        if raw is None:
            return []
        self._stop = _stop_reason(raw) or StopReason.END_TURN
        # A call to a tool that nobody offered: the CLI answers it itself and the turn goes on.
        if self._stop is StopReason.TOOL_USE:
            return []
        self.over = True
        self.cut = self._stop in CUTTING
        return [Finished(self._stop, self._usage())]

    def _broke_off(self) -> list[Event]:
        if not self._spoke:
            return []
        self.over = self.cut = True
        return [
            Failed(Upstream("the upstream broke off in the middle of the answer", code="broke_off"))
        ]

    def _fail(self, frame: ResultFrame, limit: RateLimitInfo | None) -> list[Event]:
        self.over = True
        fault = Fault(
            status=frame.api_error_status,
            kind=frame.api_error_type,
            word=self._word,
            terminal_reason=frame.terminal_reason,
            text=frame.result or "; ".join(frame.errors),
            resets_at=limit.resetsAt if limit is not None else None,
        )
        return [Failed(explain_fault(fault, model=self._model, sign_in=self._sign_in))]

    def _settled(self, frame: ResultFrame) -> Settled:
        return Settled(self._usage(), frame.total_cost_usd)

    def _usage(self) -> Usage:
        now, before = self._message_usage, self._earlier
        details = now.output_tokens_details
        thinking = (details.thinking_tokens or 0) if details is not None else 0
        return Usage(
            input_tokens=before.input_tokens + (now.input_tokens or 0),
            cache_read_tokens=before.cache_read_tokens + (now.cache_read_input_tokens or 0),
            cache_write_tokens=before.cache_write_tokens + (now.cache_creation_input_tokens or 0),
            output_tokens=before.output_tokens + (now.output_tokens or 0),
            reasoning_tokens=before.reasoning_tokens + thinking,
        )


def _stop_reason(raw: str | None) -> StopReason | None:
    try:
        return StopReason(raw)
    except ValueError:
        return None


def _newer(old: WireUsage, new: WireUsage | None) -> WireUsage:
    """The counts of message_delta are cumulative and win where they are given."""
    if new is None:
        return old
    given = {k: v for k, v in msgspec.structs.asdict(new).items() if v is not None}
    return msgspec.structs.replace(old, **given)
