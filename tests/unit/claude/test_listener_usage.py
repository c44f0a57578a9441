"""What a turn used: the counts of its upstream messages, summed, until the result says better."""

from ocpd.errors import Upstream
from ocpd.turn.events import Event, Finished, Settled, Usage
from tests.unit.claude.stage import (
    Frame,
    begin,
    close,
    failure,
    kinds,
    listen,
    result,
    stop,
    tell,
    text,
    text_block,
    whole,
)

TOO_SLOW = Upstream("too slow", status=504, code="timeout")


def counts(read: int, out: int, *, cached: int = 0, written: int = 0, thinking: int = 0) -> Frame:
    return {
        "input_tokens": read,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": out,
        "output_tokens_details": {"thinking_tokens": thinking},
    }


def finished_usage(events: list[Event]) -> Usage:
    (finished,) = [event for event in events if isinstance(event, Finished)]
    return finished.usage


def test_the_counts_of_the_end_replace_those_of_the_beginning() -> None:
    told = tell(
        listen(),
        begin(usage=counts(10, 1, cached=5, written=3)),
        text("Hi"),
        stop(usage=counts(11, 7, cached=6, written=4, thinking=2)),
    )
    assert finished_usage(told) == Usage(11, 6, 4, 7, 2)


def test_counts_that_the_end_does_not_give_stay() -> None:
    told = tell(
        listen(),
        begin(usage=counts(10, 1, cached=5, written=3, thinking=1)),
        text("Hi"),
        stop(usage={"output_tokens": 7, "input_tokens": None}),
    )
    assert finished_usage(told) == Usage(10, 5, 3, 7, 1)


def test_a_delta_that_names_no_reason_only_counts() -> None:
    listener = listen()
    told = tell(listener, begin(), text("Hi"), stop(None, counts(9, 1)))
    assert (kinds(told), listener.over) == (["Started", "TextDelta"], False)
    assert finished_usage(tell(listener, stop())) == Usage(9, 0, 0, 1, 0)


def test_what_was_heard_is_known_before_the_end_told_or_not() -> None:
    listener = listen()
    assert listener.heard == (Usage(), 0)
    tell(listener, begin(usage=counts(10, 1, cached=5)))
    assert listener.heard == (Usage(10, 5, 0, 1), 0)
    tell(listener, text("Hi"))
    assert listener.heard == (Usage(10, 5, 0, 1), 2)
    listener.drop()
    tell(listener, text("nobody listens"))
    assert listener.heard == (Usage(10, 5, 0, 1), 2)


def test_a_message_that_came_whole_is_heard_too() -> None:
    listener = listen()
    tell(listener, whole(text_block("Hi"), usage=counts(30, 7)))
    assert listener.heard == (Usage(30, 0, 0, 7), 3)


def test_an_answer_without_counts_counts_nothing() -> None:
    assert finished_usage(tell(listen(), begin(), text("Hi"), stop())) == Usage()


def test_several_upstream_messages_are_summed() -> None:
    told = tell(
        listen(),
        begin(usage=counts(10, 1)),
        stop("tool_use", counts(10, 5, thinking=2)),
        close(),
        begin("msg_2", usage=counts(20, 1)),
        close(),
        whole(text_block("Hi"), message_id="msg_3", usage=counts(30, 7), stop_reason="end_turn"),
        whole(text_block("!"), message_id="msg_3", usage=counts(30, 7), stop_reason="end_turn"),
        result(),
    )
    assert finished_usage(told) == Usage(60, 0, 0, 13, 2)


def test_the_result_has_the_last_word_on_the_counts() -> None:
    told = tell(
        listen(),
        begin(usage=counts(10, 1)),
        text("Hi"),
        stop(usage=counts(10, 5)),
        result(usage=counts(30, 9, cached=2, thinking=4), total_cost_usd=0.5),
    )
    assert finished_usage(told) == Usage(10, 0, 0, 5, 0)
    assert told[-1] == Settled(Usage(30, 2, 0, 9, 4), 0.5)


def test_a_result_without_counts_leaves_the_sum() -> None:
    told = tell(listen(), begin(usage=counts(10, 1)), text("Hi"), stop(), result())
    assert told[-1] == Settled(Usage(10, 0, 0, 1, 0), 0.25)


def test_the_zeros_of_an_aborted_result_do_not_replace_what_was_used() -> None:
    listener = listen()
    tell(listener, begin(usage=counts(10, 1)), text("Hi"))
    listener.time_out(TOO_SLOW)
    settled = tell(listener, failure(usage=counts(0, 0)))
    assert settled == [Settled(Usage(10, 0, 0, 1, 0), 0.0)]
