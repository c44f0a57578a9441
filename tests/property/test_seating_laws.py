"""The laws of seating, in a simulation with a clock of its own: thousands of requests of several
callers and models arrive at random, run, rest, and come back for more.

1. The bounds hold at every step.
2. What runs is never given up, and nobody gets another's conversation.
3. Nobody starves: everyone who asked was served, and the first in line within bounded time.
"""

import heapq
import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ocpd.sched.seating import MOST_STARTS, Begin, Line, Place, Room, Seat, Take, Wait, choose
from ocpd.sched.staffing import ChildId

START_S, TURN_S, FINISH_S = 0.4, 0.5, 0.01
MB = 100
HELD = 0.3
"""How many answers call tools, and wait for results."""


class Process(msgspec.Struct):
    child: ChildId
    model: str
    place: Place
    key: bytes | None = None
    answers: int = 0
    used_at: float = 0.0
    is_held: bool = False


class Request(msgspec.Struct):
    model: str
    key: bytes
    since: float
    turns_left: int


class World:
    """A pool without processes."""

    def __init__(self, seed: int, room: Room) -> None:
        self.dice = random.Random(seed)
        self.room = room
        self.now = 0.0
        self.processes: dict[ChildId, Process] = {}
        self.line: list[Request] = []
        self.agenda: list[tuple[float, int, str, object]] = []
        self.made = self.served = 0
        self.longest_wait = 0.0

    def at(self, delay_s: float, what: str, whom: object) -> None:
        self.made += 1
        heapq.heappush(self.agenda, (self.now + delay_s, self.made, what, whom))

    def run(self) -> None:
        while self.agenda:
            self.now, _, what, whom = heapq.heappop(self.agenda)
            getattr(self, what)(whom)
            self.serve()
            self.check()

    def arrive(self, request: Request) -> None:
        request.since = self.now
        self.line.append(request)

    def started(self, process: Process) -> None:
        process.place = Place.PARKED

    def answered(self, pair: tuple[Process, Request]) -> None:
        process, request = pair
        process.place, process.answers = Place.FINISHING, process.answers + 1
        process.is_held = self.dice.random() < HELD
        self.at(FINISH_S, "finished", process)
        if request.turns_left:
            self.at(self.dice.expovariate(1), "arrive", request)

    def finished(self, process: Process) -> None:
        process.place, process.used_at = Place.RESTING, self.now

    def seats(self) -> list[Seat]:
        return [
            Seat(p.child, p.model, p.place, p.key, p.answers, p.used_at, MB, p.is_held)
            for p in self.processes.values()
        ]

    def serve(self) -> None:
        for request in list(self.line):
            ahead = self.line[: self.line.index(request)]
            same = [other for other in ahead if other.model == request.model]
            line = Line(len(same), sum(other.key == request.key for other in same))
            choice = choose(
                self.seats(), request.model, request.key, self.room, line=line, now=self.now
            )
            match choice:
                case Take(child):
                    self.take(self.processes[child], request)
                case Begin(instead):
                    self.begin(request.model, instead)
                case Wait():
                    places = {p.place for p in self.processes.values()}
                    assert places & {Place.BUSY, Place.STARTING, Place.FINISHING}, (
                        "waits for nothing"
                    )

    def take(self, process: Process, request: Request) -> None:
        assert process.model == request.model
        assert process.place is Place.PARKED or (
            process.place is Place.RESTING and process.key == request.key
        )
        self.line.remove(request)
        self.longest_wait = max(self.longest_wait, self.now - request.since)
        self.served += 1
        request.turns_left -= 1
        process.place, process.key, process.answers = Place.BUSY, request.key, 0
        self.at(self.dice.expovariate(1 / TURN_S), "answered", (process, request))

    def begin(self, model: str, instead: ChildId | None) -> None:
        if instead is not None:
            assert self.processes.pop(instead).place in (Place.PARKED, Place.RESTING)
        child = ChildId(self.made + 1)
        process = Process(child, model, Place.STARTING)
        self.processes[child] = process
        self.at(START_S, "started", process)

    def check(self) -> None:
        assert len(self.processes) <= max(1, self.room.most)
        assert len(self.processes) * MB <= max(MB, self.room.memory_mb + MB - 1)
        starting = [p for p in self.processes.values() if p.place is Place.STARTING]
        assert len(starting) <= MOST_STARTS


@given(
    seed=st.integers(0, 10_000),
    most=st.integers(1, 12),
    memory_mb=st.integers(0, 2_000),
    callers=st.integers(1, 6),
)
def test_bounds_hold_and_nobody_starves(seed: int, most: int, memory_mb: int, callers: int) -> None:
    world = World(seed, Room(most, memory_mb))
    wanted, at_s = 0, 0.0
    for _ in range(60):
        at_s += world.dice.expovariate(2)
        caller = world.dice.randrange(callers)
        turns = world.dice.choice((1, 1, 1, 5))
        request = Request(f"model {caller % 2}", f"key {caller}".encode(), 0.0, turns)
        world.at(at_s, "arrive", request)
        wanted += turns
    world.run()
    assert world.line == []
    assert world.served == wanted


def test_thousands_of_turns_wait_no_longer_than_the_machine_is_slow() -> None:
    """Eight processes, turns of half a second, four arriving a second: half of what it can do."""
    world = World(1, Room(8, 100_000))
    at_s = 0.0
    for number in range(5_000):
        at_s += world.dice.expovariate(4)
        key = f"key {number % 20}".encode()
        world.at(at_s, "arrive", Request("model", key, 0.0, 1))
    world.run()
    assert world.served == 5_000
    assert world.longest_wait < 10
