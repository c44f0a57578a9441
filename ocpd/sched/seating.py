"""Where a request that continues no conversation gets its process: one pure decision.

What may live here: ``choose``, which looks at every process there is, at whoever waits before, and
at the limits. ``pool`` carries it out, and asks again whenever something changed.

What it weighs (measured on 2.1.330 with two cores): a process that is taken back to empty serves
a new conversation after 30 ms and 30 ms of CPU, a parked spare after 90 ms, a new process after
400 ms and 400 ms of CPU; many starts at once take seconds. A conversation that was given up costs
its next turn a rebuild, and the upstream's prompt cache.
"""

import enum
from collections.abc import Sequence

import msgspec

from ocpd.sched.staffing import ChildId

PROTECT_S = 300.0
"""For how long a conversation that went on at least once, or waits for results, is spared, while
there is room."""

MOST_STARTS = 2
"""Processes that start at once; more only slow each other down."""


class Place(enum.Enum):
    """Where a process is."""

    STARTING = "starting"
    PARKED = "parked"
    RESTING = "resting"
    FINISHING = "finishing"
    BUSY = "busy"


class Seat(msgspec.Struct, frozen=True):
    """A process, as the decision sees it. ``key`` is set once it holds a conversation, with
    ``answers`` of the model's, the last of which may wait for the results of calls (``is_held``);
    ``used_at`` is when it was last used (seconds, steady)."""

    child: ChildId
    model: str
    place: Place
    key: bytes | None = None
    answers: int = 0
    used_at: float = 0.0
    memory_mb: int = 0
    is_held: bool = False


class Room(msgspec.Struct, frozen=True):
    """How much there may be in all: processes, and their private memory."""

    most: int
    memory_mb: int


class Line(msgspec.Struct, frozen=True):
    """Whoever waits before: those that want this model, and of them those with this key."""

    model: int = 0
    key: int = 0


class Take(msgspec.Struct, frozen=True):
    """Use this process: a parked one as it is, a resting one taken back to empty."""

    child: ChildId


class Begin(msgspec.Struct, frozen=True):
    """Start a process; end ``instead`` first if it is set."""

    instead: ChildId | None = None


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before something changes."""


Choice = Take | Begin | Wait


def choose(
    seats: Sequence[Seat], model: str, key: bytes, room: Room, *, line: Line, now: float
) -> Choice:
    """Decide for one request of ``model`` and ``key``.

    Whatever is chosen, the bounds of ``room`` hold, and if nothing is busy, starting or finishing
    the choice is never to wait.
    """
    own = sorted(
        (seat for seat in seats if seat.place is Place.RESTING and seat.key == key),
        key=lambda seat: seat.used_at,
    )
    for seat in own:
        if not _is_protected(seat, now):
            return Take(seat.child)
    for seat in seats:
        if seat.place is Place.PARKED and seat.model == model:
            return Take(seat.child)
    coming = sum(seat.place is Place.STARTING and seat.model == model for seat in seats)
    # Those that are about to rest will do, once those before have had theirs; but not one that
    # will wait for results.
    soon = sum(
        seat.place is Place.FINISHING and seat.key == key and not seat.is_held for seat in seats
    )
    if coming > line.model or soon > line.key:
        return Wait()
    if sum(seat.place is Place.STARTING for seat in seats) >= MOST_STARTS:
        return Wait()
    if has_room(seats, room):
        return Begin()
    if own:
        return Take(own[0].child)
    victim = find_victim(seats, now)
    return Wait() if victim is None else Begin(victim)


def has_room(seats: Sequence[Seat], room: Room) -> bool:
    """Whether one more process may be started. One may always be there."""
    held_mb = sum(seat.memory_mb for seat in seats)
    return not seats or (len(seats) < room.most and held_mb < room.memory_mb)


def find_victim(seats: Sequence[Seat], now: float) -> ChildId | None:
    """Return the process that may be ended with the least loss; None if all are at work.

    Spares first: they hold nothing. Then conversations, those that may go on last.
    """
    idle = [seat for seat in seats if seat.place in (Place.PARKED, Place.RESTING)]
    victim = min(
        idle,
        key=lambda seat: (seat.place is Place.RESTING, _is_protected(seat, now), seat.used_at),
        default=None,
    )
    return None if victim is None else victim.child


def is_crowded(seats: Sequence[Seat], room: Room) -> bool:
    """Whether there are more than there may be: the bounds have become narrower."""
    return len(seats) > max(1, room.most)


def _is_protected(seat: Seat, now: float) -> bool:
    goes_on = seat.answers > 1 or seat.is_held
    return goes_on and now - seat.used_at < PROTECT_S
