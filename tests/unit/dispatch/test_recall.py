"""What a process remembers: a good turn whole, any other as if it had not been."""

import msgspec
import pytest

from ocpd.claude.limits import Sheet
from ocpd.dispatch.job import Job
from ocpd.dispatch.recall import Recall
from ocpd.errors import Unauthorized, Upstream
from ocpd.turn.caller import Caller
from ocpd.turn.events import Failed, Finished, StopReason, TextDelta, Usage
from ocpd.turn.request import Message
from ocpd.turn.transcript import chain_of
from tests.unit.claude.stage import ask, assistant, user

HISTORY = (user("a"), assistant("b"), user("c"))


def recall(*messages: Message, keep: int = 0) -> Recall:
    made = Recall(Job(ask(*messages or HISTORY), Sheet()))
    made.keep = keep
    return made


def test_a_good_turn_is_remembered_with_its_answer() -> None:
    made = recall()
    made.hear(TextDelta("d"))
    assert made.finished() is None
    made.hear(Finished(StopReason.END_TURN, Usage()))
    memory = made.finished()
    assert memory is not None
    assert memory.chain == chain_of([*HISTORY, assistant("d")])
    assert (memory.last_request, memory.answers) == (2, 2)
    assert made.memory() == memory


@pytest.mark.parametrize("reason", [StopReason.MAX_TOKENS, StopReason.REFUSAL])
def test_an_answer_that_was_cut_is_not_remembered(reason: StopReason) -> None:
    made = recall(keep=2)
    made.hear(TextDelta("d"))
    made.hear(Finished(reason, Usage()))
    assert made.finished() is None
    memory = made.memory()
    assert memory is not None
    assert memory.chain == chain_of(HISTORY[:2])


def test_a_failed_turn_leaves_what_was_there_before() -> None:
    made = recall(keep=2)
    made.hear(TextDelta("d"))
    made.hear(Failed(Upstream("it broke")))
    memory = made.memory()
    assert memory is not None
    assert memory.chain == chain_of(HISTORY[:2])
    assert (memory.last_request, memory.answers) == (0, 1)


def test_a_process_that_had_nothing_is_empty_again() -> None:
    memory = recall().memory()
    assert memory is not None
    assert (memory.chain, memory.last_request, memory.answers) == ((b"",), 0, 0)


def test_a_process_whose_login_was_refused_never_serves_again() -> None:
    made = recall(keep=2)
    made.hear(Failed(Unauthorized("sign in", status=401)))
    assert made.memory() is None


def test_callers_never_share_and_one_caller_does() -> None:
    turn = ask()
    callers = [
        Caller("a", 1, "127.0.0.1"),
        Caller("b", 2, "127.0.0.1"),
        # The store was restored, and the number given out again.
        Caller("b", 1, "127.0.0.1", "1700000000.0"),
        Caller(place="127.0.0.1"),
        Caller(place="127.0.0.2"),
        Caller(place="uid 1"),
    ]
    keys = {Recall(Job(turn, Sheet(), caller=caller)).wanted.key for caller in callers}
    assert len(keys) == len(callers)
    moved = Recall(Job(turn, Sheet(), caller=Caller("renamed", 1, "10.0.0.1"))).wanted.key
    assert moved in keys
    assert msgspec.structs.replace(turn, stream=True) != turn
