"""What the real CLI said, and what we make of it: one case per file of ``tests/golden/claude``.

What may live here: the turns that were asked and the events that are expected. The files hold the
child's stdout, line for line, without what only concerns the machine it ran on;
``tests/golden/claude/record.py`` writes them anew.
"""

from pathlib import Path
from typing import Literal

import msgspec

from ocpd.claude.limits import Sheet
from ocpd.claude.session import Session
from ocpd.turn.events import (
    CallBegun,
    CallDelta,
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
)
from ocpd.turn.request import Message, Role, Text, Tool, ToolResult, ToolUse, Turn, TurnId
from tests.unit.claude.stage import LOOKUP, SIGN_IN, ask, assistant, said, user

FOLDER = Path(__file__).parents[2] / "golden" / "claude"
HAIKU = "claude-haiku-4-5-20251001"

Moment = Literal["never", "at once", "after text"]


class Then(msgspec.Struct, frozen=True):
    """A turn that follows, once the child has nothing more to say about the one before: it keeps
    that many messages."""

    turn: Turn
    keep: int


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """``thinks``, ``text`` and ``calls`` (names and arguments) are what the caller is told, in all
    turns together; ``ending`` is the stop reason of each, or the status and code of its failure (""
    if nothing is said). ``kills`` says that the process would go on by itself. ``interrupts`` is
    when the caller left."""

    turn: Turn = ask()
    then: tuple[Then, ...] = ()
    calls: tuple[tuple[str, str], ...] = ()
    sheet: Sheet = Sheet()
    interrupts: Moment = "never"
    thinks: str = ""
    text: str = ""
    ending: str = "end_turn"
    kills: bool = False


def call_id(number: int, at: int = 0) -> str:
    """The id that the scripted API gives to a call of its ``number``-th answer."""
    return f"toolu_kit{number:06}x{at}"


def called(*ids: str, text: str = "", tool: str = "lookup") -> Message:
    """An answer that looks up 1, 2 and so on, as the caller sends it back."""
    told = (ToolUse(name, tool, f'{{"key":{at}}}') for at, name in enumerate(ids, 1))
    return Message(Role.ASSISTANT, (*((Text(text),) if text else ()), *told))


def found(*ids: str) -> Message:
    """What the caller's tool answered to these calls."""
    return Message(Role.USER, tuple(ToolResult(name, (Text(f"found {name}"),)) for name in ids))


def go_on(*messages: Message) -> Then:
    """The turn with these messages; the child has all but the last one."""
    later = TurnId(f"{len(messages):032x}")
    return Then(ask(*messages, tools=(LOOKUP,), turn_id=later), len(messages) - 1)


HI = user("hi there")
ONE, TWO = ("lookup", '{"key":1}'), ("lookup", '{"key":2}')
FIRST = (HI, called(call_id(1, 0), call_id(1, 1), text="Let me look."))
AGAIN = (*FIRST, found(call_id(1, 1), call_id(1, 0)))
# The request before it, which asked to stream, was the first.
WHOLE = (HI, called(call_id(2, 0), call_id(2, 1), text="Let me look."))
ODD = Tool("odd", "", msgspec.Raw(b'{"type":"object","properties":{"stra\xc3\x9fe":{}}}'))

