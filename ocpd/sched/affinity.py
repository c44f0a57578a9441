"""Which resting conversation continues a request, if any.

What may live here: the comparison of chains (``turn.transcript``). Which process is given up when
none continues it is ``sched.seating``'s.
"""

import enum
from collections.abc import Iterable, Mapping

import msgspec

from ocpd.sched.staffing import ChildId


class Memory(msgspec.Struct, frozen=True):
    """What a process holds. ``chain`` covers every message it has, ``last_request`` is where the
    user's last ones begin, ``answers`` how many are the model's. ``is_held``: its last answer calls
    tools, and waits for their results."""

    key: bytes
    chain: tuple[bytes, ...]
    last_request: int = 0
    answers: int = 0
    is_held: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """What a request needs: a process of ``model`` and ``key`` that has, or gets, the messages of
    ``chain``. ``last_request`` is where the user's last ones begin, ``users`` says which are the
    user's; with ``has_history`` one of them is the model's."""

    model: str
    key: bytes
    chain: tuple[bytes, ...]
    last_request: int = 0
    has_history: bool = False
    users: frozenset[int] = frozenset()


class Way(enum.Enum):
    """How a resting conversation serves a request."""

    CONTINUED = "continued"
    """The request begins with all of it."""
    REWOUND = "rewound"
    """Its last request is replaced: edited, or to be answered anew."""


class Match(msgspec.Struct, frozen=True):
    """``child`` keeps its first ``keep`` messages."""

    child: ChildId
    keep: int
    way: Way


def find_match(memories: Mapping[ChildId, Memory], wanted: Wanted) -> Match | None:
    """Return the conversation that ``wanted`` continues, the longest if there are several."""
    found = (_compare(child, memory, wanted) for child, memory in memories.items())
    return max(
        _real(found), key=lambda match: (match.keep, match.way is Way.CONTINUED), default=None
    )


def _real(found: Iterable[Match | None]) -> Iterable[Match]:
    return (match for match in found if match is not None)


def _compare(child: ChildId, memory: Memory, wanted: Wanted) -> Match | None:
    if memory.key != wanted.key:
        return None
    has, wants = len(memory.chain) - 1, len(wanted.chain) - 1
    if has == 0:
        # An empty one continues everything and remembers nothing: that is seating.
        return None
    # An answer that comes first could not be taken back with the request after it.
    if wants > has and has in wanted.users and wanted.chain[has] == memory.chain[has]:
        return Match(child, has, Way.CONTINUED)
    keep = memory.last_request
    if wanted.last_request != keep:
        # More than the last request differs: a branch, and the other one may still go on.
        return None
    # With nothing kept it is the same conversation only if it begins with the same message.
    shared = max(keep, 1)
    if wants >= shared and wanted.chain[shared] == memory.chain[shared]:
        return Match(child, keep, Way.REWOUND)
    return None
