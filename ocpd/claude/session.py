"""One child's conversation: bytes in, events out; intentions in, bytes out.

What may live here: which frames belong to the running turn, what to write next, which messages the
child has, and the moves of ``lifecycle``. No pipes and no clock: ``pool.child`` carries the bytes,
``dispatch`` the time.

After ``claim``, ``resume``, ``rewind``, ``receive`` or ``interrupt`` the caller must write what
``data_to_send`` returns.
"""

from typing import assert_never

import msgspec

from ocpd.claude.claim import (
    CONSULT,
    INITIALIZE,
    INTERRUPT,
    REWIND,
    Applied,
    Said,
    Sheet,
    Step,
    find_limits,
    write_claim,
    write_consult,
    write_interrupt,
    write_limits,
    write_messages,
    write_rewinds,
    write_unsupported,
)
from ocpd.claude.lifecycle import State, Trigger, next_state
from ocpd.claude.lines import Lines, LineTooLong
from ocpd.claude.listener import Listener
from ocpd.claude.wire import (
    AssistantFrame,
    BadFrame,
    ControlAnswer,
    ControlRequestFrame,
    ControlResponseFrame,
    Frame,
    IgnoredFrame,
    InitializeAnswer,
    InterruptAnswer,
    OfferedModel,
    RateLimitFrame,
    RateLimitInfo,
    ResultFrame,
    RewindAnswer,
    StreamFrame,
    SystemFrame,
    decode_frame,
)
from ocpd.errors import Died, HistoryRefused, Upstream
from ocpd.turn.events import Event, Failed
from ocpd.turn.request import Turn

TurnFrame = StreamFrame | AssistantFrame | ResultFrame | SystemFrame
"""What may be about the running turn."""

_initialize: msgspec.json.Decoder[InitializeAnswer] = msgspec.json.Decoder(InitializeAnswer)
_interrupt: msgspec.json.Decoder[InterruptAnswer] = msgspec.json.Decoder(InterruptAnswer)
_rewind: msgspec.json.Decoder[RewindAnswer] = msgspec.json.Decoder(RewindAnswer)


_LATEST_IN_SECONDS = 1e11
"""The CLI's types do not say whether a moment is in seconds or in milliseconds: this is in the year
5138, or in 1973."""


