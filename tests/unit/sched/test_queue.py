"""First come, first served, within two bounds. Every other order is in the property tests."""

import pytest

from ocpd.sched.queue import Answer, Queue, QueueStatistics, Ticket

A, B, C, D, E = (Ticket(number) for number in range(5))


def full() -> Queue:
    """Two run, two wait."""
    queue = Queue(2, 2)
    answers = [queue.ask(ticket) for ticket in (A, B, C, D)]
    assert answers == [Answer.ADMITTED, Answer.ADMITTED, Answer.WAITING, Answer.WAITING]
    return queue


def counts(queue: Queue) -> tuple[int, int]:
    found = queue.statistics()
    return found.running, found.waiting


def test_one_more_than_may_wait_is_turned_away_and_counted() -> None:
    queue = full()
    assert queue.ask(E) is Answer.FULL
    assert queue.statistics() == QueueStatistics(2, 2, 2, 2, 1)


def test_who_was_turned_away_may_ask_again() -> None:
    queue = full()
    queue.ask(E)
    queue.leave(A)
    assert queue.ask(E) is Answer.WAITING


def test_a_place_goes_to_who_waited_longest() -> None:
    queue = full()
    assert [queue.leave(ticket) for ticket in (B, A)] == [[C], [D]]
    assert counts(queue) == (2, 0)


def test_who_gives_up_waiting_takes_no_place_and_keeps_nobody_back() -> None:
    queue = full()
    assert queue.leave(C) == []
    assert queue.leave(A) == [D]
    assert counts(queue) == (2, 0)


@pytest.mark.parametrize("ticket", [A, C, E])
def test_leaving_twice_changes_nothing(ticket: Ticket) -> None:
    queue = full()
    queue.leave(ticket)
    before = queue.statistics()
    assert queue.leave(ticket) == []
    assert queue.statistics() == before


def test_without_room_to_wait_a_busy_queue_turns_away_at_once() -> None:
    queue = Queue(1, 0)
    assert [queue.ask(A), queue.ask(B)] == [Answer.ADMITTED, Answer.FULL]
    assert queue.leave(A) == []
    assert queue.ask(C) is Answer.ADMITTED


def test_more_places_are_given_at_once() -> None:
    queue = full()
    assert queue.resize(4, 2) == [C, D]
    assert counts(queue) == (4, 0)


def test_fewer_places_throw_nobody_out_and_fill_only_when_there_is_room() -> None:
    queue = full()
    assert queue.resize(1, 2) == []
    assert counts(queue) == (2, 2)
    assert queue.leave(A) == []
    assert queue.leave(B) == [C]


def test_a_shorter_queue_keeps_who_waits_and_takes_nobody_new() -> None:
    queue = full()
    queue.resize(2, 1)
    assert queue.ask(E) is Answer.FULL
    assert queue.leave(A) == [C]
    assert queue.ask(E) is Answer.FULL


def test_nobody_overtakes_a_waiting_one_even_if_a_place_is_free() -> None:
    queue = Queue(1, 4)
    assert [queue.ask(ticket) for ticket in (A, B)] == [Answer.ADMITTED, Answer.WAITING]
    queue.resize(0, 4)
    assert queue.leave(A) == []
    assert queue.ask(C) is Answer.WAITING
    assert queue.resize(2, 4) == [B, C]


def test_a_queue_says_how_full_it_is() -> None:
    assert repr(full()) == "Queue(running 2/2, waiting 2/2)"
