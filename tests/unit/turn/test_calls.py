"""Calls and their results belong together: what is missing is said, and what fits nothing refused.

Messages are written as letters where only their kind matters: Q is something the user asks, a an
answer, c an answer that calls, R the results of the message before, S results with a new question.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.errors import BadRequest
from ocpd.turn.calls import (
    UNANSWERED,
    calls_of,
    cut_before,
    has_begun,
    is_results,
    pair_calls,
    plain_id,
    read_arguments,
    results_of,
)
from ocpd.turn.request import Message, Part, Role, Text, ToolResult, ToolUse, Turn
from tests.unit.claude.stage import ask, assistant, user

GO_ON = Text("go on")


def calls(*names: str, said: str = "") -> Message:
    """An answer that calls once for each of the ids."""
    told: tuple[Part, ...] = (Text(said),) if said else ()
    return Message(Role.ASSISTANT, (*told, *(ToolUse(name, "lookup", "{}") for name in names)))


def results(*names: str, also: str = "") -> Message:
    """What the tools answered to those ids, with a text after it if there is one."""
    told: tuple[Part, ...] = (Text(also),) if also else ()
    return Message(Role.USER, (*(ToolResult(name, (Text("ok"),)) for name in names), *told))


def not_run(*names: str) -> tuple[ToolResult, ...]:
    """What stands for the results that never came."""
    return tuple(ToolResult(name, (Text(UNANSWERED),), is_error=True) for name in names)


def paired(*messages: Message) -> tuple[Message, ...]:
    return pair_calls(ask(*messages)).messages


def refused(*messages: Message) -> str:
    """What is said about a conversation that does not fit."""
    with pytest.raises(BadRequest) as caught:
        paired(*messages)
    error = caught.value
    assert (error.status, error.code, error.param) == (400, "invalid_tool_results", "messages")
    return error.message


def spell(kinds: str) -> list[Message]:
    """Messages of these kinds; every call has the same id."""
    made = {
        "Q": user("q"),
        "a": assistant("a"),
        "c": calls("toolu_1"),
        "R": results("toolu_1"),
        "S": results("toolu_1", also="and?"),
    }
    return [made[kind] for kind in kinds]


# Ids.


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("toolu_01AbC", "01AbC"),
        ("call_01AbC", "01AbC"),
        ("toolu01AbC", "01AbC"),
        ("call-01-AbC", "01AbC"),
        ("01AbC", "01AbC"),
        ("functions.lookup:0", "functionslookup0"),
        ("recall_1", "recall1"),
        ("", ""),
        ("toolu_", ""),
        ("_-_", ""),
    ],
)
def test_an_id_is_the_same_in_every_spelling_of_a_client(name: str, plain: str) -> None:
    assert plain_id(name) == plain


@given(st.text("abcXYZ019", min_size=1, max_size=30))
def test_whatever_prefix_stands_before_an_id_it_is_the_same(core: str) -> None:
    spellings = [core, f"toolu_{core}", f"call_{core}", f"toolu{core}", f"call-{core}"]
    assert len({plain_id(name) for name in spellings}) == 1


# Arguments.


@pytest.mark.parametrize("text", ["", " ", "\n\t", "null", " null ", "{}", " { } "])
def test_no_arguments_are_an_empty_object(text: str) -> None:
    assert read_arguments(text) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1}', {"a": 1}),
        (' {"a": [1.5, null, "\\u00e9"]}\n', {"a": [1.5, None, "é"]}),
        ('{"a": {"b": "\u2028"}}', {"a": {"b": "\u2028"}}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ],
)
def test_an_object_is_read(text: str, told: dict[str, object]) -> None:
    assert read_arguments(text) == told


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1',
        '{"a": 1}}',
        "{'a': 1}",
        '{"a": NaN}',
        "[]",
        '[{"a": 1}]',
        "1",
        "true",
        '"{}"',
        "nonsense",
        "\ufeff{}",
        '{"a": "\\ud800"}',
        '{"a": 1e999}',
    ],
)
def test_what_is_no_object_is_nothing(text: str) -> None:
    assert read_arguments(text) is None


@pytest.mark.parametrize("depth", [250, 900, 1_200, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_arguments_that_are_too_deep_are_no_object(depth: int, opening: str, closing: str) -> None:
    assert read_arguments('{"x":' + opening * depth + "1" + closing * depth + "}") is None


def test_deep_arguments_are_read() -> None:
    assert read_arguments('{"a":' * 150 + "{}" + "}" * 150) is not None
    assert read_arguments('{"a":' + "[" * 150 + "]" * 150 + "}") is not None


@given(st.text())
def test_whatever_the_model_writes_reading_it_raises_nothing(text: str) -> None:
    told = read_arguments(text)
    assert told is None or isinstance(told, dict)


# Where a conversation can be cut.


def test_the_parts_of_a_message_are_told_apart() -> None:
    assert [call.id for call in calls_of(calls("a", "b", said="hm"))] == ["a", "b"]
    assert calls_of(user("x")) == results_of(user("x")) == ()
    assert [each.id for each in results_of(results("a", "b", also="x"))] == ["a", "b"]
    assert is_results(results("a", also="x"))
    assert not is_results(user("x"))
    assert not is_results(calls("a"))


@pytest.mark.parametrize(
    ("kinds", "places"),
    [
        # For each place in the conversation, and its end: where it is cut.
        ("", [0]),
        ("Q", [0, 0]),
        ("Qa", [0, 0, 2]),
        ("QaQ", [0, 0, 2, 2]),
        ("QQ", [0, 0, 0]),
        ("QaQQ", [0, 0, 2, 2, 2]),
        ("aQ", [0, 1, 1]),
        ("aQa", [0, 1, 1, 3]),
        ("QcR", [0, 0, 0, 0]),
        ("QcRa", [0, 0, 0, 0, 4]),
        ("QcRaQ", [0, 0, 0, 0, 4, 4]),
        ("QcRcR", [0, 0, 0, 0, 0, 0]),
        ("QaQcRcRa", [0, 0, 2, 2, 2, 2, 2, 2, 8]),
        ("Qc", [0, 0, 0]),
        ("QcQ", [0, 0, 2, 2]),
        # The user who says something with, or right after, results is still at the same request.
        ("QcS", [0, 0, 0, 0]),
        ("QcSa", [0, 0, 0, 0, 4]),
        ("QcRQ", [0, 0, 0, 0, 0]),
        ("QcRQa", [0, 0, 0, 0, 0, 5]),
        ("QaQcSaQ", [0, 0, 2, 2, 2, 2, 6, 6]),
        # A client's own cut, or ours, may have left an answer first.
        ("cRa", [0, 0, 0, 3]),
        ("cRaQ", [0, 0, 0, 3, 3]),
        # Between two answers nothing begins.
        ("QaaQ", [0, 0, 0, 3, 3]),
    ],
)
def test_a_conversation_is_cut_before_a_request(kinds: str, places: list[int]) -> None:
    messages = spell(kinds)
    assert [cut_before(messages, at) for at in range(len(messages) + 1)] == places


@given(st.text("QacRS", max_size=12), st.integers(0, 12))
def test_a_cut_is_at_or_before_its_place_and_cutting_there_again_changes_nothing(
    kinds: str, at: int
) -> None:
    messages = spell(kinds)
    place = cut_before(messages, min(at, len(messages)))
    assert 0 <= place <= at
    assert cut_before(messages, place) == place


@pytest.mark.parametrize(
    ("kinds", "begun"),
    [
        ("", False),
        ("Q", False),
        ("QaQ", False),
        ("QcRaQ", False),
        ("QcSaQ", False),
        ("QaQQ", False),
        ("QcR", True),
        ("QcS", True),
        ("QcRQ", True),
        ("QcRcR", True),
        ("QcRaQcR", True),
        ("cR", True),
        ("QcRa", False),
    ],
)
def test_a_request_has_begun_if_it_was_called_for(kinds: str, begun: bool) -> None:
    assert has_begun(spell(kinds)) is begun


# Pairs.


@pytest.mark.parametrize("kinds", ["Q", "QaQ", "aQ", "QQ"])
def test_without_calls_nothing_is_looked_at(kinds: str) -> None:
    turn = ask(*spell(kinds))
    assert pair_calls(turn) is turn


@pytest.mark.parametrize(
    "messages",
    [
        (user("q"), calls("a"), results("a")),
        (user("q"), calls("a", "b", said="hm"), results("a", "b")),
        # In any order, in any spelling, and with more in the same message or after it.
        (user("q"), calls("a", "b"), results("b", "a")),
        (user("q"), calls("toolu_a-1"), results("call_a1")),
        (user("q"), calls("a"), results("a", also="and?")),
        (user("q"), calls("a"), results("a"), user("and?"), user("well?")),
        # Several in one request, and the same ids in each.
        (user("q"), calls("call_0"), results("call_0"), calls("call_0"), results("call_0")),
        (user("q"), calls("a"), results("a"), assistant("done"), user("q")),
        # An answer before the one that calls, and a conversation that begins with calls.
        (user("q"), assistant("hm"), calls("a"), results("a")),
        (calls("a"), results("a"), assistant("done"), user("q")),
        # Calls of the older kind.
        (user("q"), calls("f-1"), results("f-1"), calls("f-2"), results("f-2")),
    ],
)
def test_a_conversation_in_order_is_left_alone(messages: tuple[Message, ...]) -> None:
    assert paired(*messages) == messages


@pytest.mark.parametrize(
    ("messages", "name", "what"),
    [
        # Missing, and nothing new is said.
        ((user("q"), calls("a", "b"), results("a")), "b", "has no result"),
        ((user("q"), calls("a"), assistant("hm"), user("q")), "a", "has no result"),
        ((user("q"), calls("a"), calls("b"), results("b")), "a", "has no result"),
        ((user("q"), calls("a"), calls("b"), results("a", "b")), "a", "has no result"),
        (
            (user("q"), calls("a", "b"), results("b"), assistant("done"), user("q")),
            "a",
            "has no result",
        ),
        # Stray.
        ((user("q"), results("a")), "a", "no such call"),
        ((results("a"), user("q")), "a", "no such call"),
        ((user("q"), assistant("hm"), results("a")), "a", "no such call"),
        ((user("q"), calls("a"), results("a", "x")), "x", "no such call"),
        ((user("q"), calls("a"), results("x")), "x", "no such call"),
        ((user("q"), calls("a"), results("a"), assistant("b"), results("a")), "a", "no such call"),
        # Too late.
        ((user("q"), calls("a"), user("never mind"), results("a")), "a", "no such call"),
        ((user("q"), calls("a", "b"), results("a"), user("hm"), results("b")), "b", "no such call"),
        # A second one.
        ((user("q"), calls("a"), results("a", "a")), "a", "answered twice"),
        ((user("q"), calls("toolu_a"), results("toolu_a", "call_a")), "call_a", "answered twice"),
        ((user("q"), calls("a", "b"), results("a", "b", "a")), "a", "answered twice"),
        # Two calls that nobody could tell apart, in one message.
        ((user("q"), calls("a", "a"), results("a", "a")), "a", "made twice"),
        ((user("q"), calls("", ""), results("", "")), "", "made twice"),
        ((user("q"), calls("toolu_a", "call_a"), results("toolu_a")), "call_a", "made twice"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_id(
    messages: tuple[Message, ...], name: str, what: str
) -> None:
    said = refused(*messages)
    assert f"{name!r}" in said
    assert what in said


@pytest.mark.parametrize(
    ("messages", "replaced"),
    [
        # The user went on, with the results that there are or without any.
        ((user("q"), calls("a"), user("well")), {2: Message(Role.USER, not_run("a"))}),
        (
            (user("q"), calls("a", "b"), results("b", also="well")),
            {2: Message(Role.USER, (*results("b").parts, *not_run("a"), Text("well")))},
        ),
        (
            (user("q"), calls("a", "b"), results("b"), user("well")),
            {2: Message(Role.USER, (*results("b").parts, *not_run("a")))},
        ),
        # Somewhere in the middle, and more than once.
        (
            (user("q"), calls("a"), user("well"), assistant("b"), user("q")),
            {2: Message(Role.USER, not_run("a"))},
        ),
        (
            (user("q"), calls("a", "b"), user("well"), calls("a"), user("no"), user("stop")),
            {2: Message(Role.USER, not_run("a", "b")), 5: Message(Role.USER, not_run("a"))},
        ),
    ],
)
def test_calls_that_the_user_left_behind_say_so(
    messages: tuple[Message, ...], replaced: dict[int, Message]
) -> None:
    expected = list(messages)
    for at, message in replaced.items():
        # A message of its own, if there was none with results.
        expected[at : at + is_results(expected[at])] = [message]
    assert paired(*messages) == tuple(expected)


def test_a_text_before_results_in_their_message_comes_after_them() -> None:
    """The upstream wants the results first."""
    mixed = Message(Role.USER, (GO_ON, *results("a").parts))
    assert paired(user("q"), calls("a"), mixed)[2] == results("a", also="go on")


def test_a_long_id_is_not_repeated_at_length() -> None:
    assert len(refused(user("q"), results("x" * 10_000))) < 300


# The laws.

IDS = st.sampled_from(["call_0", "call_1", "toolu_x-Y", "functions.f:2", "", "9"])
SPELLINGS = st.sampled_from(["{}", "toolu_{}", "call_{}", "call-{}"])


@st.composite
def rounds(draw: st.DrawFn) -> list[Message]:
    """An answer that calls, and its results in an order and a spelling of the client's."""
    names = draw(st.lists(IDS, min_size=1, max_size=3, unique_by=plain_id))
    said = draw(st.sampled_from(["", "hm"]))
    again = [draw(SPELLINGS).format(plain_id(name)) for name in draw(st.permutations(names))]
    more = draw(st.sampled_from(["", "", "and?"]))
    after = draw(st.lists(st.just(user("well?")), max_size=1))
    return [calls(*names, said=said), results(*again, also=more), *after]


