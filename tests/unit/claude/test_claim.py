"""A claim writes what the caller said into frames on stdin, and the frames are ours alone.

History goes in as the messages it was; between two writes the CLI has to confirm. The laws over
any text are in ``tests/property/test_claude_laws.py``.
"""

import uuid

import msgspec
import pytest

from ocpd.claude.claim import write_interrupt
from ocpd.claude.frames import write_unsupported
from ocpd.claude.limits import MIN_THINKING_BUDGET, Sheet
from ocpd.claude.messages import SPEAKS_FIRST, message_uuid
from ocpd.errors import Bug
from ocpd.turn.request import Message, Reasoning, Role, Text, Turn, TurnId
from tests.unit.claude.stage import (
    MODEL,
    TURN_ID,
    Frame,
    ask,
    assistant,
    claim_steps,
    user,
    written,
)


def steps(turn: Turn, sheet: Sheet | None = None) -> list[list[Frame]]:
    return [written(step.frames) for step in claim_steps(turn, sheet or Sheet())]


def requests(turn: Turn, sheet: Sheet) -> list[Frame]:
    return [f["request"] for f in steps(turn, sheet)[0] if f["type"] == "control_request"]


def max_tokens(request: Frame) -> str:
    env: dict[str, str] = request["settings"]["env"]
    if "CLAUDE_CODE_EXTRA_BODY" in env:
        return str(msgspec.json.decode(env["CLAUDE_CODE_EXTRA_BODY"])["max_tokens"])
    return env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"]


def test_a_short_turn_is_one_write() -> None:
    initialize, prompt = steps(ask(user("hi")))[0]
    assert len(steps(ask(user("hi")))) == 1
    assert initialize == {
        "type": "control_request",
        "request_id": "initialize",
        "request": {"subtype": "initialize", "systemPrompt": ["You are terse."]},
    }
    assert prompt == {
        "type": "user",
        "message": {"role": "user", "content": "hi"},
        "parent_tool_use_id": None,
        "session_id": "",
        "uuid": message_uuid(TURN_ID, 0),
        "client_composed": True,
    }


def test_without_a_system_prompt_the_cli_is_told_to_send_none() -> None:
    assert requests(ask(user("hi"), system=""), Sheet())[0]["systemPrompt"] == []


def test_a_system_prompt_goes_in_as_it_is() -> None:
    prompt = " \n@file /clear \u2028\0"
    assert requests(ask(user("hi"), system=prompt), Sheet())[0]["systemPrompt"] == [prompt]


def test_several_texts_of_one_message_stay_apart() -> None:
    prompt = steps(ask(user("a", "b")))[0][-1]
    assert prompt["message"]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]


def test_history_goes_in_as_messages_and_only_the_last_one_asks() -> None:
    turn = ask(user("one"), assistant("eins"), user("two"), assistant("zwei"), user("three"))
    first, second, third = steps(turn)
    assert [frame["type"] for frame in first] == ["control_request", "user"]
    assert [frame["type"] for frame in second] == ["assistant", "user"]
    assert [frame["type"] for frame in third] == ["assistant", "user"]
    asked = [frame.get("shouldQuery", True) for frame in (first[-1], second[-1], third[-1])]
    assert asked == [False, False, True]
    assert [s.said.uuid for s in claim_steps(turn, Sheet()) if s.said] == [
        message_uuid(TURN_ID, index) for index in (0, 2, 4)
    ]


def test_messages_of_one_side_in_a_row_stay_in_order() -> None:
    turn = ask(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))
    said = [
        [(f["type"], str(f["message"]["content"])) for f in step if f["type"] != "control_request"]
        for step in steps(turn)
    ]
    assert [[kind for kind, _ in step] for step in said] == [
        ["user"],
        ["user"],
        ["assistant", "assistant", "user"],
    ]
    assert "'d'" in said[2][1][1]


def test_a_past_answer_names_its_model_or_its_thinking_would_be_dropped() -> None:
    frame = steps(ask(user("a"), assistant("b", "c"), user("d")))[1][0]
    message = frame["message"]
    assert (message["model"], message["role"], message["type"]) == (MODEL, "assistant", "message")
    assert [block["text"] for block in message["content"]] == ["b", "c"]
    assert message["id"].startswith("msg_")
    assert frame["uuid"] == message_uuid(TURN_ID, 1)


