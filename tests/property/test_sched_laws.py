"""The laws of the scheduler.

1. Queue: never more running than allowed, first come first served within a lane, batch after the
   others but not for ever, nobody is lost or named twice, and when all have left the counts are
   zero. How lanes share under load is in ``test_queue_laws``.
2. Staffing: bounds hold at every step, models in use have their spares as soon as they may, a plan
   that was carried out leaves nothing to do, nothing starts before its time.
"""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ocpd.sched.backoff import Backoff
from ocpd.sched.queue import BATCH_EVERY, Answer, Queue, Rank, Ticket
from ocpd.sched.staffing import SPARE_MB, ChildId, Plan, SpareLimits, SpareView, plan_spares

SIZES = st.integers(0, 4)


RANKS = (
    Rank("a"),
    Rank("b", weight=5),
    Rank("a", is_batch=True),
    Rank("c", weight=2, is_batch=True),
)


class QueueMachine(RuleBasedStateMachine):
    """A queue beside a model of it: who runs, and who waits in which lane."""

    def __init__(self) -> None:
        super().__init__()
        self.most, self.room = 2, 2
        self.now = 0.0
        self.queue = Queue(self.most, self.room)
        self.running: dict[Ticket, Rank] = {}
        self.lanes: dict[Rank, list[Ticket]] = {rank: [] for rank in RANKS}
        self.left: list[Ticket] = []
        self.passed_over = 0
        self.asked = self.refused = 0

    @property
    def waiting(self) -> list[Ticket]:
        return [ticket for lane in self.lanes.values() for ticket in lane]

    def count_waiting(self, *, is_batch: bool) -> int:
        return sum(len(lane) for rank, lane in self.lanes.items() if rank.is_batch == is_batch)

    def count_places(self, *, is_batch: bool) -> int:
        """Places that are free; of two or more one is never batch's."""
        free = self.most - len(self.running)
        if is_batch:
            in_batch = sum(rank.is_batch for rank in self.running.values())
            free = min(free, max(1, self.most - 1) - in_batch)
        return max(0, free)

    def count_admissible(self) -> int:
        batch = min(self.count_waiting(is_batch=True), self.count_places(is_batch=True))
        return min(self.count_places(is_batch=False), self.count_waiting(is_batch=False) + batch)

    def admit(self, named: list[Ticket]) -> None:
        """As many as there are places; within a lane who has waited longest; and batch neither
        before the others, nor passed over too often while a place could be its."""
        assert len(named) == self.count_admissible()
        for ticket in named:
            batch_waits = self.count_waiting(is_batch=True) > 0
            batch_could = batch_waits and self.count_places(is_batch=True) > 0
            others_wait = any(lane for rank, lane in self.lanes.items() if not rank.is_batch)
            (rank,) = (rank for rank, lane in self.lanes.items() if ticket in lane)
            assert self.lanes[rank].pop(0) == ticket
            if rank.is_batch:
                assert not others_wait or self.passed_over == BATCH_EVERY - 1
                self.passed_over = 0
            else:
                if not batch_waits:
                    self.passed_over = 0
                self.passed_over += batch_could
                assert self.passed_over < BATCH_EVERY
            self.running[ticket] = rank

    @rule(rank=st.sampled_from(RANKS))
    def ask(self, rank: Rank) -> None:
        ticket, self.asked = Ticket(self.asked), self.asked + 1
        asked = self.queue.ask(ticket, rank, self.now)
        match asked.answer:
            case Answer.ADMITTED:
                assert self.count_places(is_batch=rank.is_batch) > 0
                assert not self.count_admissible(), "nobody overtakes"
                self.running[ticket] = rank
            case Answer.WAITING:
                assert not self.count_places(is_batch=rank.is_batch)
                self.displace(rank, asked.displaced)
                self.lanes[rank].append(ticket)
            case Answer.FULL:
                assert len(self.waiting) >= self.room
                self.refused += 1

    def displace(self, by: Rank, ticket: Ticket | None) -> None:
        """Only a full queue does it, for a lane that has nobody, and to the longest."""
        assert (ticket is None) == (len(self.waiting) < self.room)
        if ticket is None:
            return
        self.refused += 1
        assert not self.lanes[by]
        (rank,) = (rank for rank, lane in self.lanes.items() if ticket in lane)
        assert rank.is_batch or not by.is_batch
        same = [lane for other, lane in self.lanes.items() if other.is_batch == rank.is_batch]
        assert len(self.lanes[rank]) == max(map(len, same)) > 1
        assert self.lanes[rank].pop() == ticket
        self.left.append(ticket)

    @rule(seconds=st.sampled_from([0.0, 0.5, 30.0, 600.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.running)
    @rule(dice=st.randoms(use_true_random=False))
    def finish(self, dice: random.Random) -> None:
        ticket = dice.choice(list(self.running))
        del self.running[ticket]
        self.left.append(ticket)
        self.admit(self.queue.leave(ticket, self.now))

    @precondition(lambda self: self.waiting)
    @rule(dice=st.randoms(use_true_random=False))
    def give_up(self, dice: random.Random) -> None:
        ticket = dice.choice(self.waiting)
        for lane in self.lanes.values():
            if ticket in lane:
                lane.remove(ticket)
        self.left.append(ticket)
        self.admit(self.queue.leave(ticket, self.now))

    @precondition(lambda self: self.left)
    @rule(dice=st.randoms(use_true_random=False))
    def leave_again(self, dice: random.Random) -> None:
        assert self.queue.leave(dice.choice(self.left), self.now) == []

    @rule(most=SIZES, room=SIZES)
    def resize(self, most: int, room: int) -> None:
        self.most, self.room = most, room
        self.admit(self.queue.resize(most, room, self.now))

    @invariant()
    def counts_are_true(self) -> None:
        found = self.queue.statistics()
        assert (found.running, found.waiting) == (len(self.running), len(self.waiting))
        assert (found.max_running, found.max_waiting) == (self.most, self.room)
        assert found.rejections == self.refused

    @invariant()
    def no_place_is_wasted(self) -> None:
        assert not self.count_admissible()

    def teardown(self) -> None:
        """Cancel everywhere: the counts return to zero."""
        for ticket in [*self.waiting, *self.running]:
            for admitted in self.queue.leave(ticket, self.now):
                self.queue.leave(admitted, self.now)
        assert (self.queue.statistics().running, self.queue.statistics().waiting) == (0, 0)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(stateful_step_count=60)


# Staffing.

MODELS = ("opus", "sonnet", "haiku", "fable", "old")
LIMITS = st.builds(
    SpareLimits,
    per_model=st.integers(0, 3),
    most=st.integers(0, 6),
    memory_mb=st.integers(0, 8 * SPARE_MB),
    idle_s=st.sampled_from([0.1, 1.0, 37.5, 3600.0]),
)
TIMES = st.floats(0, 1e5, allow_nan=False)


class House:
    """Carries plans out at once, with a clock of its own. A start may fail."""

    def __init__(self, limits: SpareLimits, dice: random.Random) -> None:
        self.limits, self.dice = limits, dice
        self.now = dice.uniform(0, 1e6)
        self.again_at: float | None = None
        self.parked: list[SpareView] = []
        self.last_used: dict[str, float] = {}
        self.backoff = Backoff(0.5, 60.0)
        self.started = 0

    @property
    def most(self) -> int:
        """How many spares there is room for."""
        return min(self.limits.most, self.limits.memory_mb // SPARE_MB)

    def plan(self) -> Plan:
        """What to do now."""
        return plan_spares(
            self.parked,
            self.last_used,
            self.limits,
            now=self.now,
            ready_at=self.backoff.ready_at(),
        )

    def staff(self, *, may_fail: bool = True) -> None:
        """Ask for a plan and carry it out."""
        plan = self.plan()
        assert not plan.start or self.now >= self.backoff.ready_at()
        self.parked = [spare for spare in self.parked if spare.child not in plan.stop]
        assert len(self.parked) + len(plan.start) <= self.most
        self.again_at = plan.again_at
        for model in plan.start:
            if may_fail and self.dice.random() < 0.2:
                self.backoff.fail(self.now)
                self.again_at = self.now
                break
            self.backoff.succeed()
            self.started += 1
            self.parked.append(SpareView(ChildId(self.started), model))

    def use(self) -> None:
        """A turn comes: it takes a spare if there is one."""
        model = self.dice.choice(MODELS)
        self.last_used[model] = self.now
        spare = next((spare for spare in self.parked if spare.model == model), None)
        if spare is not None:
            self.parked.remove(spare)

    def check(self) -> None:
        """Every bound, whatever happened."""
        models = [spare.model for spare in self.parked]
        assert len(models) <= self.most
        for model in set(models):
            assert models.count(model) <= self.limits.per_model
            assert self.now < self.last_used[model] + self.limits.idle_s


@given(LIMITS, st.integers(0))
@settings(max_examples=40)
def test_bounds_hold_at_every_step_of_a_long_day(limits: SpareLimits, seed: int) -> None:
    dice = random.Random(seed)
    house = House(limits, dice)
    for _ in range(500):
        due = house.again_at if house.again_at is not None else float("inf")
        arrival = house.now + dice.expovariate(4 / limits.idle_s)
        house.now = max(house.now, min(due, arrival))
        if arrival <= due:
            house.use()
        house.staff()
        house.check()


@given(LIMITS, st.integers(0))
@settings(max_examples=40)
def test_models_in_use_have_their_spares_once_starts_succeed(
    limits: SpareLimits, seed: int
) -> None:
    house = House(limits, random.Random(seed))
    for _ in range(20):
        house.use()
        house.staff()
        house.now += house.dice.uniform(0, limits.idle_s / 100)
    house.now = max(house.now, house.backoff.ready_at())
    house.staff(may_fail=False)
    fresh = sorted(
        (model for model, used in house.last_used.items() if house.now < used + limits.idle_s),
        key=lambda model: -house.last_used[model],
    )
    models = [spare.model for spare in house.parked]
    assert len(models) == min(house.most, len(fresh) * limits.per_model)
    # When there is not room for all, those used last come first.
    counts = [models.count(model) for model in fresh]
    assert counts == sorted(counts, reverse=True)
    assert not counts or counts[0] - counts[-1] <= 1


@given(LIMITS, st.dictionaries(st.sampled_from(MODELS), TIMES), st.lists(st.sampled_from(MODELS)))
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    limits: SpareLimits, last_used: dict[str, float], parked: list[str]
) -> None:
    house = House(limits, random.Random(0))
    house.now = 1e5
    house.last_used = last_used
    house.parked = [SpareView(ChildId(-n), model) for n, model in enumerate(parked, 1)]
    house.staff(may_fail=False)
    house.check()
    assert (house.plan().start, house.plan().stop) == ((), ())


@given(LIMITS, st.dictionaries(st.sampled_from(MODELS), TIMES), st.lists(st.sampled_from(MODELS)))
def test_a_plan_is_never_due_at_once(
    limits: SpareLimits, last_used: dict[str, float], parked: list[str]
) -> None:
    spares = [SpareView(ChildId(n), model) for n, model in enumerate(parked)]
    for ready_at in (0.0, 2e5):
        found = plan_spares(spares, last_used, limits, now=1e5, ready_at=ready_at)
        assert found.again_at is None or found.again_at > 1e5
