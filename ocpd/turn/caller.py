"""Who asks: what the books and the limits hang on.

What may live here: the record. How a caller is recognised is the front door's business.
"""

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """``name`` is for people; ``key_id`` is set exactly for callers with a key of ours."""

    name: str = "local"
    key_id: int | None = None
