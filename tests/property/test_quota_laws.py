"""The laws of quotas, against a plain list of what happened.

1. Requests never overshoot: whatever begins, ends, fails or crashes, what counts in the period and
   what runs are together at most the limit.
2. Tokens and cost: nothing is admitted at or above the limit, so that they overshoot by at most one
   turn for each that ran.
3. A denial is true: there was a limit, and asking again at its reset admits.
"""

import copy
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ocpd.sched.quota import AccountId, Denial, Limit, Meter, Reservation
from ocpd.sched.windows import DAY_S, PERIODS, WHATS, Entry, Spent, begin_of, reach_of

START = 1_795_262_400.0
BIGGEST = 500
STREAMS = 200
ME = AccountId("me")

_STEPS_S = (0.0, 0.3, 5.0, 40.0, 3_000.0, 30_000.0, 3.0 * DAY_S, 12.0 * DAY_S)


class World:
    """A key, its limits, and the book in which every end that counts is a row: when it began, when
    it ended, what it used."""

    def __init__(self, limits: tuple[Limit, ...], dice: random.Random) -> None:
        self.limits = limits
        self.dice = dice
        self.now = START
        self.rows: list[tuple[float, float, Spent]] = []
        self.running: list[Reservation] = []
        self.most_running = 0
        self.start()

    def start(self) -> None:
        """A new process: nothing is known but the book."""
        self.running.clear()
        self.meter = Meter()
        missing = self.meter.missing(ME, self.limits)
        self.meter.expect(ME, missing)
        self.meter.recall(ME, {period: self.read_book(period) for period in missing})

    def read_book(self, period: str) -> list[Entry]:
        since = reach_of(period, self.now)
        rows = [row for row in self.rows if row[1] >= since]
        if period != "minute":
            return [Entry(ended, spent) for _, ended, spent in rows]
        told: list[Entry] = []
        for began, ended, spent in rows:
            told.append(Entry(began, Spent(requests=1)))
            told.append(Entry(ended, Spent(0, spent.input_tokens, spent.output_tokens, spent.cost)))
        return told

    def used(self, limit: Limit, since: float) -> float:
        """What counts, and what runs where it must not overshoot."""
        place = WHATS.index(limit.what)
        if limit.what == "requests" and limit.period == "minute":
            begun = [began for began, _, _ in self.rows] + [turn.at for turn in self.running]
            return sum(since < at for at in begun)
        counted = sum(spent.amounts[place] for _, at, spent in self.rows if at >= since)
        return counted + (len(self.running) if limit.what == "requests" else 0)

    def ask(self) -> None:
        before = [self.used(limit, begin_of(limit.period, self.now)) for limit in self.limits]
        asked, told = self.dice.randrange(1, BIGGEST), self.dice.randrange(1, BIGGEST)
        estimate = Spent(1, asked, told, (asked + told) / 1_000)
        answer = self.meter.reserve(ME, self.limits, estimate, self.now)
        if isinstance(answer, Denial):
            self.check_denial(answer)
            return
        self.running.append(answer)
        self.most_running = max(self.most_running, len(self.running))
        for limit, used in zip(self.limits, before, strict=True):
            assert used < limit.amount, (limit, used)

    def check_denial(self, no: Denial) -> None:
        limit = no.limit
        if not no.waits_for_turns and limit.amount and limit.what == "requests":
            assert self.used(limit, reach_of(limit.period, self.now)) >= limit.amount
        if no.resets_at is not None and self.dice.random() < 0.1:
            assert no.resets_at > self.now
            later = copy.deepcopy(self.meter).reserve(ME, self.limits, Spent(1), no.resets_at)
            # What runs is no part of the promise.
            assert isinstance(later, Reservation) or later.waits_for_turns

    def end(self) -> None:
        turn = self.running.pop(self.dice.randrange(len(self.running)))
        if self.dice.random() < 0.3:
            self.meter.release(turn)
            return
        asked, told = self.dice.randrange(0, BIGGEST), self.dice.randrange(0, BIGGEST)
        spent = Spent(1, asked, told, (asked + told) / 1_000)
        self.rows.append((turn.at, self.now, spent))
        self.meter.settle(turn, spent, self.now)

    def check(self) -> None:
        for limit in self.limits:
            used = self.used(limit, begin_of(limit.period, self.now))
            if limit.what == "requests":
                assert used <= limit.amount, limit
            else:
                biggest = BIGGEST / 1_000 if limit.what == "cost" else BIGGEST
                assert used <= limit.amount + self.most_running * 2 * biggest, limit

    def step(self) -> None:
        roll = self.dice.random()
        if roll < 0.01:
            self.start()
        elif roll < 0.45 and self.running:
            self.end()
        elif roll < 0.55:
            self.now += self.dice.choice(_STEPS_S)
        elif len(self.running) < STREAMS:
            self.ask()
        self.check()


AMOUNTS = st.integers(0, 30)
REQUESTS = st.builds(Limit, st.just("requests"), st.sampled_from(PERIODS), AMOUNTS)
TOKENS = st.builds(
    Limit, st.sampled_from(WHATS[1:4]), st.sampled_from(PERIODS), st.integers(0, 20_000)
)
COSTS = st.builds(Limit, st.just("cost"), st.sampled_from(PERIODS), st.floats(0, 20))
LIMITS = st.lists(
    REQUESTS | TOKENS | COSTS,
    min_size=1,
    max_size=4,
    unique_by=lambda limit: (limit.what, limit.period),
)


@given(LIMITS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_quotas_hold_whatever_happens(limits, dice):
    world = World(tuple(limits), dice)
    for _ in range(150):
        world.step()


@given(st.integers(0, STREAMS), st.sampled_from(PERIODS), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_two_hundred_at_once_get_what_there_is_also_after_a_crash(amount, period, dice):
    world = World((Limit("requests", period, amount),), dice)
    for _ in range(STREAMS):
        world.ask()
    assert len(world.running) == amount
    while len(world.running) > amount // 2:
        world.end()
    counted = len(world.rows)
    world.start()
    for _ in range(STREAMS):
        world.ask()
    assert len(world.running) == amount - counted
