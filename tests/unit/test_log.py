"""What a line of the log holds, and what it never holds."""

import io
import logging
import sys
from collections.abc import Iterator

import msgspec
import pytest

from ocpd.log import Ring, TextFormatter, TurnFilter, configure, describe, turn_context, turn_id
from ocpd.turn.request import TurnId

TURN = TurnId("a" * 32)


@pytest.fixture(autouse=True)
def _restored_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def make_record(event: str = "x_happened", /, **extra: object) -> logging.LogRecord:
    return logging.getLogger("ocpd.test").makeRecord(
        "ocpd.test", logging.INFO, __file__, 1, event, (), None, extra=extra
    )


def fail_with(error: Exception, record: logging.LogRecord) -> logging.LogRecord:
    def fail() -> None:
        raise error

    try:
        fail()
    except type(error):
        record.exc_info = sys.exc_info()
    return record


def read_lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_has_time_level_event_turn_and_the_extra_fields() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    with turn_context(TURN):
        logging.getLogger("ocpd.test").info("turn_finished", extra={"ms": 12, "cost": 0.5})
    (line,) = read_lines(stream)
    assert list(line) == ["ts", "level", "event", "turn", "ms", "cost"]
    assert line | {"ts": ""} == {
        "ts": "",
        "level": "info",
        "event": "turn_finished",
        "turn": TURN,
        "ms": 12,
        "cost": 0.5,
    }


def test_the_time_is_utc_with_milliseconds() -> None:
    record = make_record()
    record.created = 1_700_000_000.123
    assert describe(record)["ts"] == "2023-11-14T22:13:20.123Z"


def test_outside_a_turn_a_line_has_no_turn() -> None:
    record = make_record()
    TurnFilter().filter(record)
    assert "turn" not in describe(record)
    assert turn_id.get() is None


def test_a_turn_given_by_hand_wins_over_the_one_around() -> None:
    record = make_record(turn="other")
    with turn_context(TURN):
        TurnFilter().filter(record)
    assert describe(record)["turn"] == "other"


def test_turns_nest_and_are_left_even_by_a_failure() -> None:
    with turn_context(TURN):
        with pytest.raises(KeyError), turn_context(TurnId("b" * 32)):
            raise KeyError
        assert turn_id.get() == TURN
    assert turn_id.get() is None


def test_less_than_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure("warning", "json", stream)
    logging.getLogger("ocpd.test").info("quiet")
    logging.getLogger("ocpd.test").warning("loud")
    assert [line["event"] for line in read_lines(stream)] == ["loud"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="SHOUT"):
        configure("shout", "json", io.StringIO())


@pytest.mark.parametrize(
    ("format_", "stream", "begins"),
    [
        ("auto", io.StringIO(), '{"ts":'),
        ("auto", Terminal(), "ts="),
        ("text", io.StringIO(), "ts="),
        ("json", Terminal(), '{"ts":'),
    ],
)
def test_auto_asks_the_stream_whether_it_is_a_terminal(
    format_: str, stream: io.StringIO, begins: str
) -> None:
    configure("info", format_, stream)
    logging.getLogger("ocpd.test").info("hello")
    assert stream.getvalue().startswith(begins)


def test_a_second_configure_takes_the_place_of_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("info", "json", first)
    configure("info", "json", second)
    logging.getLogger("ocpd.test").info("hello")
    assert first.getvalue() == ""
    assert len(read_lines(second)) == 1


def test_a_mapping_is_flattened_and_other_values_become_text() -> None:
    fields = describe(make_record(usage={"input": 3, 4: None}, path=("a", 1), big=1 << 80, ok=True))
    assert fields["usage.input"] == 3
    assert fields["usage.4"] is None
    assert fields["path"] == "('a', 1)"
    assert fields["big"] == str(1 << 80)
    assert fields["ok"] is True


def test_a_field_cannot_replace_time_level_or_event() -> None:
    fields = describe(make_record(level="fake", event="fake"))
    assert (fields["level"], fields["event"]) == ("info", "x_happened")
    assert (fields["level_"], fields["event_"]) == ("fake", "fake")


