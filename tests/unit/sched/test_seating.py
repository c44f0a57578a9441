"""A request that continues nothing gets the cheapest process that may be given up for it."""

import msgspec

from ocpd.sched.seating import (
    PROTECT_S,
    Begin,
    Choice,
    Line,
    Place,
    Room,
    Seat,
    Take,
    Wait,
    choose,
    find_victim,
    has_room,
)
from ocpd.sched.staffing import ChildId

NOW = 10_000.0
ROOMY = Room(8, 10_000)


def seat(
    number: int,
    place: Place,
    *,
    key: bytes | None = None,
    answers: int = 0,
    model: str = "m",
    idle_s: float = 1.0,
) -> Seat:
    return Seat(ChildId(number), model, place, key, answers, NOW - idle_s, 100)


def ask(*seats: Seat, room: Room = ROOMY, line: Line | None = None, key: bytes = b"k") -> Choice:
    return choose(seats, "m", key, room, line=line or Line(), now=NOW)


def resting(number: int, answers: int = 1, key: bytes = b"k", idle_s: float = 1.0) -> Seat:
    return seat(number, Place.RESTING, key=key, answers=answers, idle_s=idle_s)


def test_a_conversation_of_one_answer_gives_way_to_a_new_one() -> None:
    assert ask(resting(1), seat(2, Place.PARKED)) == Take(ChildId(1))


def test_the_longest_idle_one_goes_first() -> None:
    assert ask(resting(1, idle_s=1), resting(2, idle_s=9)) == Take(ChildId(2))


def test_a_conversation_that_went_on_is_spared_while_there_is_a_spare_or_room() -> None:
    assert ask(resting(1, answers=2), seat(2, Place.PARKED)) == Take(ChildId(2))
    assert ask(resting(1, answers=2)) == Begin()
    assert ask(resting(1, answers=2, idle_s=PROTECT_S)) == Take(ChildId(1))
    assert ask(resting(1, answers=2), room=Room(1, 10_000)) == Take(ChildId(1))


def held(number: int, key: bytes = b"k", idle_s: float = 1.0) -> Seat:
    """One whose only answer calls tools, and waits for the results."""
    plain = resting(number, answers=1, key=key, idle_s=idle_s)
    return msgspec.structs.replace(plain, is_held=True)


def test_a_conversation_that_waits_for_results_is_spared_like_one_that_went_on() -> None:
    assert ask(held(1), seat(2, Place.PARKED)) == Take(ChildId(2))
    assert ask(held(1), resting(2, idle_s=0.5)) == Take(ChildId(2))
    assert ask(held(1)) == Begin()


def test_it_is_not_spared_for_ever_nor_at_any_price() -> None:
    assert ask(held(1, idle_s=PROTECT_S)) == Take(ChildId(1))
    assert ask(held(1), room=Room(1, 10_000)) == Take(ChildId(1))


def test_without_room_one_that_nobody_waits_for_goes_before_one_that_holds_calls() -> None:
    short, waits = resting(2, key=b"a", idle_s=1), held(1, key=b"b", idle_s=9)
    assert ask(waits, short, room=Room(2, 10_000)) == Begin(ChildId(2))
    assert find_victim([waits], NOW) == ChildId(1)
    assert find_victim([waits, held(3, idle_s=20)], NOW) == ChildId(3)
    # After that time it is like any other.
    long_ago = held(4, key=b"b", idle_s=PROTECT_S + 9)
    assert find_victim([short, long_ago], NOW) == ChildId(4)


def test_a_process_of_other_surroundings_or_another_model_is_never_taken() -> None:
    assert ask(resting(1, key=b"other")) == Begin()
    assert ask(seat(1, Place.PARKED, model="other")) == Begin()


def test_without_room_spares_go_first_then_short_conversations_then_long_ones() -> None:
    room = Room(3, 10_000)
    parked, short = seat(1, Place.PARKED, model="other"), resting(2, key=b"a")
    long = resting(3, answers=5, key=b"b", idle_s=9)
    assert ask(parked, short, long, room=room) == Begin(ChildId(1))
    assert ask(short, long, room=Room(2, 10_000)) == Begin(ChildId(2))
    assert ask(long, room=Room(1, 10_000)) == Begin(ChildId(3))


def test_what_runs_is_never_given_up() -> None:
    assert ask(seat(1, Place.BUSY, key=b"k"), room=Room(1, 10_000)) == Wait()


def test_few_start_at_once() -> None:
    starting = [seat(number, Place.STARTING, model="other") for number in (1, 2)]
    assert ask(*starting) == Wait()


def test_one_that_is_coming_is_waited_for_unless_it_is_for_somebody_else() -> None:
    assert ask(seat(1, Place.STARTING)) == Wait()
    assert ask(seat(1, Place.STARTING), line=Line(1, 0)) == Begin()


def test_one_that_will_rest_in_a_moment_is_waited_for() -> None:
    finishing = seat(1, Place.FINISHING, key=b"k", answers=1)
    assert ask(finishing) == Wait()
    assert ask(finishing, line=Line(1, 1)) == Begin()


def test_memory_bounds_as_the_number_does_but_one_may_always_be() -> None:
    assert not has_room([seat(1, Place.BUSY)], Room(8, 100))
    assert has_room([seat(1, Place.BUSY)], Room(8, 101))
    assert has_room([], Room(8, 0))
