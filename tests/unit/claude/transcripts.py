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
from ocpd.turn.events import Event, Failed, Finished, ReasoningDelta, TextDelta
from ocpd.turn.request import Turn
from tests.unit.claude.stage import SIGN_IN, ask, assistant, said, user

FOLDER = Path(__file__).parents[2] / "golden" / "claude"
HAIKU = "claude-haiku-4-5-20251001"

Moment = Literal["never", "at once", "after text"]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """``thinks`` and ``text`` are what the caller is told, ``ending`` the stop reason or the
    status and code of the failure ("" if nothing is said). ``kills`` says that the process would
    go on by itself. ``interrupts`` is when the caller left."""

    turn: Turn = ask()
    sheet: Sheet = Sheet()
    interrupts: Moment = "never"
    thinks: str = ""
    text: str = ""
    ending: str = "end_turn"
    kills: bool = False


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


def play(name: str) -> tuple[Session, list[Event], list[bytes]]:
    """Play a transcript to a child; returns it, the events, and what was written after each
    line."""
    case = CASES[name]
    session = start(case)
    events: list[Event] = []
    answers = [session.data_to_send()]
    left = case.interrupts != "after text"
    for line in read(name):
        new = session.receive(line)
        if not left and said(new):
            left = True
            session.interrupt()
        events += new
        answers.append(session.data_to_send())
    return session, events, answers


def summarize(events: list[Event]) -> tuple[str, str, str]:
    """What the caller was told: the thinking, the text, and how it ended."""
    ending = ""
    for event in events:
        if isinstance(event, Finished):
            ending = event.reason.value
        elif isinstance(event, Failed):
            ending = f"{event.error.status} {event.error.code}"
    thinks = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return thinks, text, ending
