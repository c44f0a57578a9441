"""The laws of the CLI's room.

1. Cuts do not matter: any chunking of the child's stdout gives the same events.
2. Whatever the CLI says, in whatever order, a turn's events keep their order and nothing is raised.
3. What a caller wrote is inside JSON strings on stdin and nowhere else.
4. A message's uuid is its own.
"""

import random
import uuid
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.claude.lifecycle import State
from ocpd.claude.limits import Sheet
from ocpd.claude.lines import Lines, LineTooLong
from ocpd.claude.messages import SPEAKS_FIRST, message_uuid
from ocpd.claude.session import Session
from ocpd.errors import Upstream
from ocpd.turn.events import CallBegun, Event, Failed, Finished, StopReason
from ocpd.turn.request import Message, Role, Text, ToolResult, ToolUse, TurnId
from tests.unit.claude import stage
from tests.unit.claude.stage import Frame, ask, assert_in_order, claim_steps, encode, written
from tests.unit.claude.transcripts import CASES, Talk, read, split_turns

OTHER = "99999999-9999-4999-8999-999999999999"
HISTORY = (stage.user("one"), stage.assistant("eins"), stage.user("two"))
UUIDS = (stage.PROMPT, message_uuid(stage.TURN_ID, 2), OTHER)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


PLACES = st.lists(st.integers(0, 1 << 20), max_size=40)

# 1. Cuts do not matter.


def read_lines(chunks: list[bytes], limit: int) -> tuple[list[bytes], bool]:
    lines, found = Lines(limit), []
    for chunk in chunks:
        try:
            found += lines.feed(chunk)
        except LineTooLong as error:
            found += error.before
            return found, True
    return found, False


BYTES = st.lists(st.sampled_from([b"\n", b"\n", b" ", b"\r", b"ab", "😀".encode(), b"{}"]))


@given(BYTES.map(b"".join), PLACES, st.integers(1, 12))
def test_lines_are_the_same_however_the_bytes_were_cut(
    data: bytes, places: list[int], limit: int
) -> None:
    assert read_lines(cut(data, places), limit) == read_lines([data], limit)


@given(BYTES.map(b"".join), PLACES)
def test_lines_are_what_stands_between_newlines(data: bytes, places: list[int]) -> None:
    whole = [line for line in data.split(b"\n")[:-1] if line.strip()]
    assert read_lines(cut(data, places), 1 << 20) == (whole, False)


def describe(events: list[Event]) -> list[str]:
    """Errors are compared by what they say: they have no equality of their own."""
    return [
        f"Failed {event.error!r} {event.error.detail}" if isinstance(event, Failed) else repr(event)
        for event in events
    ]


def play(
    name: str, into_pieces: Callable[[bytes], list[bytes]]
) -> tuple[list[str], bytes, State, bool]:
    """Play each turn of a transcript in pieces: what comes next answers what we wrote then."""
    talk = Talk(CASES[name])
    told: list[str] = []
    for number, turn in enumerate(split_turns(name)):
        if number > 0:
            talk.go_on()
        events = [event for piece in into_pieces(turn) for event in talk.session.receive(piece)]
        assert_in_order(events)
        told += describe(events)
    return told, talk.session.data_to_send(), talk.session.state, talk.session.must_kill


def whole(data: bytes) -> list[bytes]:
    return [data]


@given(st.sampled_from(sorted(CASES)), PLACES)
def test_a_transcript_means_the_same_however_it_was_cut(name: str, places: list[int]) -> None:
    expected = play(name, whole)
    assert play(name, lambda data: cut(data, places)) == expected
    assert play(name, lambda data: data.splitlines(keepends=True)) == expected


@pytest.mark.parametrize("name", ["answer", "calls"])
def test_a_transcript_means_the_same_byte_by_byte(name: str) -> None:
    assert b"".join(split_turns(name)) == b"".join(read(name))
    by_byte = play(name, lambda data: [data[i : i + 1] for i in range(len(data))])
    assert by_byte == play(name, whole)


# 2. Whatever the CLI says.