class Session:
    """What we know of one child.

    ``offered`` are the models the CLI says it offers, ``limit`` the newest word on the plan,
    ``bad_frames`` how many lines could not be read. ``is_settled`` says that the child has
    nothing more to say about the turn; ``must_kill`` that it would go on by itself; ``is_spoiled``
    that it did not take back what it should: it must not serve again. ``asked_upstream`` says that
    a request of it is, or was, on its way to the model.
    """

    def __init__(self, model: str, sign_in: str) -> None:
        self.model = model
        self.state = State.PARKED
        self.offered: tuple[OfferedModel, ...] = ()
        self.limit: RateLimitInfo | None = None
        self.bad_frames = 0
        self.asked_upstream = False
        self.is_spoiled = False
        self.consulted: bytes | None = None
        self.credential_expires_at: float | str | None = None
        self._sign_in = sign_in
        self._lines = Lines()
        self._outgoing: list[bytes] = []
        # Of the conversation.
        self._said: list[Said] = []
        self._applied = Applied()
        self._cost_usd = 0.0
        # Of the running turn.
        self._steps: list[Step] = []
        self._awaits = ""
        self._rewinds_left = 0
        self._hears_ours = True
        self._listener: Listener | None = None
        self._cancelled = False
        self._is_consulting = False

    def __repr__(self) -> str:
        return f"Session({self.model}, {self.state.name})"

    @property
    def is_settled(self) -> bool:
        """Whether waiting for the child would bring nothing more."""
        if self._is_consulting and self.consulted is not None:
            return True
        return self._cancelled or self.state in (State.PARKED, State.RESTING, State.GONE)

    @property
    def login_ends_at(self) -> float | None:
        """When the login that the child uses runs out, as far as it said (epoch seconds)."""
        told = self.credential_expires_at
        if not isinstance(told, int | float):
            return None
        return told / 1000 if told > _LATEST_IN_SECONDS else float(told)

    @property
    def is_reusable(self) -> bool:
        """Whether it rests and can be trusted with another turn."""
        went_astray = self._listener is not None and self._listener.went_astray
        is_sound = not (self.is_spoiled or self.must_kill or went_astray)
        return self.state is State.RESTING and is_sound

    @property
    def must_kill(self) -> bool:
        """Whether the child would start another upstream request if it were left alone."""
        return self._listener is not None and self._listener.cut

    def claim(self, turn: Turn, sheet: Sheet) -> None:
        """Make the parked child work on ``turn``. Raises IllegalMove if it is not parked."""
        self._move(Trigger.CLAIM)
        limits = self._limit(turn, sheet)
        self._begin(turn, list(write_claim(turn, limits)))

    def resume(self, turn: Turn, sheet: Sheet, keep: int) -> None:
        """Make the resting child work on ``turn``: it has its first ``keep`` messages, takes back
        what it has beyond them, and gets the others.

        A child that does not take it back fails the turn as if it had died, before anything was
        said. Raises IllegalMove if it does not rest.
        """
        self._move(Trigger.RESUME)
        steps = [*self._take_back(keep), *write_messages(turn, keep, self._limit(turn, sheet))]
        self._begin(turn, steps)

    def rewind(self, keep: int) -> None:
        """Let the resting child take back what it has beyond ``keep`` messages; ``is_settled`` is
        true when it has, or has not: then ``is_spoiled``. Raises IllegalMove if it does not
        rest."""
        steps = self._take_back(keep)
        if steps:
            self._move(Trigger.REWIND)
            self._listener = None
            self._rewinds_left = steps[0].rewinds
            self._outgoing.append(steps[0].frames)

    def consult(self, subtype: str) -> None:
        """Ask the parked child something that is no turn; ``consulted`` is the answer once
        ``is_settled``. It is of no other use after that. Raises IllegalMove if not parked."""
        self._move(Trigger.CLAIM)
        self._is_consulting = True
        self._outgoing.append(write_consult(subtype))

    def interrupt(self) -> None:
        """Drop the running turn. Nothing more is said about it; ``is_settled`` turns true when
        the CLI has confirmed. A child that has not got its prompt yet is of no use any more."""
        if self.state is State.BUSY:
            self._outgoing.append(write_interrupt())
            self._drop_listener()
        elif self.state is State.CLAIMED:
            # The prompt is not out yet, and now never will be.
            self._cancelled = True
            self._steps.clear()
            self.stop()

    def stop(self) -> None:
        """The child is being stopped: whatever it says from here on no longer counts."""
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
        too_long: LineTooLong | None = None
        try:
            lines = self._lines.feed(chunk)
        except LineTooLong as error:
            too_long, lines = error, error.before
        events: list[Event] = []
        for line in lines:
            try:
                frame = decode_frame(line)
            except BadFrame:
                self.bad_frames += 1
                continue
            events += self._on_frame(frame)
        if too_long is not None:
            detail = str(too_long)
            events += self._give_up(Upstream("the Claude CLI sent a line too long", detail=detail))
        return events

    def eof(self, status: int | None) -> list[Event]:
        """The process has ended with ``status`` (negative: by that signal)."""
        if self.state is State.GONE:
            return []
        was_working = self.state in (State.CLAIMED, State.BUSY)
        self._move(Trigger.EXIT)
        if not was_working:
            return []
        return self._give_up(
            Died("the Claude CLI ended before the answer did", detail=f"exit status {status}")
        )

    def time_out(self, error: Upstream) -> list[Event]:
        """A time limit was reached: end the turn with ``error``, or with the upstream's own
        failure if the CLI is between retries of it."""
        if self._listener is None or self._listener.over:
            return []
        return [self._listener.time_out(error)]

    def _move(self, trigger: Trigger) -> None:
        self.state = next_state(self.state, trigger)

    def _drop_listener(self) -> None:
        if self._listener is not None:
            self._listener.drop()

    def _limit(self, turn: Turn, sheet: Sheet) -> bytes:
        wanted = find_limits(turn, sheet)
        frames = write_limits(wanted, self._applied)
        self._applied = wanted
        return frames

    def _take_back(self, keep: int) -> list[Step]:
        """Nothing of an empty conversation may stay: not even a message that we invented."""
        surplus = [said for said in self._said if keep == 0 or said.position >= keep]
        self._said = self._said[: len(self._said) - len(surplus)]
        return [write_rewinds(surplus)] if surplus else []

    def _begin(self, turn: Turn, steps: list[Step]) -> None:
        self._listener = Listener(
            turn.model, self._sign_in, turn.limits.stop, tells_reasoning=turn.tells_reasoning
        )
        self._cancelled = False
        self._steps = steps
        self._next_step()

    def _next_step(self) -> None:
        step = self._steps.pop(0)
        self._outgoing.append(step.frames)
        self._hears_ours = True
        self._rewinds_left = step.rewinds
        self._awaits = ""
        if step.said is not None:
            self._awaits = step.said.uuid
            self._said.append(step.said)
        if not self._steps:
            self._move(Trigger.ASK)

    def _on_frame(self, frame: Frame) -> list[Event]:
        match frame:
            case ControlRequestFrame(request_id=request_id):
                self._outgoing.append(write_unsupported(request_id))
            case ControlResponseFrame(response=answer):
                return self._on_answer(answer)
            case RateLimitFrame(rate_limit_info=info):
                self.limit = info
            case IgnoredFrame():
                pass
            case StreamFrame() | AssistantFrame() | ResultFrame() | SystemFrame():
                if self._listener is not None and self.state in (State.CLAIMED, State.BUSY):
                    return self._on_turn_frame(frame, self._listener)
            case _:
                assert_never(frame)
        return []

    def _on_turn_frame(self, frame: TurnFrame, listener: Listener) -> list[Event]:
        match frame:
            case ResultFrame():
                return self._on_result(frame, listener)
            case StreamFrame():
                if frame.parent_tool_use_id is None and self._is_ours(frame.user_message_uuids):
                    return self._unless_full(listener, listener.on_stream(frame.event))
            case AssistantFrame():
                if frame.parent_tool_use_id is None and self._is_ours(frame.user_message_uuids):
                    return self._unless_full(listener, listener.on_assistant(frame))
            case SystemFrame():
                self.asked_upstream = self.asked_upstream or frame.status == "requesting"
                return listener.on_system(frame)
            case _:
                assert_never(frame)
        return []

    def _unless_full(self, listener: Listener, events: list[Event]) -> list[Event]:
        if listener.is_full and events:
            # The caller has its answer; what the model would go on to say is of no use.
            self._outgoing.append(write_interrupt())
        return events

    def _is_ours(self, uuids: list[str]) -> bool:
        # Only the first event of a message names its turn; the others follow it.
        if uuids:
            self._hears_ours = self._awaits in uuids
        return self._hears_ours

    def _on_result(self, frame: ResultFrame, listener: Listener) -> list[Event]:
        is_ours = self._is_ours(frame.user_message_uuids)
        # A turn ends here, ours or not: what follows must not be taken for a part of it.
        self._hears_ours = True
        spent_usd = max(0.0, frame.total_cost_usd - self._cost_usd)
        self._cost_usd = max(self._cost_usd, frame.total_cost_usd)
        self.credential_expires_at = frame.credential_expires_at or self.credential_expires_at
        if not is_ours:
            return []
        if self.state is State.CLAIMED:
            if listener.over:
                # It failed meanwhile: the prompt must not go out any more.
                return []
            if frame.is_error:
                return self._give_up(HistoryRefused("the Claude CLI refused the history"))
            self._next_step()
            return []
        self._move(Trigger.SETTLE)
        # The CLI counts what the process has cost; the turn has cost what came on top.
        own = msgspec.structs.replace(frame, total_cost_usd=spent_usd)
        return listener.on_result(own, self.limit)

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
            return self._give_up(
                Upstream(f"the Claude CLI refused {answer.request_id}", detail=str(answer.error))
            )
        if not bytes(answer.response):
            return []
        try:
            if answer.request_id == INITIALIZE:
                self.offered = tuple(_initialize.decode(answer.response).models)
            elif answer.request_id == INTERRUPT:
                self._on_interrupted(_interrupt.decode(answer.response).cancelled)
        except msgspec.DecodeError:
            self.bad_frames += 1
        return []

    def _on_interrupted(self, cancelled: list[str]) -> None:
        # A turn that was still queued is gone without a result of its own, and so is its message.
        if self.state is State.BUSY and self._awaits in cancelled:
            self._said = [said for said in self._said if said.uuid != self._awaits]
            self._move(Trigger.SETTLE)

    def _on_rewound(self, answer: ControlAnswer) -> list[Event]:
        if self._rewinds_left == 0:
            return []
        self._rewinds_left -= 1
        self.is_spoiled = self.is_spoiled or not self._is_taken_back(answer)
        if self._rewinds_left > 0:
            return []
        if self.state is State.REWINDING:
            self._move(Trigger.SETTLE)
        elif self.state is State.CLAIMED and self.is_spoiled:
            return self._give_up(
                Died("the Claude CLI did not take back a conversation", detail=str(answer.error))
            )
        elif self.state is State.CLAIMED:
            self._next_step()
        return []

    def _is_taken_back(self, answer: ControlAnswer) -> bool:
        if answer.subtype != "success":
            return False
        try:
            told = _rewind.decode(answer.response)
        except msgspec.DecodeError:
            return False
        if self._rewinds_left:
            return told.rewound
        # An assistant message that nothing precedes can never be taken back, and would stand in
        # somebody's next request. And where something is kept, an answer must be left.
        is_empty = not self._said
        return told.rewound and is_empty == (told.precedingAssistantUuid is None)

    def _give_up(self, error: Upstream) -> list[Event]:
        listener = self._listener
        if listener is None or listener.over:
            return []
        listener.over = True
        return [Failed(error)]
