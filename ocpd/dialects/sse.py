"""Server-sent events: frames to bytes.

What may live here: how a payload becomes a frame. What is in the payload belongs to a dialect.
"""

# The frame with which OpenAI's streams end.
DONE = b"data: [DONE]\n\n"

# A comment: it keeps connections alive, and readers pass it over.
KEEPALIVE = b": keepalive\n\n"


def data_frame(payload: bytes) -> bytes:
    """Make one unnamed event of ``payload``, JSON as msgspec writes it: a single line."""
    return b"data: " + escape_breaks(payload) + b"\n\n"


def escape_breaks(payload: bytes) -> bytes:
    """Escape the three characters of a JSON text that are line ends to Unicode but not to SSE.

    Clients that cut a stream with a general line splitter would cut the JSON in two. All three
    stand only inside strings, and their UTF-8 is never part of another character's.
    """
    if payload.isascii():
        return payload
    return (
        payload.replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
        .replace(b"\xc2\x85", b"\\u0085")
    )
