"""Promise: two bounds hold, each lane is served in order, and lanes share by weight. What follows
from that under load is in the simulations of the property tests."""

import pytest

from ocpd.sched.queue import (
    BATCH_EVERY,
    IDLE_KEPT,
    Answer,
    Asked,
    Queue,
    QueueStatistics,
    Rank,
    Ticket,
)

A, B, C, D, E = (Ticket(number) for number in range(5))
MINE, YOURS = Rank("mine"), Rank("yours")
NIGHTLY = Rank("nightly", is_batch=True)


def full() -> Queue:
    """Two run, two wait."""
    queue = Queue(2, 2)
    answers = [queue.ask(ticket).answer for ticket in (A, B, C, D)]
    assert answers == [Answer.ADMITTED, Answer.ADMITTED, Answer.WAITING, Answer.WAITING]
    return queue


def counts(queue: Queue) -> tuple[int, int]:
    found = queue.statistics()
    return found.running, found.waiting


def test_one_more_than_may_wait_is_turned_away_and_counted() -> None:
    queue = full()
    assert queue.ask(E).answer is Answer.FULL
    assert queue.statistics() == QueueStatistics(2, 2, 2, 2, 1)


def test_who_was_turned_away_may_ask_again() -> None:
    queue = full()
    queue.ask(E)
    queue.leave(A)
    assert queue.ask(E).answer is Answer.WAITING


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
    assert [queue.ask(A).answer, queue.ask(B).answer] == [Answer.ADMITTED, Answer.FULL]
    assert queue.leave(A) == []
    assert queue.ask(C).answer is Answer.ADMITTED


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
    assert queue.ask(E).answer is Answer.FULL
    assert queue.leave(A) == [C]
    assert queue.ask(E).answer is Answer.FULL


def test_nobody_overtakes_a_waiting_one_even_if_a_place_is_free() -> None:
    queue = Queue(1, 4)
    assert [queue.ask(ticket).answer for ticket in (A, B)] == [Answer.ADMITTED, Answer.WAITING]
    queue.resize(0, 4)
    assert queue.leave(A) == []
    assert queue.ask(C).answer is Answer.WAITING
    assert queue.resize(2, 4) == [B, C]


def test_a_queue_says_how_full_it_is() -> None:
    assert repr(full()) == "Queue(running 2/2, waiting 2/2)"


# Lanes.


def line_up(queue: Queue, *ranks: Rank) -> dict[Ticket, Rank]:
    """Let a ticket of each rank wait, in this order."""
    found = {Ticket(100 + number): rank for number, rank in enumerate(ranks)}
    for ticket, rank in found.items():
        assert queue.ask(ticket, rank).answer is Answer.WAITING
    return found


def order_of(queue: Queue, held: Ticket, waiting: dict[Ticket, Rank], turn_s: float = 10) -> str:
    """In which order the lanes are served, one place, each turn of the same length: initials."""
    served, now = "", 0.0
    while waiting:
        now += turn_s
        (held,) = queue.leave(held, now)
        served += waiting.pop(held).lane[0]
    return served


def busy(max_waiting: int = 100, max_running: int = 1) -> Queue:
    """A stranger has the one place."""
    queue = Queue(max_running, max_waiting)
    queue.ask(A, Rank("stranger"))
    return queue


def test_lanes_of_the_same_weight_take_turns() -> None:
    queue = busy()
    waiting = line_up(queue, MINE, MINE, MINE, YOURS, YOURS, YOURS)
    assert order_of(queue, A, waiting) == "mymymy"


def test_a_heavier_lane_gets_as_many_more_places() -> None:
    queue = busy()
    heavy = Rank("heavy", weight=3)
    waiting = line_up(queue, *[MINE] * 4, *[heavy] * 9)
    served = order_of(queue, A, waiting)
    assert served[:12].count("h") == 9
    assert "m" in served[:4]


@pytest.mark.parametrize("turn_s", [0.0, 0.3, 10, 600])
def test_a_wrong_guess_of_how_long_turns_take_is_put_right_at_once(turn_s: float) -> None:
    queue = busy()
    heavy, light = Rank("heavy", weight=6), Rank("light", weight=2)
    waiting = line_up(queue, *[heavy] * 16, *[light] * 16)
    assert order_of(queue, A, waiting, turn_s)[:16].count("h") in (11, 12, 13)


def test_a_lane_pays_for_places_that_nobody_else_wanted_with_one_turn_at_most() -> None:
    queue = busy(max_running=4)
    alone = [Ticket(10 + number) for number in range(3)]
    for ticket in alone:
        queue.ask(ticket, MINE)
    for ticket in (A, *alone):
        queue.leave(ticket, 600.0)
    for ticket in (A, *alone):
        queue.ask(ticket, Rank("stranger"), 600.0)
    waiting = line_up(queue, *[MINE] * 4, *[YOURS] * 4)
    # Four turns of 600 s are over; for one of them it steps back.
    queue.resize(1, 100)
    for ticket in alone:
        queue.leave(ticket, 600.0)
    served = order_of(queue, A, waiting, 600)
    assert served.index("m") <= 2


