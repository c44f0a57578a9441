"""One turn's frames read as events.

What may live here: what the frames of a turn mean, from the first upstream event to the
``result``. Which frames belong to the turn, and what is written, is ``session``'s.

Rules that the CLI's behaviour forces (each seen on 2.1.330):

* Text is what the stream's deltas say. An ``assistant`` frame repeats it, and is read only when
  its message was never streamed: after stream failures the CLI asks once without streaming.
* A synthetic ``assistant`` message is an error's text, never the model's.
* When an upstream stream breaks in the middle the CLI closes the message without a stop reason
  and starts again from nothing. If text of it is already with the caller, the turn has failed.
* After a length stop, a refusal or an answer without visible text the CLI goes on by itself with
  a request of its own: the answer ends before it, and the process must be killed. A streamed
  answer ends at its ``message_delta``; one that was not streamed may have more frames to come, and
  ends when the CLI says that it asks again.
* An answer that calls the caller's tools ends there: the CLI waits for us. A call that it answers
  by itself, because nobody offered the tool or the arguments are no JSON, is followed by a request.
"""

import msgspec

from ocpd.claude.calling import Calling
from ocpd.claude.faults import Fault, explain_fault
from ocpd.claude.form import Form, pieces_of
from ocpd.claude.wire import (
    AssistantFrame,
    Block,
    RateLimitInfo,
    ResultFrame,
    StreamEvent,
    SystemFrame,
    WireMessage,
    WireUsage,
)
from ocpd.errors import Upstream
from ocpd.turn.blank import is_blank
from ocpd.turn.events import (
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
from ocpd.turn.schema import Accepted, find_checker
from ocpd.turn.stops import StopFilter

CUTTING = frozenset({StopReason.MAX_TOKENS, StopReason.REFUSAL, StopReason.CONTEXT_EXCEEDED})
"""Stop reasons after which the CLI would start another upstream request by itself."""

SYNTHETIC = "<synthetic>"

MOST_STRAYS = 5
"""How many messages of an answer may do nothing but call what nobody offered."""

_GAVE_UP = "error_max_structured_output_retries"


class Listener:
    """Reads the frames of one turn. ``over`` once ``Finished`` or ``Failed`` was said, or nobody
    listens any more; ``cut`` when the process must be killed rather than stopped; ``is_full`` when
    it should stop, because the caller has all he wanted. ``told`` is what was used for this turn of
    the CLI's and told before, in answers that ended in calls. ``form`` is set if the answer must
    have one."""

    def __init__(self, turn: Turn, sign_in: str, told: Usage | None = None) -> None:
        self._tells_reasoning = turn.tells_reasoning
        self._model = turn.model
        self._sign_in = sign_in
        self._told = told or Usage()
        self._filter = StopFilter(turn.limits.stop)
        self._calling = Calling(turn)
        checker = find_checker(turn.format)
        self.form = None if checker is None else Form(checker)
        self.over = False
        self.cut = False
        self.is_full = False
        self.awaits_results = False
        self._is_complete = False
        self._strays = 0
        self.last_retry: Fault | None = None
        self._dropped = False
        self._started = False
        self._spoke = False
        self._streamed: set[str] = set()
        self._whole: set[str] = set()
        self._earlier = Usage()
        self._chars = 0
        self._word: str | None = None
        # Of the newest message.
        self._stop: StopReason | None = None
        self._asks_again = False
        self._said = False
        self._is_visible = False
        self._message_usage = WireUsage()

    @property
    def went_astray(self) -> bool:
        """Whether the process holds what the caller never saw: a call that nobody could have made,
        or an answer that would not do."""
        return self._calling.has_stray or (self.form is not None and self.form.was_rejected)

    @property
    def is_at_tools(self) -> bool:
        """Whether the CLI runs tools, and will go on with what they answer."""
        return self._stop is StopReason.TOOL_USE and not self.over and not self._asks_again

    @property
    def served(self) -> frozenset[str]:
        """The names of all tools that the model gets, those that run beside the CLI among them."""
        return self._calling.served

    def note_served(self, names: frozenset[str]) -> None:
        """The CLI says which tools the model gets."""
        self._calling.served = names

    @property
    def called(self) -> frozenset[str]:
        """The ids of the calls that the caller was told of."""
        return frozenset(self._calling.ids)

    @property
    def used(self) -> Usage:
        """What was used for this answer so far."""
        return self._usage()

    @property
    def heard(self) -> tuple[Usage, int]:
        """The same, and the characters that came of the answer, told or not: at least one for
        each block, since a thought may come without its words."""
        return self._usage(), self._chars

    def drop(self) -> None:
        """Nobody listens any more: whatever comes, nothing more is said about the turn."""
        self.over = self._dropped = True

    def on_stream(self, event: StreamEvent) -> list[Event]:
        """Read one upstream event."""
        if self.over:
            return []
        match event.type:
            case "content_block_delta" if event.delta is not None:
                told = event.delta
                self._chars += len(told.text) + len(told.thinking) + len(told.partial_json)
                if event.delta.type == "text_delta":
                    return self._say(TextDelta(event.delta.text))
                if event.delta.type == "thinking_delta":
                    return self._say(ReasoningDelta(event.delta.thinking))
                return self._on_arguments(event.index, event.delta.partial_json)
            case "content_block_start" if event.content_block is not None:
                self._chars += 1
                return self._on_block(event.content_block, event.index)
            case "content_block_stop":
                return self._calling.on_stop(event.index)
            case "message_start" if event.message is not None:
                self._streamed.add(event.message.id)
                return self._begin(event.message)
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
        if self.form is not None and not isinstance(message.content, str):
            self.form.mend(message.content)
        if self.over or message.id in self._streamed or isinstance(message.content, str):
            return []
        if message.id in self._whole:
            return self._read_whole(message, message.content)
        self._whole.add(message.id)
        return self._begin(message) + self._read_whole(message, message.content)

    def on_called(self) -> list[Event]:
        """The CLI asks for the result of a call: a message that was not streamed is complete."""
        if self.over or not self._calling.ids or self._stop is None:
            return []
        return self._finish_called()

    def on_system(self, frame: SystemFrame) -> list[Event]:
        """Notice a request that nobody asked for. Remember what a retry was about: a time-out
        during retries answers with it."""
        if frame.status == "requesting" and self._is_complete:
            self.cut = True
            return []
        if frame.status == "requesting" and not self.over:
            self._asks_again = True
            return self._end_before_next()
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
            return [] if self.cut or self._dropped else [self._settle(frame)]
        if self.form is not None and (not frame.is_error or frame.subtype == _GAVE_UP):
            return self._end_form(self.form, frame)
        if frame.is_error:
            return self._fail(frame, limit)
        if not self._started:
            empty = msgspec.structs.replace(frame, result="the CLI ended without an answer")
            return self._fail(empty, limit)
        self.over = True
        settled = self._settle(frame)
        reason = _read_stop(frame.stop_reason) or StopReason.END_TURN
        return [*self._rest(), Finished(reason, settled.usage), settled]

    def time_out(self, error: Upstream) -> Event:
        """End the turn from outside: a time limit was reached. If the CLI was between retries,
        the upstream's own failure is the better answer."""
        self.over = True
        if self.last_retry is not None and not self._spoke and self.last_retry.status is not None:
            return self._explain(self.last_retry)
        return Failed(error)

    def _start(self, model: str) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started(model or self._model)]

    def _begin(self, message: WireMessage) -> list[Event]:
        ended = self._broke_off() if self._stop is None else self._end_before_next()
        if ended:
            return ended
        self._earlier = self._usage()
        self._message_usage = message.usage or WireUsage()
        self._stop, self._said, self._is_visible = None, False, False
        self._asks_again = False
        if self.form is not None:
            self.form.begin()
        return self._start(message.model)

    def _read_whole(self, message: WireMessage, blocks: list[Block]) -> list[Event]:
        if self.over:
            return []
        self._stop = _read_stop(message.stop_reason)
        events: list[Event] = []
        for block in blocks:
            self._chars += 1 + len(block.text) + len(block.thinking)
            if block.type == "text":
                events += self._say(TextDelta(block.text))
            elif block.type == "thinking":
                events += self._say(ReasoningDelta(block.thinking))
            else:
                events += [*self._on_block(block, 0), *self._calling.on_stop(0)]
        return events

    def _on_block(self, block: Block, index: int) -> list[Event]:
        if block.type != "tool_use":
            return []
        if self.form is not None and self.form.on_start(block, index):
            return self._start("")
        begun = self._calling.on_start(block, index)
        if not begun:
            # The CLI sees to it, and the turn goes on.
            return []
        self._spoke = self._said = True
        return [*self._start(""), *self._rest(), *begun]

    def _on_arguments(self, index: int, fragment: str) -> list[Event]:
        if self.form is not None and self.form.on_delta(index, fragment):
            return []
        return self._calling.on_delta(index, fragment)

    def _say(self, piece: TextDelta | ReasoningDelta) -> list[Event]:
        if not piece.text:
            return []
        if self.form is not None and isinstance(piece, TextDelta):
            # Not told yet: the CLI may still ask anew.
            self.form.say(piece.text)
            return self._start("")
        self._spoke = self._said = True
        if isinstance(piece, ReasoningDelta):
            return [*self._start(""), *([piece] if self._tells_reasoning else [])]
        self._is_visible = self._is_visible or not is_blank(piece.text)
        text = self._filter.feed(piece.text)
        told: list[Event] = [TextDelta(text)] if text else []
        if self._filter.is_hit:
            self.over = self.is_full = True
            told.append(Finished(StopReason.STOP_SEQUENCE, self._usage()))
        return [*self._start(""), *told] if told else []

    def _stopped(self, raw: str | None) -> list[Event]:
        stop = _read_stop(raw)
        if stop is None:
            return []
        self._stop = stop
        if self._calling.ids and stop not in CUTTING:
            return self._finish_called()
        if self.form is not None and stop not in CUTTING:
            return self._judge(self.form)
        if stop is StopReason.TOOL_USE:
            return self._count_strays()
        return self._finish(stop, cut=stop in CUTTING or not self._is_visible)

    def _count_strays(self) -> list[Event]:
        """Calls that nobody offered are answered by the CLI; a model that goes on with them would
        do so without end."""
        self._strays += self._calling.has_stray
        if self._strays <= MOST_STRAYS:
            return []
        self.over = self.cut = True
        return [
            Failed(
                Upstream(
                    "the model goes on calling tools that nobody offered", code="unknown_tool_calls"
                )
            )
        ]

    def _judge(self, form: Form) -> list[Event]:
        """A message of an answer that must have a form is complete."""
        verdict = form.judge()
        if not isinstance(verdict, Accepted):
            # The CLI asks again, as often as it may.
            return []
        self._is_complete = True
        # After text it would ask again all the same.
        told = self._finish(StopReason.END_TURN, cut=not form.is_call)
        return [*told[:-1], *pieces_of(verdict.text), told[-1]]

    def _end_form(self, form: Form, frame: ResultFrame) -> list[Event]:
        self.over = True
        settled = self._settle(frame)
        text = form.judge_result(frame.structured_output)
        said: list[Event] = [Refused(form.refusal())] if text is None else [*pieces_of(text)]
        return [*self._start(""), *said, Finished(StopReason.END_TURN, settled.usage), settled]

    def _finish_called(self) -> list[Event]:
        # The CLI answers a call that it cannot read by itself, and goes on.
        self.awaits_results = self._is_complete = not self._calling.is_broken
        if self.form is not None and self.form.is_call:
            # The CLI would take the answer that was given before the results.
            self._calling.has_stray = True
        return self._finish(StopReason.TOOL_USE, cut=self._calling.is_broken)

    def _end_before_next(self) -> list[Event]:
        """Another request follows: after a message that was complete it is the CLI's own idea."""
        if self._calling.ids:
            return self._finish(StopReason.TOOL_USE, cut=True)
        if self._stop is None or self._stop is StopReason.TOOL_USE:
            return []
        if self.form is not None and self._stop not in CUTTING:
            return []
        return self._finish(self._stop, cut=True)

    def _finish(self, stop: StopReason, *, cut: bool) -> list[Event]:
        self.over, self.cut = True, cut
        return [*self._start(""), *self._rest(), Finished(stop, self._usage())]

    def _rest(self) -> list[Event]:
        """What was held back and was no stop string after all."""
        held = self._filter.end()
        return [TextDelta(held)] if held else []

    def _broke_off(self) -> list[Event]:
        if not self._said:
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
        return [self._explain(fault)]

    def _explain(self, fault: Fault) -> Failed:
        error = explain_fault(fault, model=self._model, sign_in=self._sign_in)
        error.quotes = True
        return Failed(error)

    def _settle(self, frame: ResultFrame) -> Settled:
        # The result of an interrupted turn counts nothing, whatever was used.
        if frame.usage is not None and not frame.is_error:
            self._earlier, self._message_usage = Usage(), frame.usage
            return Settled(self._usage().minus(self._told), frame.total_cost_usd)
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


def _read_stop(raw: str | None) -> StopReason | None:
    """None is none yet; a reason we do not know is an end like any other."""
    if raw is None:
        return None
    try:
        return StopReason(raw)
    except ValueError:
        return StopReason.END_TURN


def _newer(old: WireUsage, new: WireUsage | None) -> WireUsage:
    """The counts of message_delta are cumulative and win where they are given."""
    if new is None:
        return old
    given = {k: v for k, v in msgspec.structs.asdict(new).items() if v is not None}
    return msgspec.structs.replace(old, **given)
