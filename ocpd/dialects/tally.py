"""How many things one request may be made of, counted while it is decoded.

What may live here: the count and its limit. A body of a million tiny messages is no larger than
one of a few long ones, and costs a hundred times the time and memory once each is an object. So
the count is taken as they are made, and the first too many ends the decoding: whoever counts
afterwards has paid already.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, Final

import msgspec

from ocpd.errors import BadRequest

MAX_ITEMS: Final = 10_000
"""How many of one kind a request may have, wherever in it they stand."""


class _Tally:
    def __init__(self, field: str) -> None:
        self.field = field
        self.counts: Counter[str] = Counter()


_tally: ContextVar[_Tally | None] = ContextVar("tally", default=None)


class Counted(msgspec.Struct, gc=False):
    """A struct of which a request may have ``MAX_ITEMS``, called ``counted_as`` in the refusal.

    ``counted_in`` is the field that is to blame; "" for the one that ``counting`` was told.
    Decoding one too many raises BadRequest, but only within ``counting``.
    """

    counted_as: ClassVar[str] = "items"
    counted_in: ClassVar[str] = ""

    def __post_init__(self) -> None:
        tally = _tally.get()
        if tally is None:
            return
        kind = self.counted_as
        tally.counts[kind] += 1
        if tally.counts[kind] > MAX_ITEMS:
            field = self.counted_in or tally.field
            raise BadRequest(
                f"{field}: more than {MAX_ITEMS} {kind} were sent; at most {MAX_ITEMS} are read",
                param=field,
            )


@contextmanager
def counting(field: str) -> Iterator[None]:
    """Count what is decoded in this block, from nothing; ``field`` is where it comes from."""
    token = _tally.set(_Tally(field))
    try:
        yield
    finally:
        _tally.reset(token)
