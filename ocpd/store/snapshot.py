"""What memory holds of the file: read as a whole, so that all of it is of one moment.

What may live here: the one record of everything that is loaded, and how it is read.
"""

import sqlite3

import msgspec

from ocpd.store.conversations import Known, load_known
from ocpd.store.knobs import KnobValue, load_knobs
from ocpd.store.plan import PlanWindow, load_plan
from ocpd.store.quotas import LoadedQuotas, load_quotas
from ocpd.store.records import LoadedKeys, load_keys


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that is answered from memory."""

    keys: LoadedKeys
    quotas: LoadedQuotas
    knobs: dict[str, KnobValue]
    plan: dict[str, PlanWindow]
    conversations: dict[str, Known]


def load_snapshot(connection: sqlite3.Connection) -> Snapshot:
    """Read all of it; sqlite3.Error and ValueError pass."""
    return Snapshot(
        keys=load_keys(connection),
        quotas=load_quotas(connection),
        knobs=load_knobs(connection),
        plan=load_plan(connection),
        conversations=load_known(connection),
    )
