"""A child that rests can go on with its conversation, take a part of it back, or begin anew."""

import pytest

from ocpd.claude.lifecycle import IllegalMove, State
from ocpd.claude.limits import Sheet
from ocpd.claude.messages import message_uuid
from ocpd.claude.session import Session
from ocpd.errors import Died
from ocpd.turn.events import Failed, Finished, Settled
from ocpd.turn.request import TurnId
from tests.unit.claude.stage import (
    SIGN_IN,
    Frame,
    ask,
    assistant,
    begin,
    claimed,
    hear,
    result,
    stop,
    text,
    user,
    written,
)

SECOND = TurnId("f" * 32)


def rested(*messages: object, **more: object) -> Session:
    """A child whose first turn is over."""
    session = claimed(*messages)
    hear(session, begin(), text("eins"), stop(), result(**more))
    return session


def rewound(number: int = 0, **more: object) -> Frame:
    """The CLI's answer to a rewind."""
    told = {"rewound": True, "precedingAssistantUuid": None, **more}
    answer = {"subtype": "success", "request_id": f"rewind-{number}", "response": told}
    return {"type": "control_response", "response": answer}


def refused(number: int = 0) -> Frame:
    answer = {"subtype": "error", "request_id": f"rewind-{number}", "error": "stale_target"}
    return {"type": "control_response", "response": answer}


def again(*texts: str, **more: object):
    """A later turn: user, assistant, user, ..."""
    kinds = (user, assistant)
    messages = [kinds[at % 2](said) for at, said in enumerate(texts)]
    return ask(*messages, turn_id=SECOND, **more)


def kinds(session: Session) -> list[str]:
    told = written(session.data_to_send())
    return [f["request"]["subtype"] if "request" in f else f["type"] for f in told]


def test_a_turn_that_goes_on_writes_only_what_is_new() -> None:
    session = rested(user("one"))
    session.resume(again("one", "eins", "two"), Sheet(), keep=2)
    (prompt,) = written(session.data_to_send())
    assert (prompt["message"]["content"], "shouldQuery" in prompt) == ("two", False)
    assert session.state is State.BUSY
    told = hear(session, begin("msg_2"), text("zwei"), stop(), result())
    assert [type(event) for event in told[-2:]] == [Finished, Settled]
    assert session.is_reusable


def test_only_a_child_that_rests_can_go_on() -> None:
    with pytest.raises(IllegalMove):
        claimed().resume(again("one"), Sheet(), keep=0)
    with pytest.raises(IllegalMove):
        Session("m", SIGN_IN).resume(again("one"), Sheet(), keep=0)


def test_a_turn_costs_what_came_on_top() -> None:
    session = rested(user("one"), total_cost_usd=0.25)
    session.resume(again("one", "eins", "two"), Sheet(), keep=2)
    told = hear(session, begin("msg_2"), text("x"), stop(), result(total_cost_usd=0.75))
    assert [e.cost_usd for e in told if isinstance(e, Settled)] == [0.5]


def test_an_answer_made_anew_takes_the_last_message_back_first() -> None:
    session = rested(user("one"))
    session.resume(again("uno"), Sheet(), keep=0)
    (rewind,) = written(session.data_to_send())
    assert rewind["request"] == {
        "subtype": "rewind_conversation",
        "target_message_uuid": message_uuid(ask().id, 0),
    }
    assert session.state is State.CLAIMED
    hear(session, rewound())
    (prompt,) = written(session.data_to_send())
    assert prompt["message"]["content"] == "uno"


def test_messages_are_taken_back_newest_first_down_to_what_is_kept() -> None:
    session = claimed(user("one"), assistant("eins"), user("two"))
    hear(session, result(user_message_uuids=[message_uuid(ask().id, 0)]))
    hear(session, begin(), text("zwei"), stop(), result())
    session.data_to_send()
    session.rewind(keep=0)
    targets = [f["request"]["target_message_uuid"] for f in written(session.data_to_send())]
    assert targets == [message_uuid(ask().id, 2), message_uuid(ask().id, 0)]
    assert not session.is_settled
    hear(session, rewound(0, precedingAssistantUuid="a"))
    assert not session.is_settled
    hear(session, rewound(1))
    assert session.is_settled
    assert session.is_reusable


