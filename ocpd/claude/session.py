"""One child's conversation: bytes in, events out; intentions in, bytes out.

What may live here: which frames belong to the running turn, what to write next, and the moves of
``lifecycle``. No pipes and no clock: ``pool.child`` carries the bytes, ``dispatch`` the time.

After ``claim``, ``resume``, ``rewind``, ``receive`` or ``interrupt`` the caller must write what
``data_to_send`` returns.
"""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from ocpd.claude.answers import (
    is_taken_back,
    read_cancelled,
    read_failed_servers,
    read_moment,
    read_offered,
)
from ocpd.claude.claim import (
    CONSULT,
    INITIALIZE,
    INTERRUPT,
    REWIND,
    write_claim,
    write_consult,
    write_interrupt,
)
from ocpd.claude.contents import Contents
from ocpd.claude.faults import explain_missing, explain_servers
from ocpd.claude.form import TOOL
from ocpd.claude.frames import write_unsupported
from ocpd.claude.lifecycle import State, Trigger, next_state
from ocpd.claude.limits import Sheet, find_limits
from ocpd.claude.listener import Listener
from ocpd.claude.messages import Step, write_messages
from ocpd.claude.names import SERVER
from ocpd.claude.reader import Reader
from ocpd.claude.script import Script
from ocpd.claude.tools import Bridge
from ocpd.claude.wire import (
    KEEP_ALIVE,
    AssistantFrame,
    BadFrame,
    ControlAnswer,
    ControlAsk,
    ControlRequestFrame,
    ControlResponseFrame,
    Frame,
    IgnoredFrame,
    OfferedModel,
    RateLimitFrame,
    RateLimitInfo,
    ResultFrame,
    StreamFrame,
    SystemFrame,
)
from ocpd.errors import Died, HistoryRefused, OcpdError, Upstream
from ocpd.turn.calls import cut_before, has_begun
from ocpd.turn.events import Event, Failed, Usage
from ocpd.turn.request import Turn

TurnFrame = StreamFrame | AssistantFrame | ResultFrame | SystemFrame
"""What may be about the running turn."""

_QUIET = frozenset({State.PARKED, State.HOLDING, State.RESTING, State.GONE})
_AT_WORK = frozenset({State.CLAIMED, State.BUSY, State.HOLDING})