@st.composite
def talks(draw: st.DrawFn) -> list[Message]:
    """A conversation in order, that ends with the user's."""
    messages: list[Message] = draw(st.lists(st.just(assistant("hello")), max_size=1))
    for _ in range(draw(st.integers(1, 3))):
        messages += [user("q")] * draw(st.integers(1, 2))
        for each in draw(st.lists(rounds(), max_size=3)):
            messages += each
        messages.append(assistant("done"))
    return [*messages, user("q")] if draw(st.booleans()) else messages[:-1]


def omit(message: Message, kept: list[bool]) -> Message:
    """Without some of its results."""
    stays = iter(kept)
    return Message(
        message.role,
        tuple(part for part in message.parts if not isinstance(part, ToolResult) or next(stays)),
    )


@st.composite
def broken_talks(draw: st.DrawFn) -> list[Message]:
    """A conversation in which results may be missing."""
    found = [
        omit(message, draw(st.lists(st.booleans(), min_size=3, max_size=3)))
        for message in draw(talks())
    ]
    left = [message for message in found if message.parts]
    return left if left[-1].role is Role.USER else [*left, user("never mind")]


def is_stand_in(part: Part) -> bool:
    return isinstance(part, ToolResult) and part.content == (Text(UNANSWERED),)


def without_stand_ins(messages: tuple[Message, ...]) -> list[Message]:
    left = (
        Message(each.role, tuple(part for part in each.parts if not is_stand_in(part)))
        for each in messages
    )
    return [message for message in left if message.parts]