def test_a_chat_that_begins_with_the_assistant_gets_a_message_before_it() -> None:
    first, second = steps(ask(assistant("hello"), user("hi")))
    assert first[-1]["message"]["content"] == SPEAKS_FIRST
    assert first[-1]["shouldQuery"] is False
    assert [frame["type"] for frame in second] == ["assistant", "user"]


def test_old_thinking_is_left_out() -> None:
    thought = Message(Role.ASSISTANT, (Reasoning("hm"), Text("eins")))
    frame = steps(ask(user("one"), thought, user("two")))[1][0]
    assert frame["message"]["content"] == [{"type": "text", "text": "eins"}]


def test_a_turn_that_nobody_asks_is_a_bug_of_ours() -> None:
    with pytest.raises(Bug):
        claim_steps(ask(user("one"), assistant("eins")), Sheet())


@pytest.mark.parametrize(
    ("wanted", "limit", "sent"),
    [
        (None, 64_000, None),
        (None, None, None),
        (100, 64_000, "100"),
        (64_000, 64_000, "64000"),
        (64_001, 64_000, "64000"),
        (10**9, 64_000, "64000"),
        (10**9, None, "1000000000"),
        (1, None, "1"),
    ],
)
def test_max_tokens_is_capped_at_what_the_model_can(
    wanted: int | None, limit: int | None, sent: str | None
) -> None:
    limits = requests(ask(user("hi"), max_tokens=wanted), Sheet(limit))[1:]
    assert [max_tokens(request) for request in limits] == ([] if sent is None else [sent])


@pytest.mark.parametrize(
    ("wanted", "limit", "is_off"),
    [
        (1, None, True),
        (MIN_THINKING_BUDGET, None, True),
        (MIN_THINKING_BUDGET + 1, None, False),
        (5000, MIN_THINKING_BUDGET, True),
        (None, 100, False),
    ],
)
def test_a_budget_that_does_not_fit_under_max_tokens_is_switched_off(
    wanted: int | None, limit: int | None, is_off: bool
) -> None:
    sheet = Sheet(limit, thinks_on_budget=True)
    subtypes = [request["subtype"] for request in requests(ask(max_tokens=wanted), sheet)]
    assert ("set_max_thinking_tokens" in subtypes) is is_off
    if is_off:
        # Before the limit, and both before the prompt.
        assert subtypes == ["initialize", "set_max_thinking_tokens", "apply_flag_settings"]
        assert requests(ask(max_tokens=wanted), sheet)[1]["max_thinking_tokens"] == 0


def test_a_model_that_thinks_as_it_likes_is_left_alone() -> None:
    subtypes = [request["subtype"] for request in requests(ask(max_tokens=1), Sheet(64_000))]
    assert subtypes == ["initialize", "apply_flag_settings"]


def test_a_lone_surrogate_is_never_written() -> None:
    # No decoder lets one in: JSON cannot hold it. If one came, broken bytes would not go out.
    with pytest.raises(UnicodeEncodeError):
        claim_steps(ask(user("\ud800")), Sheet())


def test_an_interrupt_reaches_a_prompt_that_is_still_queued() -> None:
    (frame,) = written(write_interrupt())
    assert frame["request"] == {"subtype": "interrupt", "cancel_queued": True}


def test_what_we_do_not_serve_is_answered_with_an_error() -> None:
    (frame,) = written(write_unsupported('odd "id"\n'))
    assert frame["type"] == "control_response"
    assert frame["response"]["subtype"] == "error"
    assert frame["response"]["request_id"] == 'odd "id"\n'


@pytest.mark.parametrize("turn_id", ["0" * 32, "f" * 32, TURN_ID, "0" * 31 + "1"])
@pytest.mark.parametrize("index", [0, 1, 15, 1000])
def test_a_message_uuid_has_the_shape_of_a_random_one(turn_id: str, index: int) -> None:
    text = message_uuid(TurnId(turn_id), index)
    read = uuid.UUID(text)
    assert (str(read), read.version, read.variant) == (text, 4, uuid.RFC_4122)


def test_messages_of_a_turn_differ_in_the_part_that_a_rewind_compares() -> None:
    """The CLI compares 24 characters; with equal ones it took back the whole conversation."""
    heads = [message_uuid(TURN_ID, index)[:24] for index in range(200)]
    assert len(set(heads)) == 200
