"""Every process of the daemon and where it is: starting, parked, resting, finishing or busy.

What may live here: the list and its views for the decisions of ``sched``. Who moves an entry is
``pool``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ocpd.pool.child import Child
from ocpd.sched.affinity import Memory
from ocpd.sched.seating import Place, Seat
from ocpd.sched.staffing import SPARE_MB, ChildId


class Entry(msgspec.Struct):
    """One process. ``child`` is None while it starts; ``memory`` is what it holds, or will hold
    when it has finished; one that ``is_doomed`` does not rest again; ``environment`` and the CLI of
    ``signature`` are what it was started with."""

    id: ChildId
    model: str
    environment: Mapping[str, str]
    is_listed: bool = True
    is_doomed: bool = False
    place: Place = Place.STARTING
    child: Child | None = None
    signature: tuple[int, ...] = ()
    scratch: Path | None = None
    memory: Memory | None = None
    used_at: float = 0.0
    memory_mb: int = SPARE_MB
    turns: int = 0


class Roster:
    """The entries by id."""

    def __init__(self) -> None:
        self._entries: dict[ChildId, Entry] = {}

    def __repr__(self) -> str:
        told = Counter(entry.place.value for entry in self._entries.values())
        return f"Roster({', '.join(f'{count} {place}' for place, count in sorted(told.items()))})"

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Take it in."""
        self._entries[entry.id] = entry

    def get(self, child_id: ChildId) -> Entry | None:
        """Return the entry, or None for one that was removed."""
        return self._entries.get(child_id)

    def remove(self, child_id: ChildId) -> Entry | None:
        """Forget it; None if it is not there."""
        return self._entries.pop(child_id, None)

    def at(self, place: Place) -> list[Entry]:
        """Return the entries of one place, the oldest first."""
        return [entry for entry in self._entries.values() if entry.place is place]

    def memories(self, place: Place) -> dict[ChildId, Memory]:
        """Return what the processes of one place hold."""
        return {e.id: e.memory for e in self.at(place) if e.memory is not None}

    def seats(self) -> list[Seat]:
        """Return the view that seating decides on."""
        return [
            Seat(
                child=entry.id,
                model=entry.model,
                place=entry.place,
                key=None if entry.memory is None else entry.memory.key,
                answers=0 if entry.memory is None else entry.memory.answers,
                is_held=entry.memory is not None and entry.memory.is_held,
                used_at=entry.used_at,
                memory_mb=entry.memory_mb,
            )
            for entry in self._entries.values()
        ]
