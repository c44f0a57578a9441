"""The steps of a turn go out one by one, and what is heard is told apart by whose it is."""

import pytest

from ocpd.claude.messages import Said, Step
from ocpd.claude.script import Script

ASKS = Step(b"a", Said("uuid-1", 0))
ASKS_MORE = Step(b"b", Said("uuid-2", 2))
REWINDS = Step(b"r", rewinds=3)
ENDS = Step(b"e", ends=True)
QUESTIONS = Step(b"q", asks="servers")


def started(*steps: Step) -> Script:
    script = Script()
    script.begin(steps)
    return script


def awaited(script: Script) -> tuple[str, int, bool, str]:
    return script.awaits, script.rewinds_left, script.awaits_end, script.awaits_answer


def test_without_steps_there_is_nothing_to_write_or_to_await() -> None:
    assert Script().is_last
    assert awaited(Script()) == ("", 0, False, "")


def test_steps_are_taken_in_their_order() -> None:
    script = started(ASKS, REWINDS, ASKS_MORE)
    taken = []
    while not script.is_last:
        taken.append(script.take())
    assert taken == [ASKS, REWINDS, ASKS_MORE]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (ASKS, ("uuid-1", 0, False, "")),
        (REWINDS, ("", 3, False, "")),
        (QUESTIONS, ("", 0, False, "servers")),
        (ENDS, ("", 0, True, "")),
        (Step(b""), ("", 0, False, "")),
    ],
)
def test_what_a_step_wants_is_awaited(step: Step, expected: tuple[str, int, bool, str]) -> None:
    script = started(step)
    assert script.take() is step
    assert awaited(script) == expected


def test_what_the_step_before_wanted_is_awaited_no_more() -> None:
    script = started(QUESTIONS, REWINDS, ASKS)
    for expected in (("", 0, False, "servers"), ("", 3, False, ""), ("uuid-1", 0, False, "")):
        script.take()
        assert awaited(script) == expected


def test_the_end_of_a_turn_that_is_dropped_is_still_that_of_its_message() -> None:
    script = started(ASKS)
    script.take()
    script.begin([ENDS, REWINDS, ASKS_MORE])
    script.take()
    assert awaited(script) == ("uuid-1", 0, True, "")
    assert script.is_ours(["uuid-1"])
    script.take()
    assert awaited(script) == ("", 3, False, "")


def test_new_steps_take_the_place_of_those_that_were_left() -> None:
    script = started(ASKS, ASKS_MORE)
    script.take()
    script.begin([REWINDS])
    assert script.take() is REWINDS
    assert script.is_last


def test_after_clearing_nothing_is_left_and_what_was_written_is_awaited_still() -> None:
    script = started(ASKS, ASKS_MORE)
    script.take()
    script.clear()
    assert script.is_last
    assert script.awaits == "uuid-1"


# Whose a frame is.


def test_a_frame_is_of_the_message_that_it_names() -> None:
    script = started(ASKS)
    script.take()
    assert script.is_ours(["uuid-1"])
    assert script.is_ours(["other", "uuid-1"])
    assert not script.is_ours(["other"])


def test_a_frame_that_names_none_follows_the_one_before() -> None:
    script = started(ASKS)
    script.take()
    assert script.is_ours([])
    assert not script.is_ours(["other"])
    assert not script.is_ours([])
    assert script.is_ours(["uuid-1"])
    assert script.is_ours([])


@pytest.mark.parametrize("how", ["take", "end_turn"])
def test_what_begins_anew_is_ours_until_it_says_otherwise(how: str) -> None:
    script = started(ASKS, ASKS_MORE)
    script.take()
    assert not script.is_ours(["other"])
    getattr(script, how)()
    assert script.is_ours([])