def test_a_lane_that_was_away_does_not_make_up_for_it() -> None:
    queue = busy()
    waiting = line_up(queue, *[MINE] * 6)
    held, now = A, 0.0
    for _ in range(4):
        now += 10
        (held,) = queue.leave(held, now)
        del waiting[held]
    late = {Ticket(200 + number): YOURS for number in range(4)}
    for ticket, rank in late.items():
        queue.ask(ticket, rank, now)
    served = order_of(queue, held, waiting | late)
    assert served in ("ymymyy", "mymyyy")


def test_a_lane_of_long_turns_gets_fewer_of_them() -> None:
    queue = busy(1000)
    hare, tortoise = Rank("hare"), Rank("tortoise")
    waiting = line_up(queue, *[hare] * 400, *[tortoise] * 40)
    held, now = A, 0.0
    places = {"hare": 0.0, "tortoise": 0.0, "stranger": 0.0}
    rank = Rank("stranger")
    for turn in range(350):
        took = 100.0 if rank is tortoise else 5.0
        now += took
        # How long turns take is learned from the first.
        places[rank.lane] += took if turn > 50 else 0.0
        (held,) = queue.leave(held, now)
        rank = waiting.pop(held)
    assert 0.8 < places["hare"] / places["tortoise"] < 1.25


def test_batch_waits_for_interactive_but_not_for_ever() -> None:
    queue = busy()
    waiting = line_up(queue, *[NIGHTLY] * 3, *[MINE] * 20)
    served = order_of(queue, A, waiting)
    first = "m" * (BATCH_EVERY - 1) + "n"
    assert served == first + first + "m" * 6 + "n"


def test_batch_has_the_only_place_while_nobody_else_wants_it() -> None:
    queue = busy()
    waiting = line_up(queue, NIGHTLY, NIGHTLY)
    assert order_of(queue, A, waiting) == "nn"


def test_of_several_places_one_is_kept_from_batch() -> None:
    queue = Queue(3, 10)
    assert [queue.ask(ticket, NIGHTLY).answer for ticket in (A, B, C)] == [
        Answer.ADMITTED,
        Answer.ADMITTED,
        Answer.WAITING,
    ]
    # So nobody else has to wait for the end of one of these, nor behind those that wait.
    assert queue.ask(D, MINE).answer is Answer.ADMITTED
    assert queue.ask(E, YOURS).answer is Answer.WAITING
    assert queue.leave(D) == [E]
    assert queue.leave(E) == []
    assert queue.leave(A) == [C]
    assert counts(queue) == (2, 0)


def test_more_places_are_given_to_batch_too() -> None:
    queue = Queue(2, 10)
    for ticket in (A, B, C):
        queue.ask(ticket, NIGHTLY)
    assert counts(queue) == (1, 2)
    assert queue.resize(3, 10) == [B]
    assert queue.resize(1, 10) == []
    assert queue.leave(A) == []
    assert queue.leave(B) == [C]


def test_an_heir_waits_where_nobody_else_may_and_takes_nobodys_room() -> None:
    queue = busy(0)
    assert queue.ask(B, MINE, is_heir=True) == Asked(Answer.WAITING)
    assert queue.ask(C, YOURS) == Asked(Answer.FULL)
    assert queue.leave(A) == [B]
    full_queue = busy(2)
    flood = [*line_up(full_queue, MINE, MINE)]
    assert full_queue.ask(B, YOURS, is_heir=True) == Asked(Answer.WAITING)
    assert full_queue.statistics().waiting == len(flood) + 1


def test_a_lane_with_nobody_in_a_full_queue_takes_the_newest_of_the_longest() -> None:
    queue = busy(3)
    flood = [*line_up(queue, MINE, MINE, MINE)]
    assert queue.ask(B, YOURS) == Asked(Answer.WAITING, displaced=flood[-1])
    assert queue.statistics().waiting == 3
    assert queue.statistics().rejections == 1
    assert queue.ask(C, YOURS) == Asked(Answer.FULL)
    assert queue.ask(D, MINE) == Asked(Answer.FULL)
    assert queue.leave(flood[-1]) == []


def test_nobody_is_displaced_who_is_alone_in_a_lane() -> None:
    queue = busy(2)
    line_up(queue, MINE, YOURS)
    assert queue.ask(B, Rank("third")) == Asked(Answer.FULL)


def test_batch_displaces_batch_alone_and_is_displaced_first() -> None:
    queue = busy(5)
    waiting = line_up(queue, MINE, MINE, MINE, NIGHTLY, NIGHTLY)
    *_, newest = waiting
    other = Rank("other batch", is_batch=True)
    assert queue.ask(B, YOURS).displaced == newest
    assert queue.ask(C, other).answer is Answer.FULL


def test_a_key_that_became_another_class_is_another_lane() -> None:
    queue = busy()
    waiting = line_up(queue, Rank("x", is_batch=True), Rank("x"))
    first, second = waiting
    assert queue.leave(A) == [second]
    assert queue.leave(second) == [first]


def test_lanes_that_come_and_go_are_forgotten() -> None:
    queue = busy()
    for number in range(3 * IDLE_KEPT):
        ticket = Ticket(1000 + number)
        queue.ask(ticket, Rank(f"lane {number}", is_batch=number % 2 == 0))
        assert queue.leave(ticket) == []
    assert len(queue._lanes) <= IDLE_KEPT + 2
    assert sum(len(queued._heap) for queued in queue._classes.values()) <= IDLE_KEPT + 2
    waiting = line_up(queue, MINE, YOURS)
    assert order_of(queue, A, waiting) == "my"