WORDS = st.sampled_from(["", " ", "a", "bcd", "\n"])
IDS = st.sampled_from(["msg_1", "msg_2", ""])
REASONS = st.sampled_from(
    [None, "end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal", "brand_new"]
)
NAMED: st.SearchStrategy[Frame] = st.fixed_dictionaries(
    {},
    optional={
        "user_message_uuids": st.lists(st.sampled_from(UUIDS), max_size=2),
        "parent_tool_use_id": st.sampled_from([None, "toolu_1"]),
    },
)
USAGE = st.none() | st.fixed_dictionaries(
    {}, optional={"input_tokens": st.none() | st.integers(0, 9), "output_tokens": st.integers(0, 9)}
)
STREAMED = st.one_of(
    st.builds(stage.begin, IDS, USAGE),
    st.builds(stage.text, WORDS),
    st.builds(stage.thought, WORDS),
    st.builds(stage.stop, REASONS, USAGE),
    st.builds(stage.close),
    st.just(stage.stream({"type": "ping"})),
)
BLOCKS = st.builds(stage.text_block, WORDS) | st.just({"type": "tool_use"})
WHOLE = st.builds(
    lambda block, message_id, stop_reason, model: stage.whole(
        block, message_id=message_id, stop_reason=stop_reason, model=model
    ),
    BLOCKS,
    IDS,
    REASONS,
    st.sampled_from([stage.MODEL, "<synthetic>", ""]),
)
ENDS = st.builds(
    lambda is_error, reason, status: stage.result(
        is_error=is_error, stop_reason=reason, api_error_status=status, result="x"
    ),
    st.booleans(),
    REASONS,
    st.sampled_from([None, 200, 400, 401, 404, 429, 529]),
)
CONTROL = st.one_of(
    st.builds(stage.granted, st.sampled_from(["initialize", "interrupt", "limits"])),
    st.builds(
        lambda found: stage.granted("interrupt", {"cancelled": found}),
        st.lists(st.sampled_from(UUIDS), max_size=2),
    ),
    st.builds(stage.refused, st.sampled_from(["initialize", "interrupt", "limits", "x"])),
    st.just({"type": "control_request", "request_id": "r", "request": {"subtype": "x"}}),
)
OTHERS = st.one_of(
    st.builds(stage.requesting),
    st.builds(stage.retrying, st.sampled_from([None, 429, 529]), st.just("overloaded")),
    st.just({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}),
    st.just({"type": "keep_alive"}),
    st.just({"type": "result", "errors": 3}),
)
SPOKEN = st.builds(lambda frame, named: frame | named, STREAMED | WHOLE | ENDS, NAMED)
SAYINGS = SPOKEN | STREAMED | STREAMED | WHOLE | CONTROL | OTHERS


class Deed(str):
    """Something that is done to a session rather than said by its child."""


DEEDS = st.sampled_from([Deed("interrupt"), Deed("time_out"), Deed("stop"), Deed("eof")])


def do(session: Session, deed: Deed) -> list[Event]:
    match str(deed):
        case "interrupt":
            session.interrupt()
        case "time_out":
            return session.time_out(Upstream("too slow", status=504))
        case "stop":
            session.stop()
        case "eof":
            return session.eof(1)
    return []


@given(st.lists(SAYINGS, max_size=30), st.booleans())
def test_whatever_the_cli_says_events_keep_their_order(
    frames: list[Frame], with_history: bool
) -> None:
    session = stage.claimed(*(HISTORY if with_history else ()))
    events = [event for frame in frames for event in stage.hear(session, frame)]
    assert_in_order(events)
    assert session.must_kill <= any(isinstance(event, Finished | Failed) for event in events)


@given(st.lists(SAYINGS | DEEDS, max_size=30), st.booleans())
def test_whatever_else_happens_events_keep_their_order(
    happenings: list[Frame | Deed], with_history: bool
) -> None:
    session = stage.claimed(*(HISTORY if with_history else ()))
    events: list[Event] = []
    has_left = False
    for happening in happenings:
        is_deed = isinstance(happening, Deed)
        new = do(session, happening) if is_deed else stage.hear(session, happening)
        assert not (has_left and new), "who has left hears nothing more"
        events += new
        has_left = has_left or (
            happening == "interrupt" and session.state in (State.BUSY, State.STOPPING)
        )
    assert_in_order(events)


@given(st.lists(SAYINGS | DEEDS, max_size=40))
def test_a_prompt_goes_out_at_most_once_and_only_after_its_history(
    happenings: list[Frame | Deed],
) -> None:
    session = stage.claimed(*HISTORY)
    prompts, is_confirmed = 0, False
    for happening in happenings:
        if isinstance(happening, Deed):
            do(session, happening)
        else:
            stage.hear(session, happening)
            named = happening.get("user_message_uuids") or [stage.PROMPT]
            is_confirmed |= happening["type"] == "result" and stage.PROMPT in named
        for frame in written(session.data_to_send()):
            if frame["type"] == "user":
                assert "shouldQuery" not in frame
                prompts += 1
        assert prompts <= is_confirmed


