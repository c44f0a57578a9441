"""Recognising a caller by the key it brings.

What may live here: from a token to a caller. What a caller may do is decided elsewhere.
"""

from collections.abc import Callable

from ocpd.http.credentials import read_tokens
from ocpd.http.message import Request
from ocpd.store.records import KeyRecord
from ocpd.turn.caller import Caller

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")

FindKey = Callable[[str], KeyRecord | None]
"""From a token to its key, if there is one that is valid now."""


def identify(request: Request, find_key: FindKey) -> Caller:
    """Return who asks. A token that is no valid key of ours counts as none: any client has to send
    something, and nobody is kept out by it."""
    place = request.peer if request.uid is None else f"uid {request.uid}"
    # Behind a proxy everybody has the same address; what it says of them tells them apart. It may
    # be made up, and then only keeps apart what belonged together.
    told = [request.headers.get(name) for name in _FORWARDED]
    place = " via ".join((place, *(value for value in told if value)))
    for token in read_tokens(request.headers):
        if (key := find_key(token)) is not None:
            return Caller(
                key.name,
                key.id,
                place,
                key_stamp=f"{key.created_at}",
                servers=key.mcp_servers,
                own_tools=key.allowed_tools,
            )
    return Caller(place=place)
