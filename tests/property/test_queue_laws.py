"""The queue under load, by simulation: turns arrive, run and end on a clock of the test's own.

1. Under saturation the time in places is shared by weight, whatever the lengths of the turns.
2. Nobody starves: who has one turn waiting gets a place within a bounded number of others.
3. A flood from one lane fills the queue and keeps nobody else out.
4. Batch alone makes nobody wait who cannot.
"""

import heapq
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.sched.queue import BATCH_EVERY, Answer, Queue, Rank, Ticket


class Load:
    """Lanes that always have ``backlog`` turns waiting, each with turns of its own lengths."""

    def __init__(self, places: int, lengths: dict[Rank, tuple[float, float]], seed: int) -> None:
        self.dice = random.Random(seed)
        self.queue = Queue(places, 10_000)
        self.lengths = lengths
        self.now = 0.0
        self.last = 0
        self.owner: dict[Ticket, Rank] = {}
        self.ends: list[tuple[float, Ticket]] = []
        self.time_in_places: Counter[Rank] = Counter()
        self.places_given: list[Rank] = []

    def ask(self, rank: Rank) -> Answer:
        self.last += 1
        ticket = Ticket(self.last)
        self.owner[ticket] = rank
        answer = self.queue.ask(ticket, rank, self.now).answer
        if answer is Answer.ADMITTED:
            self.start(ticket)
        return answer

    def start(self, ticket: Ticket) -> None:
        rank = self.owner[ticket]
        self.places_given.append(rank)
        took = self.dice.uniform(*self.lengths[rank])
        self.time_in_places[rank] += took
        heapq.heappush(self.ends, (self.now + took, ticket))

    def run(self, turns: int) -> None:
        """Let ``turns`` end; who had one asks for the next."""
        for _ in range(turns):
            self.now, ticket = heapq.heappop(self.ends)
            rank = self.owner.pop(ticket)
            for admitted in self.queue.leave(ticket, self.now):
                self.start(admitted)
            if rank in self.lengths:
                self.ask(rank)

    def saturate(self, backlog: int) -> None:
        for _ in range(backlog):
            for rank in self.lengths:
                self.ask(rank)


@pytest.mark.parametrize("places", [1, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_places_are_shared_by_weight(places: int, seed: int) -> None:
    ranks = [Rank("a", 1), Rank("b", 2), Rank("c", 5)]
    # The heaviest lane must want as many places as it may have.
    load = Load(places, {rank: (1.0, 20.0) for rank in ranks}, seed)
    load.saturate(12)
    load.run(300)
    load.time_in_places.clear()
    load.run(4000)
    each = [load.time_in_places[rank] / rank.weight for rank in ranks]
    assert max(each) / min(each) < 1.15


@pytest.mark.parametrize("seed", range(3))
def test_long_turns_do_not_crowd_out_short_ones(seed: int) -> None:
    short, long = Rank("short"), Rank("long")
    load = Load(4, {short: (1.0, 3.0), long: (100.0, 300.0)}, seed)
    load.saturate(8)
    load.run(300)
    load.time_in_places.clear()
    load.run(20_000)
    assert 0.8 < load.time_in_places[short] / load.time_in_places[long] < 1.25


@given(
    seed=st.integers(0, 1000),
    others=st.integers(1, 6),
    places=st.integers(1, 4),
    is_batch=st.booleans(),
)
def test_one_turn_that_waits_gets_its_place_soon(
    seed: int, others: int, places: int, is_batch: bool
) -> None:
    load = Load(places, {Rank(f"lane {n}"): (5.0, 15.0) for n in range(others)}, seed)
    load.saturate(10)
    load.run(100)
    late = Rank("late", is_batch=is_batch)
    load.lengths |= {late: (10.0, 10.0)}
    before = len(load.places_given)
    load.ask(late)
    load.run(10 * BATCH_EVERY)
    waited = load.places_given[before:].index(late)
    # Each other lane may have been behind by as much as one of its turns is longer.
    assert waited < (BATCH_EVERY if is_batch else 3 * others + 1)


@pytest.mark.parametrize("is_batch", [False, True])
def test_a_flood_keeps_nobody_else_out(is_batch: bool) -> None:
    queue = Queue(1, 16)
    flood = Rank("flood", weight=4, is_batch=is_batch)
    tickets = [Ticket(number) for number in range(200)]
    for ticket in tickets:
        queue.ask(ticket, flood)
    late = {Ticket(1000 + number): Rank(f"device {number}") for number in range(5)}
    for ticket, rank in late.items():
        assert queue.ask(ticket, rank).answer is Answer.WAITING
    assert queue.statistics().waiting == 16
    held, served = tickets[0], 0
    while late:
        (held,) = queue.leave(held, 10.0 * served)
        late.pop(held, None)
        served += 1
    assert served <= 12


class Prompt(Load):
    """A load in which nobody waits but batch."""

    def ask(self, rank: Rank) -> Answer:
        answer = super().ask(rank)
        assert rank.is_batch or answer is Answer.ADMITTED
        return answer


@given(seed=st.integers(0, 1000), places=st.integers(2, 8))
def test_one_turn_at_a_time_never_waits_for_batch(seed: int, places: int) -> None:
    nightly, me = Rank("nightly", is_batch=True), Rank("me")
    load = Prompt(places, {nightly: (50.0, 500.0)}, seed)
    load.saturate(3 * places)
    load.lengths |= {me: (1.0, 30.0)}
    load.ask(me)
    load.run(300)
    # It has all the others.
    assert load.time_in_places[nightly] > 0.8 * (places - 1) * load.time_in_places[me]