@given(st.lists(st.binary(max_size=60) | st.builds(encode, SAYINGS), max_size=20))
def test_whatever_bytes_come_nothing_is_raised(chunks: list[bytes]) -> None:
    session = stage.claimed()
    assert_in_order([event for chunk in chunks for event in session.receive(chunk)])


# ... of calls too.

CALL_IDS = st.sampled_from(["toolu_1", "toolu_2"])
INDEXES = st.integers(0, 2)
CALLED = st.one_of(
    st.builds(stage.call, CALL_IDS, INDEXES, st.sampled_from(["lookup", "lookup", "rm"])),
    st.builds(stage.fragment, st.sampled_from(["", "{", "}", '{"a":1}']), INDEXES),
    st.builds(stage.end_block, INDEXES),
    st.builds(stage.calling, CALL_IDS, INDEXES),
    st.builds(stage.stop, st.just("tool_use")),
    st.builds(
        lambda number: stage.mcp("notifications/cancelled", params={"requestId": number}), INDEXES
    ),
    st.builds(stage.granted, st.just("rewind-0"), st.just({"rewound": True})),
)


@st.composite
def answers_that_call(draw: st.DrawFn) -> list[Frame]:
    """An answer as the upstream sends it; what the CLI asks may come at any time after a call."""
    frames = [stage.begin(f"msg_{draw(st.integers(3, 9))}"), stage.text(draw(WORDS))]
    asked: list[Frame] = []
    names = draw(st.lists(CALL_IDS, min_size=1, max_size=2, unique=True))
    for index, name in enumerate(names, 1):
        pieces = draw(st.sampled_from([[], ["{}"], ['{"a"', ":1}"]]))
        frames += [stage.call(name, index), *(stage.fragment(piece, index) for piece in pieces)]
        frames.append(stage.end_block(index))
        wanted = stage.calling(name, index)
        (frames if draw(st.booleans()) else asked).append(wanted)
    return [*frames, stage.stop("tool_use"), *asked]


def go_on(session: Session, told: list[CallBegun], others: bool) -> None:
    """Give a child that may serve again its next turn: the results of its calls, or another."""
    messages = [stage.user("hi there")]
    if told and not others:
        parts = [(ToolUse(c.id, c.name, "{}"), ToolResult(c.id, (Text("42"),))) for c in told]
        messages += [Message(Role.ASSISTANT, tuple(call for call, _ in parts))]
        messages += [Message(Role.USER, tuple(result for _, result in parts))]
    later = ask(*messages, tools=(stage.LOOKUP,), turn_id=TurnId("e" * 32))
    session.resume(later, Sheet(), len(messages) - 1)


GOES_ON = st.sampled_from([Deed("go on"), Deed("go on"), Deed("go elsewhere")])
ANSWER = [stage.begin("msg_2"), stage.text("Hi"), stage.stop(), stage.result()]
TAKEN_BACK = [
    stage.result(is_error=True),
    stage.granted("rewind-0", {"rewound": True, "precedingAssistantUuid": None}),
]
NOISE = st.one_of(SAYINGS, CALLED, GOES_ON, DEEDS)


@st.composite
def courses(draw: st.DrawFn) -> list[Frame | Deed]:
    """What may happen to a child: mostly what should."""
    happenings: list[Frame | Deed] = []
    for _ in range(draw(st.integers(1, 6))):
        match draw(st.integers(0, 5)):
            case 0:
                happenings.append(draw(NOISE))
            case 1:
                happenings += [*ANSWER, draw(GOES_ON)]
            case _:
                happenings += [*draw(answers_that_call()), draw(GOES_ON)]
        if happenings[-1] == "go elsewhere":
            happenings += TAKEN_BACK
    return happenings


@given(courses())
def test_whatever_is_called_events_keep_their_order(happenings: list[Frame | Deed]) -> None:
    turn = ask(tools=(stage.LOOKUP,))
    session = Session(turn.model, stage.SIGN_IN)
    session.claim(turn, Sheet())
    turns: list[list[Event]] = [[]]
    for happening in happenings:
        was_holding = session.state is State.HOLDING
        if isinstance(happening, Deed) and happening.startswith("go"):
            if session.is_reusable:
                told = [event for event in turns[-1] if isinstance(event, CallBegun)]
                go_on(session, told if was_holding else [], happening == "go elsewhere")
                turns.append([])
        elif isinstance(happening, Deed):
            turns[-1] += do(session, happening)
        else:
            turns[-1] += stage.hear(session, happening)
        if session.state is State.HOLDING and not was_holding:
            end = turns[-1][-1]
            assert isinstance(end, Finished)
            assert end.reason is StopReason.TOOL_USE
            assert session.is_settled
    for events in turns:
        assert_in_order(events)


