"""What a process will remember of a turn: the whole of it, or nothing but what was before.

What may live here: from a job and its events to the memory of the process that did it.
"""

from ocpd.claude.make import Parts, make_of
from ocpd.dispatch.job import Job
from ocpd.sched.affinity import Memory, Wanted
from ocpd.turn.answer import Answer
from ocpd.turn.calls import cut_before
from ocpd.turn.events import Event, Failed, Finished, Refused, StopReason
from ocpd.turn.request import Role
from ocpd.turn.transcript import (
    Surroundings,
    chain_of,
    count_answers,
    key_of,
    last_request,
)

_LOGIN_REFUSED = frozenset({401, 403})


class Recall:
    """Hears the events of one attempt. ``keep`` is how many of the turn's messages the process had
    when it began."""

    def __init__(self, job: Job) -> None:
        turn = job.turn
        self._turn = turn
        self._answer = Answer()
        self._is_finished = False
        self._is_held = False
        self._is_refused = False
        self._is_lossy = job.is_lossy
        self._is_tainted = False
        self.keep = 0
        self.wanted = Wanted(
            model=make_of(Parts(turn.model, turn.own_tools, turn.is_unasked)),
            key=key_of(turn, Surroundings(job.caller.scope)),
            chain=chain_of(turn.messages),
            last_request=last_request(turn.messages),
            users=frozenset(
                at for at, message in enumerate(turn.messages) if message.role is Role.USER
            ),
            has_history=count_answers(turn.messages) > 0,
        )

    def hear(self, event: Event) -> None:
        """Take in what happened."""
        self._answer.hear(event)
        match event:
            case Finished(reason=reason):
                # After a stop string the process has more than the caller, or a note of the CLI's.
                self._is_finished = reason in (StopReason.END_TURN, StopReason.TOOL_USE)
                self._is_finished = self._is_finished and not self._is_refused
                self._is_held = reason is StopReason.TOOL_USE
            case Refused():
                # The process has said something else.
                self._is_refused = True
            case Failed(error=error):
                # It may have read the login that was refused, and go on using it.
                self._is_tainted = error.status in _LOGIN_REFUSED
            case _:
                pass

    def finished(self) -> Memory | None:
        """Return what the process will hold, if the turn came to a good end."""
        if not self._is_finished or self._is_lossy:
            return None
        answer = self._answer.message()
        messages = self._turn.messages
        return Memory(
            key=self.wanted.key,
            chain=(*self.wanted.chain, *chain_of((answer,), self.wanted.chain[-1])[1:]),
            last_request=last_request(messages),
            answers=count_answers(messages) + 1,
            is_held=self._is_held,
        )

    def memory(self) -> Memory | None:
        """Return what the process is to hold: after a good end all of it, else what it had before
        the turn, or before the user's request if the turn went on with the calls of one. None: it
        must not serve again."""
        if self._is_tainted or self._is_lossy:
            return None
        if (whole := self.finished()) is not None:
            return whole
        keep = cut_before(self._turn.messages, self.keep)
        before = self._turn.messages[:keep]
        return Memory(
            key=self.wanted.key,
            chain=self.wanted.chain[: keep + 1],
            last_request=last_request(before[:-1]) if before else 0,
            answers=count_answers(before),
        )
