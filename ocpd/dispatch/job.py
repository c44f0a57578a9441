"""What is to be done: a turn, for whom, and within what time.

What may live here: the record that the front door hands to the hall.
"""

import msgspec

from ocpd.claude.limits import Sheet
from ocpd.turn.caller import Caller
from ocpd.turn.request import Turn


class TimeLimits(msgspec.Struct, frozen=True):
    """How long a turn may take until the first event and in all, and how long the upstream may be
    silent in between; seconds, waiting in the queue not counted. ``idle_s`` 0 is no such limit."""

    first_byte_s: float
    total_s: float
    idle_s: float = 0.0


class Job(msgspec.Struct, frozen=True):
    """A turn, who asks, and what must be known of its model to run it.

    ``limits`` None means the hall's own; ``asked_model`` is the name as the caller wrote it.
    ``is_lossy``: the turn is not what the caller sent, and no process may remember it. ``is_heir``:
    another caller left in favour of this one, who has waited for long, and need not for room.
    """

    turn: Turn
    sheet: Sheet
    is_listed: bool = True
    caller: Caller = Caller()
    asked_model: str = ""
    prompt_chars: int = 0
    limits: TimeLimits | None = None
    is_lossy: bool = False
    is_heir: bool = False