# 3. What a caller wrote.

TEXTS = st.text(min_size=1, max_size=40) | st.sampled_from(
    ['"}\n{"type":"control_request"', "\u2028", "\0", "@/etc/passwd", "/clear", "\r\n", "\\"]
)
CONVERSATIONS = st.lists(
    st.tuples(st.sampled_from(Role), st.lists(TEXTS, min_size=1, max_size=3)), max_size=8
)


def conversation(said: list[tuple[Role, list[str]]], last: list[str]) -> list[Message]:
    speakers = {Role.USER: stage.user, Role.ASSISTANT: stage.assistant}
    return [speakers[role](*texts) for role, texts in [*said, (Role.USER, last)]]


def texts_of(frame: Frame) -> list[str]:
    content = frame["message"]["content"]
    return [content] if isinstance(content, str) else [block["text"] for block in content]


def blank(frame: Frame) -> Frame:
    """A frame without what the caller wrote."""
    if frame["type"] == "control_request":
        request = frame["request"]
        if "systemPrompt" in request:
            request["systemPrompt"] = len(request["systemPrompt"])
        return frame
    frame["message"]["content"] = len(texts_of(frame))
    return frame


@given(CONVERSATIONS, st.lists(TEXTS, min_size=1, max_size=3), TEXTS)
def test_every_text_is_read_back_as_it_was_and_in_order(
    said: list[tuple[Role, list[str]]], last: list[str], system: str
) -> None:
    messages = conversation(said, last)
    data = b"".join(s.frames for s in claim_steps(ask(*messages, system=system), Sheet()))
    first, *frames = written(data)
    assert first["request"]["systemPrompt"] == [system]
    spoken = [(frame["type"], texts_of(frame)) for frame in frames]
    expected = [(m.role.value, [part.text for part in m.parts]) for m in messages]
    if messages[0].role is Role.ASSISTANT:
        expected.insert(0, ("user", [SPEAKS_FIRST]))
    assert spoken == expected


@given(CONVERSATIONS, st.lists(TEXTS, min_size=1, max_size=3), TEXTS, st.none() | st.integers(1))
def test_texts_change_nothing_but_the_strings_they_are_in(
    said: list[tuple[Role, list[str]]], last: list[str], system: str, limit: int | None
) -> None:
    harmless = [(role, ["x"] * len(texts)) for role, texts in said]
    shapes = []
    for talk, end, prompt in ((said, last, system), (harmless, ["x"] * len(last), "x")):
        turn = ask(*conversation(talk, end), system=prompt, max_tokens=limit)
        steps = claim_steps(turn, Sheet(64_000, True))
        assert all(step.frames.count(b"\n") == len(written(step.frames)) for step in steps)
        shapes.append([[blank(frame) for frame in written(step.frames)] for step in steps])
    assert shapes[0] == shapes[1]


@given(CONVERSATIONS, st.lists(TEXTS, min_size=1, max_size=3))
def test_every_user_frame_is_composed_by_a_client_and_the_last_one_asks(
    said: list[tuple[Role, list[str]]], last: list[str]
) -> None:
    steps = claim_steps(ask(*conversation(said, last)), Sheet())
    frames = [frame for step in steps for frame in written(step.frames)]
    users = [frame for frame in frames if frame["type"] == "user"]
    assert all(frame["client_composed"] is True for frame in users)
    assert [frame.get("shouldQuery") for frame in users] == [False] * (len(users) - 1) + [None]
    assert [step.said.uuid for step in steps if step.said] == [frame["uuid"] for frame in users]


# 4. Uuids.


@given(st.integers(0), st.integers(1, 300))
def test_uuids_of_a_turn_are_distinct_and_well_formed(seed: int, count: int) -> None:
    turn_id = TurnId(f"{random.Random(seed).getrandbits(128):032x}")
    found = {message_uuid(turn_id, index) for index in range(count)}
    assert len(found) == count
    for text in found:
        assert (uuid.UUID(text).version, uuid.UUID(text).variant) == (4, uuid.RFC_4122)
        assert str(uuid.UUID(text)) == text


@given(st.integers(0))
def test_uuids_of_different_turns_are_different(seed: int) -> None:
    dice = random.Random(seed)
    turns = [TurnId(f"{dice.getrandbits(128):032x}") for _ in range(20)]
    assert len({message_uuid(turn, index) for turn in turns for index in range(20)}) == 400