def assert_paired(messages: tuple[Message, ...]) -> None:
    waiting: list[str] = []
    for message in messages:
        found = [plain_id(each.id) for each in results_of(message)]
        assert sorted(found) == sorted(waiting)
        waiting = [plain_id(call.id) for call in calls_of(message)]
    assert not waiting


@given(talks())
def test_any_conversation_in_order_is_left_alone(messages: list[Message]) -> None:
    turn = ask(*messages)
    assert pair_calls(turn) == turn
    assert_paired(turn.messages)


def try_pairing(messages: list[Message]) -> Turn | BadRequest:
    try:
        return pair_calls(ask(*messages))
    except BadRequest as error:
        return error


@given(broken_talks())
def test_where_results_are_missing_one_is_named_or_every_call_has_one(
    messages: list[Message],
) -> None:
    whole = try_pairing(messages)
    if isinstance(whole, BadRequest):
        names = [call.id for message in messages for call in calls_of(message)]
        assert any(repr(name) in whole.message for name in names)
    else:
        assert_paired(whole.messages)
        assert without_stand_ins(whole.messages) == messages
        assert pair_calls(whole) == whole


@given(broken_talks(), st.data())
def test_who_always_says_something_new_is_never_refused(
    messages: list[Message], data: st.DataObject
) -> None:
    went_on: list[Message] = []
    for index, message in enumerate(messages):
        went_on.append(message)
        follows = messages[index + 1 : index + 2]
        called = bool(calls_of(message)) and not (follows and is_results(follows[0]))
        if called or is_results(message):
            went_on.append(user(data.draw(st.sampled_from(["well", "no"]))))
    assert_paired(pair_calls(ask(*went_on)).messages)
