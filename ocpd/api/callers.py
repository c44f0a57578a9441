"""Recognising a caller by the key it brings.

What may live here: from a token to a caller. What a caller may do is decided elsewhere.
"""

from collections.abc import Callable

from ocpd.http.credentials import read_tokens
from ocpd.http.message import Headers
from ocpd.store.records import KeyRecord
from ocpd.turn.caller import Caller

FindKey = Callable[[str], KeyRecord | None]
"""From a token to its key, if there is one that is valid now."""

NOBODY_IN_PARTICULAR = Caller()


def identify(headers: Headers, find_key: FindKey) -> Caller:
    """Return who asks. A token that is no valid key of ours counts as none: any client has to send
    something, and nobody is kept out by it."""
    for token in read_tokens(headers):
        if (key := find_key(token)) is not None:
            return Caller(key.name, key.id)
    return NOBODY_IN_PARTICULAR
