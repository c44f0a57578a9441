"""The laws of the CLI's room.

1. Cuts do not matter: any chunking of the child's stdout gives the same events.
2. Whatever the CLI says, in whatever order, a turn's events keep their order and nothing is raised.
3. What a caller wrote is inside JSON strings on stdin and nowhere else.
4. A message's uuid is its own.
"""

import random
import uuid
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ocpd.claude.lifecycle import State
from ocpd.claude.limits import Sheet
from ocpd.claude.lines import Lines, LineTooLong
from ocpd.claude.messages import SPEAKS_FIRST, message_uuid
from ocpd.claude.session import Session
from ocpd.errors import Upstream
from ocpd.turn.events import Event, Failed, Finished
from ocpd.turn.request import Message, Role, TurnId
from tests.unit.claude import stage
from tests.unit.claude.stage import Frame, ask, assert_in_order, claim_steps, encode, written
from tests.unit.claude.transcripts import CASES, read, start

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


def play(name: str, chunks: list[bytes]) -> tuple[list[str], bytes, State, bool]:
    session = start(CASES[name])
    events = [event for chunk in chunks for event in session.receive(chunk)]
    assert_in_order(events)
    return describe(events), session.data_to_send(), session.state, session.must_kill


@given(st.sampled_from(sorted(CASES)), PLACES)
def test_a_transcript_means_the_same_however_it_was_cut(name: str, places: list[int]) -> None:
    lines = read(name)
    data = b"".join(lines)
    assert play(name, cut(data, places)) == play(name, [data]) == play(name, lines)


def test_a_transcript_means_the_same_byte_by_byte() -> None:
    data = b"".join(read("answer"))
    assert play("answer", [data[i : i + 1] for i in range(len(data))]) == play("answer", [data])


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
