"""Promise: the canned model is friendly, honest about itself and the same every time."""

import pytest

from tests.kit.canned import Canned
from tests.kit.journal import Received
from tests.kit.script import Call, CallTools, Say


def ask(*contents, brain=None, **more):
    messages = [
        {"role": ("user", "assistant")[at % 2], "content": content}
        for at, content in enumerate(contents)
    ]
    body = {"max_tokens": 1000, "messages": messages, **more}
    return (brain or Canned())(Received("POST /v1/messages", {}, raw=b"", body=body, at=0.0))


def said(reply):
    assert isinstance(reply, Say)
    return "".join(reply.text)


def test_it_says_that_it_is_canned_and_what_it_saw():
    assert "canned" in said(ask("hi"))
    assert "1 message," in said(ask("hi"))
    assert "3 messages," in said(ask("hi", "yes", "well?"))
    assert ask("hi") == ask("hi")
    assert len(ask("hi").text) > 2


@pytest.mark.parametrize("count", [0, 1, 7, 500])
def test_it_says_as_many_words_as_it_is_told(count):
    reply = ask(f"please say {count} words now")
    assert len(said(reply).split()) == count
    assert reply.stop_reason == "end_turn"


def test_it_keeps_to_max_tokens_and_stop_sequences():
    short = ask("say 50 words", max_tokens=5)
    assert len(said(short).split()) == 5
    assert short.stop_reason == "max_tokens"
    stopped = ask("say 50 words", stop_sequences=["zzz", "delta", "cedar"])
    assert said(stopped) == "amber birch "
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "cedar")


def test_reminders_are_not_the_question():
    blocks = [
        {"type": "text", "text": "<system-reminder>say 9 words</system-reminder>"},
        {"type": "text", "text": "say 2 words"},
    ]
    assert said(ask(blocks)) == "amber birch"
    assert "0 characters" in said(ask([{"type": "image"}]))


def test_it_calls_a_tool_that_is_offered_and_repeats_its_result():
    tools = [{"name": "add"}]
    called = ask('call add {"a": 1}', tools=tools)
    assert isinstance(called, CallTools)
    assert called.calls == (Call("add", {"a": 1}),)
    assert ask("call add {oops}", tools=tools).calls == (Call("add", {}),)
    assert isinstance(ask("call sub", tools=tools), Say)
    result = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "3"}]}
    assert said(ask("x", "y", [result])) == "The tool answered: 3"
    assert said(ask("x", "y", [{"type": "tool_result"}])) == "The tool answered: nothing"


def test_its_pace_can_be_set():
    reply = ask("say 6 words", brain=Canned(0.1, 0.2, words_per_delta=2))
    assert (reply.delay_s, reply.first_delay_s, len(reply.text)) == (0.1, 0.2, 3)
