"""What this room refuses on its own, and in which words.

What may live here: functions that make refusals. Every limit is named with its unit and, if
it can be set, with its setting.
"""

import h11

from ocpd.errors import BadRequest, Overloaded


def body_too_large(limit_bytes: int) -> BadRequest:
    """Refuse a body that is larger than ``limit_bytes``."""
    return BadRequest(
        f"The request body is larger than {limit_bytes} bytes (setting maxBodyBytes).",
        status=413,
        code="request_too_large",
    )


def wants_tls() -> BadRequest:
    """Refuse plain HTTP on a port that speaks TLS."""
    return BadRequest(
        "This port speaks HTTPS: write https:// instead of http:// in the address.",
        code="https_required",
    )


def head_too_large(limit_bytes: int) -> BadRequest:
    """Refuse a request head that is larger than ``limit_bytes``."""
    return BadRequest(f"The request head is larger than {limit_bytes} bytes.", status=431)


def head_too_slow(limit_s: float) -> BadRequest:
    """Refuse a client that took longer than ``limit_s`` for a request head."""
    return _too_slow("The request head", limit_s, "headerTimeout")


def body_too_slow(limit_s: float) -> BadRequest:
    """Refuse a client that paused for ``limit_s`` in a request body."""
    return _too_slow("The next part of the request body", limit_s, "bodyTimeout")


def stopping() -> Overloaded:
    """Refuse a request whose body still comes when the server stops."""
    return Overloaded(
        "The server is stopping, and the request body did not come in time.",
        status=503,
        code="shutting_down",
    )


def _too_slow(what: str, limit_s: float, setting: str) -> BadRequest:
    return BadRequest(
        f"{what} did not come within {limit_s:g} s (setting {setting}).",
        status=408,
        code="request_timeout",
    )


def not_http(error: h11.RemoteProtocolError, head_limit_bytes: int) -> BadRequest:
    """Refuse what h11 could not read. ``head_limit_bytes`` is the limit behind a 431."""
    if error.error_status_hint == 431:
        return head_too_large(head_limit_bytes)
    # h11 quotes the offending bytes at the end; they may hold a key and help nobody.
    reason = str(error).partition(": b")[0]
    return BadRequest(
        f"The request is not valid HTTP/1.1: {reason}.", status=error.error_status_hint
    )
