"""Promise: /health tells what is known of the login, from whom, and for how long that holds."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from ocpd.pool import login as room
from ocpd.pool.login import FRESH_S, HURRIED_S, Login
from ocpd.pool.probe import LoginAnswer, Probe, Ran
from tests.unit.http.stage import breathe, run

SIGNED_IN = (Ran(0, b""), LoginAnswer(loggedIn=True, authMethod="claude.ai"))
SIGNED_OUT = (Ran(1, b""), LoginAnswer(loggedIn=False))
Answer = tuple[Ran, LoginAnswer] | None


class Told:
    """A probe that answers what it is told."""

    sign_in = "claude auth login"

    def __init__(self, answer: Answer = SIGNED_IN) -> None:
        self.answer = answer
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def ask_login(self, within_s: float) -> Answer:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        return self.answer


def login_of(told: Told, *, has_token: bool = False) -> Login:
    return Login(cast("Probe", told), has_token=has_token, timeout_s=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock on by seconds."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(room, "wall_clock", lambda: now[0])

    def advance(by_s: float) -> None:
        now[0] += by_s

    return advance


def test_before_any_look_nobody_knows() -> None:
    state = login_of(Told()).state()
    assert (state.ok, state.ok_source, state.last_outcome) == (None, "none", "none")


@pytest.mark.parametrize(
    ("answer", "ok", "outcome", "words"),
    [
        (SIGNED_IN, True, "authenticated", "signed in (claude.ai)"),
        (SIGNED_OUT, False, "rejected", "run: claude auth login"),
        ((Ran(0, b""), LoginAnswer(loggedIn=False)), False, "rejected", "not signed in"),
        ((Ran(None, b""), LoginAnswer()), None, "timeout", "did not answer"),
        ((Ran(-9, b""), LoginAnswer()), None, "timeout", "did not answer"),
        (None, None, "unavailable", "no Claude CLI"),
    ],
)
def test_a_look_tells_what_the_cli_says(
    answer: Answer, ok: bool | None, outcome: str, words: str
) -> None:
    login = login_of(Told(answer))
    run(login.check())
    state = login.state()
    assert (state.ok, state.last_outcome) == (ok, outcome)
    assert words in state.message
    assert state.last_check > 0


def test_a_token_that_is_there_is_not_one_that_works() -> None:
    login = login_of(Told(), has_token=True)
    run(login.check())
    state = login.state()
    assert (state.ok, state.last_outcome) == (None, "token-present")
    login.note_turn(accepted=True)
    assert login.state().ok is True
    run(login.check())
    assert (login.state().ok, login.state().ok_source) == (True, "request")


def test_failures_in_a_row_are_counted_until_one_look_succeeds() -> None:
    told = Told(SIGNED_OUT)
    login = login_of(told)
    for count in (1, 2, 3):
        run(login.check())
        assert login.state().consecutive_failures == count
    told.answer = (Ran(None, b""), LoginAnswer())
    run(login.check())
    assert login.state().consecutive_inconclusive == 1
    assert login.state().ok is False
    told.answer = SIGNED_IN
    run(login.check())
    state = login.state()
    assert (state.ok, state.consecutive_failures, state.consecutive_inconclusive) == (True, 0, 0)


def test_a_turns_word_holds_for_a_while(clock: Callable[[float], None]) -> None:
    login = login_of(Told())
    login.note_turn(accepted=True)
    clock(FRESH_S)
    assert (login.state().ok, login.state().ok_source) == (True, "request")
    clock(1)
    assert (login.state().ok, login.state().ok_source) == (None, "expired")


def test_a_turn_that_was_refused_says_how_to_sign_in() -> None:
    login = login_of(Told())
    login.note_turn(accepted=False)
    assert login.state().ok is False
    assert "claude auth login" in login.state().message


def test_a_new_look_is_due_only_while_nobody_is_signed_in(clock: Callable[[float], None]) -> None:
    login = login_of(Told(SIGNED_OUT))
    due = [login.is_due]
    run(login.check())
    due.append(login.is_due)
    clock(HURRIED_S + 0.1)
    due.append(login.is_due)
    login.note_turn(accepted=True)
    due.append(login.is_due)
    assert due == [False, False, True, False]


def test_two_looks_at_once_are_one() -> None:
    async def main() -> None:
        told = Told()
        told.gate = asyncio.Event()
        login = login_of(told)
        first = asyncio.get_running_loop().create_task(login.check())
        await breathe()
        await login.check()
        assert told.asked == 1
        told.gate.set()
        await first
        await login.check()
        assert told.asked == 2

    run(main())
