"""What a process remembers: a good turn whole, any other as if it had not been."""

import msgspec
import pytest

from ocpd.claude.limits import Sheet
from ocpd.dispatch.job import Job
from ocpd.dispatch.recall import Recall
from ocpd.errors import Unauthorized, Upstream
from ocpd.turn.caller import Caller
from ocpd.turn.events import (
    CallBegun,
    CallDelta,
    Event,
    Failed,
    Finished,
    StopReason,
    TextDelta,
    Usage,
)
from ocpd.turn.request import Message, Role, Text, ToolResult, ToolUse
from ocpd.turn.transcript import chain_of
from tests.unit.claude.stage import ask, assistant, user

HISTORY = (user("a"), assistant("b"), user("c"))

CALLS = Message(Role.ASSISTANT, (ToolUse("toolu_1", "lookup", '{"a":1}'),))
RESULTS = Message(Role.USER, (ToolResult("toolu_1", (Text("42"),)),))
AND_TEXT = Message(Role.USER, (*RESULTS.parts, Text("and?")))


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


# Calls.


def test_an_answer_that_calls_is_held() -> None:
    made = recall()
    for event in (CallBegun(0, "toolu_1", "lookup"), CallDelta(0, '{"a"'), CallDelta(0, ":1}")):
        made.hear(event)
    assert made.finished() is None
    made.hear(Finished(StopReason.TOOL_USE, Usage()))
    memory = made.finished()
    assert memory is not None
    assert memory.is_held
    assert memory.chain == chain_of([*HISTORY, CALLS])
    assert (memory.last_request, memory.answers) == (2, 2)
    assert made.memory() == memory


def test_an_answer_that_does_not_call_is_not_held() -> None:
    made = recall()
    made.hear(TextDelta("d"))
    made.hear(Finished(StopReason.END_TURN, Usage()))
    assert made.memory() == made.finished()
    assert not made.memory().is_held


@pytest.mark.parametrize("last", [[RESULTS], [AND_TEXT], [RESULTS, user("and?")]])
def test_the_answer_to_results_belongs_to_the_request_that_led_to_them(
    last: list[Message],
) -> None:
    made = recall(*HISTORY, CALLS, *last, keep=4)
    assert made.wanted.last_request == 2
    assert made.wanted.users == frozenset({0, 2, *range(4, 4 + len(last))})
    made.hear(TextDelta("d"))
    made.hear(Finished(StopReason.END_TURN, Usage()))
    memory = made.memory()
    assert memory is not None
    assert memory.chain == chain_of([*HISTORY, CALLS, *last, assistant("d")])
    assert (memory.last_request, memory.answers, memory.is_held) == (2, 3, False)


@pytest.mark.parametrize(
    ("messages", "keep", "left"),
    [
        # How many messages the process had when the turn began, and those it is to have after it.
        ((*HISTORY, CALLS, RESULTS), 4, 2),
        ((*HISTORY, CALLS, AND_TEXT), 4, 2),
        ((*HISTORY, CALLS, RESULTS, user("and?")), 4, 2),
        ((*HISTORY, CALLS, RESULTS, CALLS, RESULTS), 6, 2),
        ((user("a"), CALLS, RESULTS), 2, 0),
        # One that went on with an answer, or had nothing.
        ((*HISTORY, CALLS, RESULTS), 2, 2),
        ((*HISTORY, CALLS, RESULTS), 0, 0),
        ((user("a"), CALLS, RESULTS, assistant("b"), user("c")), 4, 4),
    ],
)
@pytest.mark.parametrize(
    "ending",
    [Failed(Upstream("it broke")), Finished(StopReason.MAX_TOKENS, Usage()), TextDelta("cut off")],
)
def test_a_turn_that_failed_goes_back_to_before_the_request(
    messages: tuple[Message, ...], keep: int, left: int, ending: Event
) -> None:
    """Results cannot be parted from their calls, nor those from what led to them."""
    made = recall(*messages, keep=keep)
    made.hear(TextDelta("d"))
    made.hear(ending)
    memory = made.memory()
    assert memory is not None
    assert memory.chain == chain_of(messages[:left])
    assert memory.answers == sum(message.role is Role.ASSISTANT for message in messages[:left])
    assert (memory.last_request, memory.is_held) == (0, False)


@pytest.mark.parametrize("reason", [StopReason.TOOL_USE, StopReason.END_TURN])
def test_a_conversation_that_was_told_in_one_message_is_not_remembered(reason: StopReason) -> None:
    made = Recall(Job(ask(*HISTORY), Sheet(), is_lossy=True))
    made.hear(Finished(reason, Usage()))
    assert made.finished() is None
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
