"""Stop strings: exact, across pieces, and the conversation goes on afterwards."""

import pytest

from tests.kit.script import Say
from tests.wire.stage import Stage, conversation, say

pytestmark = pytest.mark.real_cli


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_ends_before_the_stop_string(stage: Stage, stream: bool) -> None:
    stage.upstream.script(Say(["one two ", "EN", "D three", " four"]))
    if stream:
        told = stage.stream("count", stop="END")
        assert (told.text, told.finish) == ("one two ", ["stop"])
    else:
        choice = stage.ask("count", stop=["never", "END"]).choices[0]
        assert (choice.message.content, choice.finish_reason) == ("one two ", "stop")


def test_what_only_looks_like_one_is_said(stage: Stage) -> None:
    stage.upstream.script(Say(["one EN", "CORE ", "EN"]))
    assert stage.stream("count", stop="END").text == "one ENCORE EN"


def test_a_long_answer_is_interrupted_upstream(stage: Stage) -> None:
    stage.upstream.script(Say(["a", "END", *["more "] * 1000], delay_s=0.05))
    assert stage.stream("count", stop="END").text == "a"
    stage.upstream.wait_gone(5)
    assert stage.daemon.wait_quiet().processes.resting == 1


def test_the_conversation_goes_on_with_what_the_caller_has(stage: Stage) -> None:
    stage.upstream.script(Say(["one END two"]))
    chat = say("count")
    answer = stage.ask(chat, stop="END").choices[0].message.content
    chat = say("count", answer, "go on")
    stage.ask(chat)
    heard = conversation(stage.upstream.requests[-1])
    assert heard == [("user", ["count"]), ("assistant", ["one "]), ("user", ["go on"])]