def test_a_failure_brings_its_name_and_traceback() -> None:
    record = fail_with(ValueError("odd"), make_record())
    fields = describe(record)
    assert fields["error"] == "ValueError: odd"
    assert str(fields["traceback"]).endswith("ValueError: odd")


@pytest.mark.parametrize(
    "secret",
    [
        "ocp_" + "k" * 32,
        "sk-ant-oat01-abc_DEF",
        "Bearer abc.def-ghi",
        "authorization: bearer xyz",
    ],
)
def test_secrets_are_replaced_wherever_they_stand(secret: str) -> None:
    record = fail_with(
        ValueError(secret),
        make_record(f"got {secret} here", header=secret, nested={"a": f"<{secret}>"}),
    )
    written = msgspec.json.encode(describe(record)).decode()
    assert secret.rsplit(maxsplit=1)[-1] not in written
    assert written.count("[redacted]") >= 5


def test_long_values_are_cut_at_two_thousand_characters() -> None:
    fields = describe(make_record(text="ä" * 70_000, key="x" * 1_990 + " ocp_" + "s" * 40))
    assert len(str(fields["text"])) == 2_000
    assert str(fields["text"]).endswith("…")
    assert "ocp_" not in str(fields["key"])


def test_of_a_long_traceback_the_end_is_kept() -> None:
    record = fail_with(ValueError("x" * 3_000 + "the end"), make_record())
    fields = describe(record)
    assert len(str(fields["traceback"])) == 2_000
    assert str(fields["traceback"]).endswith("the end")


@pytest.mark.parametrize(
    "value", [Hostile(), "\ud800", b"\xff", float("nan"), {"a": Hostile()}, {Hostile(): 1}]
)
@pytest.mark.parametrize("format_", ["json", "text"])
def test_no_value_costs_the_line(format_: str, value: object) -> None:
    stream = io.StringIO()
    ring = configure("info", format_, stream)
    logging.getLogger("ocpd.test").info("odd_value", extra={"value": value})
    assert "odd_value" in stream.getvalue()
    assert len(ring.tail(10)) == 1


def test_arguments_that_do_not_fit_the_message_do_not_cost_the_line() -> None:
    record = make_record("%d things")
    record.args = ("many",)
    assert describe(record)["event"] == "%d things"


def test_a_failure_without_text_does_not_cost_the_line() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        @property
        def __notes__(self) -> list[str]:
            raise RuntimeError

    record = make_record()
    record.exc_info = (Mute, Mute(), None)
    fields = describe(record)
    assert fields["error"] == "Mute: <Mute without text>"
    assert isinstance(fields["traceback"], str)


def test_a_stream_that_is_gone_loses_the_line_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    ring = configure("info", "json", stream)
    stream.close()
    logging.getLogger("ocpd.test").info("hello")
    assert [line["event"] for line in ring.tail(10)] == ["hello"]
    assert [h.lost for h in logging.getLogger().handlers if hasattr(h, "lost")] == [1]
    assert capsys.readouterr() == ("", "")


def test_text_quotes_what_needs_it_and_moves_no_cursor() -> None:
    record = make_record(said='a "b"\nc', esc="\x1b[2J\x9b", n=3, none=None, empty="", ok="a/b:c")
    line = TextFormatter().format(record)
    assert line.split(" ", 2)[2] == (
        r'event=x_happened said="a \"b\"\nc" esc="\u001b[2J\u009b" n=3 none=null empty="" ok=a/b:c'
    )


def test_text_puts_a_traceback_on_lines_of_its_own() -> None:
    record = fail_with(ValueError("\x1b[2J"), make_record())
    first, *rest = TextFormatter().format(record).splitlines()
    assert "error=" in first
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_the_ring_keeps_the_newest_lines() -> None:
    ring = Ring(capacity=3)
    for number in range(5):
        record = make_record(n=number)
        record.levelname = "ERROR" if number % 2 else "INFO"
        ring.handle(record)
    assert [line["n"] for line in ring.tail(10)] == [2, 3, 4]
    assert [line["n"] for line in ring.tail(1)] == [4]
    assert [line["n"] for line in ring.tail(10, "error")] == [3]
    assert ring.tail(0) == []
    assert repr(ring) == "Ring(3 of 3)"
