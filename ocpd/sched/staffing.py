"""How many parked processes to keep for which model: one pure decision.

What may live here: ``plan``, which looks at what is parked and what was used and returns what to
start and what to stop. ``pool`` carries it out.

Parked processes are interchangeable within a model, because a process learns system prompt,
history and limits only when it is claimed; but the model is fixed when it is spawned
(``set_model`` costs an upstream request on 2.1.330).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NewType

import msgspec

ChildId = NewType("ChildId", int)
"""Numbers the processes of one daemon from 1."""

SPARE_MB = 110
"""Private memory of one parked process, measured at 85 to 110 MB on 2.1.329."""


class SpareView(msgspec.Struct, frozen=True):
    """A parked process, as the plan sees it."""

    child: ChildId
    model: str


class SpareLimits(msgspec.Struct, frozen=True):
    """How much may be kept: spares per model, spares in all, their memory, and for how long after
    a model's last use (seconds)."""

    per_model: int
    most: int
    memory_mb: int
    idle_s: float


class Plan(msgspec.Struct, frozen=True):
    """What to do now, and when to ask again if nothing else happens (None: never)."""

    start: tuple[str, ...] = ()
    stop: tuple[ChildId, ...] = ()
    again_at: float | None = None


def plan_spares(
    spares: Sequence[SpareView],
    last_used: Mapping[str, float],
    limits: SpareLimits,
    *,
    now: float,
    ready_at: float,
) -> Plan:
    """Decide which spares to start and stop.

    ``last_used`` maps models to the time of their last use; ``ready_at`` is the backoff's word:
    nothing is started before it. The most recently used models come first when the caps bind;
    first everyone gets one spare, then the second round begins.
    """
    most = min(limits.most, limits.memory_mb // SPARE_MB)
    fresh = sorted(
        # Added as for ``again_at`` below: rounding must not ask again and find nothing changed.
        (model for model, used in last_used.items() if now < used + limits.idle_s),
        key=lambda model: -last_used[model],
    )
    rounds = [model for _ in range(limits.per_model) for model in fresh]
    wanted = Counter(rounds[:most])
    have = Counter(spare.model for spare in spares)
    stop: list[ChildId] = []
    surplus = have - wanted
    for spare in spares:
        if surplus[spare.model] > 0:
            surplus[spare.model] -= 1
            stop.append(spare.child)
    missing = wanted - have
    start = tuple(model for model in rounds[:most] if _take(missing, model))
    if start and now < ready_at:
        return Plan((), tuple(stop), ready_at)
    expiry = [last_used[model] + limits.idle_s for model in fresh]
    return Plan(start, tuple(stop), min(expiry, default=None))


def _take(missing: Counter[str], model: str) -> bool:
    if missing[model] <= 0:
        return False
    missing[model] -= 1
    return True