class Session:
    """What we know of one child.

    ``offered`` are the models the CLI says it offers, ``limit`` the newest word on the plan.
    ``is_settled`` says that the child has nothing more to say about the turn; ``must_kill`` that it
    would go on by itself; ``is_spoiled`` that it did not take back what it should: it must not
    serve again. ``asked_upstream`` says that a request of it is, or was, on its way to the model.
    ``pulse`` grows with every sign of life.
    """

    def __init__(self, model: str, sign_in: str) -> None:
        self.model = model
        self.state = State.PARKED
        self.offered: tuple[OfferedModel, ...] = ()
        self.limit: RateLimitInfo | None = None
        self.asked_upstream = False
        self.pulse = 0
        self.is_spoiled = False
        self.consulted: bytes | None = None
        self.login_ends_at: float | None = None
        self._sign_in = sign_in
        self._reader = Reader()
        self._outgoing: list[bytes] = []
        self._contents = Contents()
        self._bridge = Bridge()
        # Of the running turn. What was used before its calls were held is told already.
        self._script = Script()
        self._listener: Listener | None = None
        self._told = Usage()
        self._cancelled = False
        self._is_consulting = False

    def __repr__(self) -> str:
        return f"Session({self.model}, {self.state.name})"

    @property
    def bad_frames(self) -> int:
        """How many lines could not be read."""
        return self._reader.bad_frames

    @property
    def is_settled(self) -> bool:
        """Whether waiting for the child would bring nothing more."""
        is_answered = self._is_consulting and self.consulted is not None
        return is_answered or self._cancelled or self.state in _QUIET

    @property
    def is_at_tools(self) -> bool:
        """Whether the turn waits for tools of this machine, and the upstream has nothing to say."""
        return self._listener is not None and self._listener.is_at_tools

    @property
    def heard(self) -> tuple[Usage, int]:
        """What the turn has used by the upstream's counts so far, and the length of the answer."""
        return (Usage(), 0) if self._listener is None else self._listener.heard

    @property
    def is_reusable(self) -> bool:
        """Whether it rests and can be trusted with another turn."""
        went_astray = self._listener is not None and self._listener.went_astray
        is_sound = not (self.is_spoiled or self.must_kill or went_astray)
        return self.state in (State.RESTING, State.HOLDING) and is_sound

    @property
    def must_kill(self) -> bool:
        """Whether the child would start another upstream request if it were left alone."""
        return self._listener is not None and self._listener.cut

    def claim(self, turn: Turn, sheet: Sheet) -> None:
        """Make the parked child work on ``turn``. Raises IllegalMove if it is not parked."""
        self._move(Trigger.CLAIM)
        self._bridge.offer(turn)
        self._begin(turn, write_claim(turn, self._limit(turn, sheet)))

    def resume(self, turn: Turn, sheet: Sheet, keep: int) -> None:
        """Make the resting child work on ``turn``: it has its first ``keep`` messages, takes back
        what it has beyond them, and gets the others. One that holds calls gets their results if
        that is all there is to say; else it takes the user's whole request back, and gets it again.

        A child that does not take it back fails the turn as if it had died, before anything was
        said. Raises IllegalMove if it neither rests nor holds calls.
        """
        steps: list[Step] = []
        if self.state is State.HOLDING:
            if self._resolve(turn, sheet, keep):
                return
            steps.append(Step(write_interrupt(), ends=True))
            keep = cut_before(turn.messages, keep)
        self._move(Trigger.RESUME)
        steps += self._contents.take_back(keep)
        self._begin(turn, (*steps, *write_messages(turn, keep, self._limit(turn, sheet))))

    def rewind(self, keep: int) -> None:
        """Let the resting child take back what it has beyond ``keep`` messages; ``is_settled`` is
        true when it has, or has not: then ``is_spoiled``. Raises IllegalMove if it does not
        rest."""
        steps = self._contents.take_back(keep)
        if steps:
            self._move(Trigger.REWIND)
            self._listener = None
            self._script.begin(steps)
            self._outgoing.append(self._script.take().frames)

    def consult(self, subtype: str) -> None:
        """Ask the parked child something that is no turn; ``consulted`` is the answer once
        ``is_settled``. It is of no other use after that. Raises IllegalMove if not parked."""
        self._move(Trigger.CLAIM)
        self._is_consulting = True
        self._outgoing.append(write_consult(subtype))

    def interrupt(self) -> None:
        """Drop the running turn. Nothing more is said about it; ``is_settled`` turns true when
        the CLI has confirmed. A child that has not got its prompt yet is of no use any more."""
        if self.state is State.HOLDING:
            self._move(Trigger.DROP)
        if self.state is State.BUSY:
            self._outgoing.append(write_interrupt())
            self._drop_listener()
        elif self.state is State.CLAIMED:
            self._cancelled = True
            self._script.clear()
            self.stop()

    def stop(self) -> None:
        """The child is being stopped: whatever it says from here on no longer counts."""
        if self.state is State.HOLDING:
            # It would wait for its results to the end of days, and not notice that stdin is closed.
            self._outgoing.append(write_interrupt())
        if self.state not in (State.STOPPING, State.GONE):
            self._move(Trigger.STOP)
            self._drop_listener()

    def data_to_send(self) -> bytes:
        """Return what must be written to the child now, and forget it."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def receive(self, chunk: bytes) -> list[Event]:
        """Read what the child wrote. Any chunking of the same bytes gives the same events."""
        frames, fault = self._reader.feed(chunk)
        events: list[Event] = []
        for frame in frames:
            events += self._on_frame(frame)
        return events if fault is None else events + self.give_up(fault)

    def eof(self, status: int | None) -> list[Event]:
        """The process has ended with ``status`` (negative: by that signal)."""
        if self.state is State.GONE:
            return []
        was_working = self.state in (State.CLAIMED, State.BUSY)
        self._move(Trigger.EXIT)
        if not was_working:
            return []
        return self.give_up(
            Died("the Claude CLI ended before the answer did", detail=f"exit status {status}")
        )

    def time_out(self, error: Upstream) -> list[Event]:
        """End the turn with ``error``, or the upstream's own if the CLI is retrying after it."""
        if self._listener is None or self._listener.over:
            return []
        return [self._listener.time_out(error)]

    def _move(self, trigger: Trigger) -> None:
        self.state = next_state(self.state, trigger)

    def _drop_listener(self) -> None:
        if self._listener is not None:
            self._listener.drop()

    def _limit(self, turn: Turn, sheet: Sheet) -> bytes:
        """Limit a turn all of whose messages are written now."""
        self._contents.is_signed = not has_begun(turn.messages)
        return self._contents.limit(find_limits(turn, sheet, is_signed=self._contents.is_signed))

    def _resolve(self, turn: Turn, sheet: Sheet, keep: int) -> bool:
        """Answer the calls that are held, if the turn is just that."""
        wanted = find_limits(turn, sheet, is_signed=self._contents.is_signed)
        if not self._contents.can_limit_at_once(wanted):
            return False
        answers = self._bridge.resolve(turn.messages[keep:])
        if answers is None:
            return False
        self._move(Trigger.RESOLVE)
        self._listen(turn)
        self._outgoing += [self._contents.limit(wanted), answers]
        return True

    def _begin(self, turn: Turn, steps: Iterable[Step]) -> None:
        self._told = Usage()
        self._listen(turn)
        self._script.begin(steps)
        self._next_step()

    def _listen(self, turn: Turn) -> None:
        self._cancelled = False
        served = frozenset() if self._listener is None else self._listener.served
        self._listener = Listener(turn, self._sign_in, self._told)
        self._listener.note_served(served)

    def _next_step(self) -> None:
        step = self._script.take()
        self._outgoing.append(step.frames)
        if step.said is not None:
            self._contents.add(step.said)
        if self._script.is_last:
            self._move(Trigger.ASK)

    def _on_frame(self, frame: Frame) -> list[Event]:
        self.pulse += frame != KEEP_ALIVE
        match frame:
            case ControlRequestFrame(request_id=request_id, request=asked):
                return self._on_request(request_id, asked)
            case ControlResponseFrame(response=answer):
                return self._on_answer(answer)
            case RateLimitFrame(rate_limit_info=info):
                self.limit = info
            case IgnoredFrame():
                pass
            case StreamFrame() | AssistantFrame() | ResultFrame() | SystemFrame():
                if self._listener is not None and self.state in _AT_WORK:
                    return self._on_turn_frame(frame, self._listener)
            case _:
                assert_never(frame)
        return []

    def _on_request(self, request_id: str, asked: ControlAsk) -> list[Event]:
        if asked.message is None or asked.server_name != SERVER:
            self._outgoing.append(write_unsupported(request_id))
            return []
        told = None if self._listener is None else self._listener.called
        self._outgoing.append(self._bridge.hear(request_id, asked.message, told))
        if self._listener is None or asked.message.method != "tools/call":
            return []
        return self._then_hold(self._listener, self._listener.on_called())

    def _then_hold(self, listener: Listener, events: list[Event]) -> list[Event]:
        """Once the caller has the answer and every call of it is parked, the process holds."""
        if (
            self.state is State.BUSY
            and listener.awaits_results
            and listener.called <= self._bridge.parked.keys()
        ):
            self._told = self._told.plus(listener.used)
            self._move(Trigger.HOLD)
        return events

    def _on_turn_frame(self, frame: TurnFrame, listener: Listener) -> list[Event]:
        match frame:
            case ResultFrame():
                return self._on_result(frame, listener)
            case StreamFrame():
                if self._is_ours(frame):
                    return self._unless_full(listener, listener.on_stream(frame.event))
            case AssistantFrame():
                if self._is_ours(frame):
                    return self._unless_full(listener, listener.on_assistant(frame))
            case SystemFrame():
                self.asked_upstream = self.asked_upstream or frame.status == "requesting"
                if frame.subtype == "init" and self.state is State.BUSY:
                    return self._on_init(frame, listener)
                return listener.on_system(frame)
            case _:
                assert_never(frame)
        return []

    def _on_init(self, frame: SystemFrame, listener: Listener) -> list[Event]:
        """A tool that the CLI does not take is left out without a word, and sometimes all are."""
        listener.note_served(frozenset(frame.tools))
        lacks_form = listener.form is not None and TOOL not in frame.tools
        fault = explain_missing(self._bridge.find_left_out(frame.tools), lacks_form=lacks_form)
        if fault is None:
            return []
        listener.cut = True
        return self.give_up(fault)

    def _unless_full(self, listener: Listener, events: list[Event]) -> list[Event]:
        if listener.is_full and events:
            # The caller has its answer; what the model would go on to say is of no use.
            self._outgoing.append(write_interrupt())
        return self._then_hold(listener, events)

    def _is_ours(self, frame: StreamFrame | AssistantFrame) -> bool:
        if frame.parent_tool_use_id is not None or self._script.awaits_end:
            return False
        return self._script.is_ours(frame.user_message_uuids)

    def _on_result(self, frame: ResultFrame, listener: Listener) -> list[Event]:
        is_ours = self._script.is_ours(frame.user_message_uuids)
        self._script.end_turn()
        self.login_ends_at = read_moment(frame.credential_expires_at) or self.login_ends_at
        if not is_ours:
            return []
        self._bridge.clear()
        if self.state is State.CLAIMED:
            if frame.is_error and not self._script.awaits_end:
                return self.give_up(HistoryRefused("the Claude CLI refused the history"))
            return self._go_on(listener)
        if self.state is State.HOLDING:
            # It has given up waiting, and nobody knows what it holds now.
            self.is_spoiled = True
            return []
        self._move(Trigger.SETTLE)
        spent_usd = self._contents.charge(frame.total_cost_usd)
        own = msgspec.structs.replace(frame, total_cost_usd=spent_usd)
        return listener.on_result(own, self.limit)

    def _go_on(self, listener: Listener | None) -> list[Event]:
        # If the turn has failed meanwhile the prompt must not go out any more.
        if self.state is State.CLAIMED and listener is not None and not listener.over:
            self._next_step()
        return []

    def _on_answer(self, answer: ControlAnswer) -> list[Event]:
        if answer.request_id == CONSULT:
            # A refusal is an answer too: an empty one.
            self.consulted = bytes(answer.response) if answer.subtype == "success" else b""
            return []
        if answer.request_id.startswith(REWIND):
            return self._on_rewound(answer)
        if answer.subtype != "success":
            if answer.request_id == INTERRUPT:
                return []
            return self.give_up(
                Upstream(f"the Claude CLI refused {answer.request_id}", detail=str(answer.error))
            )
        try:
            if answer.request_id == INITIALIZE:
                self.offered = read_offered(answer) or self.offered
            elif answer.request_id == INTERRUPT:
                self._on_interrupted(read_cancelled(answer))
            elif answer.request_id == self._script.awaits_answer:
                if failed := read_failed_servers(answer):
                    return self.give_up(explain_servers(failed))
                return self._go_on(self._listener)
        except BadFrame:
            self._reader.bad_frames += 1
        return []

    def _on_interrupted(self, cancelled: list[str]) -> None:
        # A turn that was still queued is gone without a result of its own, and so is its message.
        awaited = self._script.awaits
        if self.state is State.BUSY and awaited in cancelled:
            self._contents.forget(awaited)
            self._move(Trigger.SETTLE)

    def _on_rewound(self, answer: ControlAnswer) -> list[Event]:
        if self._script.rewinds_left == 0:
            return []
        self._script.rewinds_left -= 1
        # The last answer tells what is left: nothing, or what was kept.
        keeps = None if self._script.rewinds_left else not self._contents.is_empty
        self.is_spoiled = self.is_spoiled or not is_taken_back(answer, keeps=keeps)
        if self._script.rewinds_left > 0:
            return []
        if self.state is State.REWINDING:
            self._move(Trigger.SETTLE)
        elif self.state is State.CLAIMED and self.is_spoiled:
            return self.give_up(
                Died("the Claude CLI did not take back a conversation", detail=str(answer.error))
            )
        return self._go_on(self._listener)

    def give_up(self, error: OcpdError) -> list[Event]:
        """End the turn, if one runs, with ``error``."""
        if self._listener is None or self._listener.over:
            return []
        self._listener.over = True
        return [Failed(error)]
