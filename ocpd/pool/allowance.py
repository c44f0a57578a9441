"""How much of the plan is left, asked of one signed-in process.

What may live here: one question (``get_usage``) and the reading of its answer. It costs no model
request. The CLI answers it from the account when its login allows that; with a token from the
environment it has nothing to say (seen on 2.1.329).
"""

import datetime
import math

import msgspec

from ocpd.errors import OcpdError
from ocpd.pool.pool import Pool
from ocpd.pool.reaper import Patience, settle
from ocpd.sched.affinity import Wanted

PATIENCE = Patience(interrupt_s=15.0)
"""The process may have to start first."""

PERCENT = 100.0


class Window(msgspec.Struct, frozen=True):
    """One window: ``utilization`` is a share from 0 to 1, ``resets_at`` epoch seconds."""

    name: str
    utilization: float | None
    resets_at: float | None


class _WireWindow(msgspec.Struct):
    utilization: float | None = None
    resets_at: float | str | None = None


class _WireUsage(msgspec.Struct):
    rate_limits: dict[str, msgspec.Raw] | None = None


_usage: msgspec.json.Decoder[_WireUsage] = msgspec.json.Decoder(_WireUsage)
_window: msgspec.json.Decoder[_WireWindow] = msgspec.json.Decoder(_WireWindow)


async def ask_allowance(pool: Pool, model: str) -> tuple[Window, ...]:
    """Return the plan's windows; none if the CLI will not say, or there is no CLI.

    Takes a spare of ``model`` if one is parked. If cancelled, the process is given back.
    """
    try:
        lease = await pool.lease(Wanted(model, key=b"", chain=()), afresh=True)
    except OcpdError:
        return ()
    child = lease.child
    try:
        child.consult("get_usage")
        await settle(child, PATIENCE)
        return read_allowance(child.session.consulted or b"")
    finally:
        pool.give_back(child)


def read_allowance(answer: bytes) -> tuple[Window, ...]:
    """Read the answer to ``get_usage``. Total: what cannot be read is left out."""
    try:
        limits = _usage.decode(answer).rate_limits or {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    found: list[Window] = []
    for name, raw in limits.items():
        try:
            wire = _window.decode(raw)
        except msgspec.DecodeError:
            # Lists and flags stand among the windows.
            continue
        if wire.utilization is not None and math.isfinite(wire.utilization):
            resets_at = _epoch(wire.resets_at)
            found.append(Window(name, wire.utilization / PERCENT, resets_at))
    return tuple(found)


def _epoch(value: float | str | None) -> float | None:
    if not isinstance(value, str):
        return value
    try:
        return datetime.datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None