def test_what_is_kept_is_not_taken_back() -> None:
    session = rested(user("one"))
    session.rewind(keep=1)
    assert session.data_to_send() == b""
    assert session.state is State.RESTING


def test_an_empty_conversation_holds_not_even_what_we_invented() -> None:
    session = claimed(assistant("Hello"), user("one"))
    hear(session, result(user_message_uuids=[message_uuid(ask().id, 0)]))
    hear(session, begin(), text("eins"), stop(), result())
    session.data_to_send()
    session.rewind(keep=0)
    assert len(written(session.data_to_send())) == 2


@pytest.mark.parametrize(
    "answer",
    [
        refused(),
        rewound(rewound=False),
        rewound(precedingAssistantUuid="somebody-elses"),
        rewound(rewound="yes"),
    ],
)
def test_a_child_that_does_not_take_it_back_is_spoiled(answer: Frame) -> None:
    """Above all: an answer that stays behind would stand in the next caller's request."""
    session = rested(user("one"))
    session.rewind(keep=0)
    session.data_to_send()
    hear(session, answer)
    assert session.is_settled
    assert session.is_spoiled
    assert not session.is_reusable
    session = rested(user("one"))
    session.resume(again("uno"), Sheet(), keep=0)
    session.data_to_send()
    (failed,) = hear(session, answer)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Died)
    assert session.data_to_send() == b""


def test_limits_are_written_when_they_change_and_taken_back() -> None:
    session = rested(user("one"))
    session.resume(again("one", "eins", "two", max_tokens=7), Sheet(), keep=2)
    assert kinds(session) == ["apply_flag_settings", "user"]
    hear(session, begin("msg_2"), text("zwei"), stop(), result())
    session.resume(again("one", "eins", "two", "zwei", "three", max_tokens=7), Sheet(), keep=4)
    assert kinds(session) == ["user"]
    hear(session, begin("msg_3"), text("drei"), stop(), result())
    turn = again("one", "eins", "two", "zwei", "three", "drei", "four")
    session.resume(turn, Sheet(), keep=6)
    limits, _ = written(session.data_to_send())
    assert limits["request"]["settings"]["env"] == {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": None}


def test_a_failed_turn_is_taken_back() -> None:
    session = claimed(user("one"))
    hear(session, result(is_error=True, api_error_status=400))
    session.rewind(keep=0)
    assert kinds(session) == ["rewind_conversation"]


def test_a_turn_that_was_still_queued_left_nothing_to_take_back() -> None:
    session = claimed(user("one"))
    session.interrupt()
    session.data_to_send()
    prompt = message_uuid(ask().id, 0)
    answer = {"subtype": "success", "request_id": "interrupt", "response": {"cancelled": [prompt]}}
    hear(session, {"type": "control_response", "response": answer})
    assert session.is_reusable
    session.rewind(keep=0)
    assert session.data_to_send() == b""


def test_late_answers_to_rewinds_mean_nothing() -> None:
    session = rested(user("one"))
    assert hear(session, rewound(), refused(7)) == []
    assert not session.is_spoiled


@pytest.mark.parametrize(
    ("told", "expected"),
    [(None, None), ("soon", None), (1_800_000_000, 1.8e9), (1_800_000_000_000, 1.8e9)],
)
def test_the_end_of_the_login_is_read_in_seconds_and_in_milliseconds(
    told: object, expected: float | None
) -> None:
    assert rested(user("one"), credential_expires_at=told).login_ends_at == expected


def test_a_child_that_took_back_too_much_is_spoiled() -> None:
    session = claimed(user("one"), assistant("eins"), user("two"))
    hear(session, result(user_message_uuids=[message_uuid(ask().id, 0)]))
    hear(session, begin(), text("zwei"), stop(), result())
    session.rewind(keep=2)
    session.data_to_send()
    hear(session, rewound(precedingAssistantUuid=None))
    assert session.is_spoiled