CASES: dict[str, Case] = {
    "answer": Case(thinks="let me see", text="Héllo 😀 there"),
    "history": Case(
        turn=ask(user("one"), assistant("eins"), user("two"), assistant("zwei"), user("three")),
        text="drei",
    ),
    "speaks_first": Case(
        turn=ask(assistant("I am first"), user("one"), user("two"), assistant("ah"), user("three")),
        text="drei",
    ),
    "limits": Case(turn=ask(model=HAIKU, max_tokens=100), sheet=Sheet(64_000, True), text="short"),
    # Ends at which the CLI would go on by itself.
    "length": Case(text="cut short", ending="max_tokens", kills=True),
    "refusal": Case(text="no", ending="refusal", kills=True),
    "window": Case(text="full", ending="model_context_window_exceeded", kills=True),
    "nothing_visible": Case(thinks="hm", kills=True),
    "whole_length": Case(text="cut", ending="max_tokens", kills=True),
    # Turns of several upstream requests.
    "tool": Case(text="Let me look.Never mind."),
    "retried": Case(text="at last"),
    "broke_before": Case(text="again"),
    "broke_after_tool": Case(text="Let me look.again"),
    "whole": Case(thinks="hm", text="whole answer"),
    "whole_after_tool": Case(text="Let me look.Never mind."),
    # Calls of the caller's tools: two in an answer, their results, and one more.
    "calls": Case(
        turn=ask(tools=(LOOKUP,)),
        then=(go_on(*AGAIN), go_on(*AGAIN, called(call_id(2)), found(call_id(2)))),
        thinks="hm",
        text="Let me look.Both.",
        calls=(ONE, TWO, ONE),
        ending="tool_use, tool_use, end_turn",
    ),
    "calls_whole": Case(
        turn=ask(tools=(LOOKUP,)),
        then=(go_on(*WHOLE, found(call_id(2, 0), call_id(2, 1))),),
        thinks="hm",
        text="Let me look.Both.",
        calls=(ONE, TWO),
        ending="tool_use, end_turn",
    ),
    # Calls that nobody answers: another conversation, and the user who goes on.
    "calls_dropped": Case(
        turn=ask(tools=(LOOKUP,)),
        then=(Then(ask(user("something else"), tools=(LOOKUP,), turn_id=TurnId("9" * 32)), 0),),
        text="Let me look.Done.",
        calls=(ONE, TWO),
        ending="tool_use, end_turn",
    ),
    "calls_left_behind": Case(
        turn=ask(tools=(LOOKUP,)),
        then=(go_on(*FIRST, Message(Role.USER, (*AGAIN[-1].parts, Text("never mind")))),),
        text="Let me look.Done.",
        calls=(ONE, TWO),
        ending="tool_use, end_turn",
    ),
    # Calls that are none, or not the caller's.
    "calls_broken": Case(
        turn=ask(tools=(LOOKUP,)),
        text="Let me look.",
        calls=(("lookup", '{"key": 1'),),
        ending="tool_use",
        kills=True,
    ),
    "calls_stray": Case(
        turn=ask(tools=(LOOKUP,)),
        then=(go_on(HI, called(call_id(1, 1)), found(call_id(1, 1))),),
        text="Done.",
        calls=(ONE,),
        ending="tool_use, end_turn",
    ),
    "calls_cut_short": Case(
        turn=ask(tools=(LOOKUP,)), calls=(("lookup", '{"key": 1'),), ending="max_tokens", kills=True
    ),
    "calls_broke_middle": Case(
        turn=ask(tools=(LOOKUP,)), calls=(("lookup", '{"key'),), ending="502 broke_off", kills=True
    ),
    "tool_left_out": Case(
        turn=ask(tools=(LOOKUP, ODD)), ending="400 invalid_tool_schema", kills=True
    ),
    # Failures.
    "broke_middle": Case(text="Hello there", ending="502 broke_off", kills=True),
    "failed_400": Case(ending="400 invalid_request_error"),
    "failed_401": Case(ending="401 not_signed_in"),
    "failed_403": Case(ending="403 authentication_failed"),
    "failed_404": Case(ending="404 model_not_found"),
    "failed_413": Case(ending="413 request_too_large"),
    "failed_429": Case(ending="429 rate_limit_exceeded"),
    "failed_500": Case(ending="502 upstream_error"),
    "failed_529": Case(ending="503 overloaded"),
    "plan_limit": Case(ending="429 rate_limit_exceeded"),
    "signed_out": Case(ending="401 not_signed_in"),
    "too_long": Case(
        turn=ask(user("word " * 400_000), model=HAIKU), ending="400 context_length_exceeded"
    ),
    # Callers that leave.
    "interrupted": Case(interrupts="after text", text="Hello", ending=""),
    "cancelled": Case(interrupts="at once", ending=""),
}


def read(name: str) -> list[bytes]:
    """The lines of a transcript, each with its newline."""
    return (FOLDER / f"{name}.jsonl").read_bytes().splitlines(keepends=True)


def start(case: Case) -> Session:
    """A child that was given the case's turn."""
    session = Session(case.turn.model, SIGN_IN)
    session.claim(case.turn, case.sheet)
    if case.interrupts == "at once":
        session.interrupt()
    return session


class Talk:
    """A child, and what is done to it as the case has it. ``is_over``: nothing more will be."""

    def __init__(self, case: Case) -> None:
        self.session = start(case)
        self._case = case
        self._waits_for_text = case.interrupts == "after text"
        self._then = list(case.then)

    @property
    def is_over(self) -> bool:
        return not self._then

    def act(self, events: list[Event]) -> bool:
        """Do what comes after ``events``; False if that is nothing."""
        if self._waits_for_text and said(events):
            self._waits_for_text = False
            self.session.interrupt()
            return True
        if self._then and self.session.is_settled:
            self.go_on()
            return True
        return False

    def go_on(self) -> None:
        """Give it the next turn."""
        then = self._then.pop(0)
        self.session.resume(then.turn, self._case.sheet, then.keep)


def play(name: str) -> tuple[Session, list[Event], list[bytes]]:
    """Play a transcript to a child; returns it, the events, and what was written after each
    line."""
    talk = Talk(CASES[name])
    events: list[Event] = []
    answers = [talk.session.data_to_send()]
    for line in read(name):
        new = talk.session.receive(line)
        talk.act(new)
        events += new
        answers.append(talk.session.data_to_send())
    return talk.session, events, answers


def split_turns(name: str) -> list[bytes]:
    """What the child said in each of the case's turns: the next one answers our next request, and
    cannot have come before."""
    talk = Talk(msgspec.structs.replace(CASES[name], interrupts="never"))
    turns = [b""]
    for line in read(name):
        turns[-1] += line
        if talk.act(talk.session.receive(line)):
            turns.append(b"")
    return turns


def split_events(events: list[Event]) -> list[list[Event]]:
    """The events of each turn."""
    turns: list[list[Event]] = [[]]
    for event in events:
        if isinstance(event, Started) and turns[-1]:
            turns.append([])
        turns[-1].append(event)
    return turns


def summarize(events: list[Event]) -> tuple[str, str, str]:
    """What the caller was told: the thinking, the text, and how it ended."""
    endings = []
    for event in events:
        if isinstance(event, Finished):
            endings.append(event.reason.value)
        elif isinstance(event, Failed):
            endings.append(f"{event.error.status} {event.error.code}")
    thinks = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return thinks, text, ", ".join(endings)


def calls_in(events: list[Event]) -> list[tuple[str, str]]:
    """The calls that the caller was told of: names and arguments."""
    calls: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, CallBegun):
            calls.append((event.name, ""))
        elif isinstance(event, CallDelta):
            calls[-1] = calls[-1][0], calls[-1][1] + event.fragment
    return calls
