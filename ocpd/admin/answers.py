"""The shared spelling of this room: JSON out, JSON and queries in, moments both ways.

What may live here: reading and writing that every handler does alike. A body is a JSON object or
nothing; what a request does not know is refused by name.
"""

import math
import re
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import unquote_to_bytes

import msgspec

from ocpd.errors import BadRequest, OcpdError
from ocpd.http.exchange import Exchange
from ocpd.http.message import Response, json_response, refusal

T = TypeVar("T", bound=msgspec.Struct)

MAX_BODY_BYTES = 65_536
"""The largest body of a request that carries no database."""

NO_STORE = ("cache-control", "no-store")
"""On every answer: keys, logs and sums must not lie in anybody's cache."""

CHALLENGE = (
    "www-authenticate",
    'Bearer realm="ocpd admin: the admin key, or from this machine the setting loopbackAdmin"',
)

_encoder = msgspec.json.Encoder()
_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])

_AT = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_NAMED = re.compile(r"field `([^`]+)`")
_LOST_PLUS = re.compile(r"(?<=:\d\d) (?=\d\d:?\d\d$)")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

# The year 10000: beyond it nobody can spell the date.
_LATEST = 253_402_300_800.0


# Out.


async def send(exchange: Exchange, body: object, status: int = 200) -> None:
    """Answer ``body`` as JSON. Raises what ``Exchange.respond`` raises."""
    await exchange.respond(json_response(status, _encoder.encode(body), (NO_STORE,)))


def spell_refusal(error: OcpdError) -> Response:
    """Spell ``error`` as this room's one error shape; a 401 says what would help."""
    plain = refusal(error)
    headers = (*plain.headers, NO_STORE)
    if error.status == 401:
        kept = tuple(header for header in headers if header[0] != CHALLENGE[0])
        headers = (*kept, CHALLENGE)
    return Response(plain.status, headers, plain.body)


def spell_text_refusal(error: OcpdError) -> Response:
    """Spell ``error`` as a plain text in the field ``error``, as clients of old read it here."""
    plain = spell_refusal(error)
    return Response(plain.status, plain.headers, _encoder.encode({"error": error.message}))


# In: bodies.


async def read_body(exchange: Exchange, kind: type[T], limit_bytes: int = MAX_BODY_BYTES) -> T:
    """Read the request's JSON object; no body is an empty object.

    Raises BadRequest: 400 naming the field (``param``) that is unknown, missing or of another
    type, and what ``Exchange.read_body`` raises.
    """
    return convert(await exchange.read_body(limit_bytes), kind)


def convert(body: bytes, kind: type[T]) -> T:
    """Read ``body`` as ``kind``; see ``read_body``."""
    read_object(body)
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _explain(error) from error
    except msgspec.DecodeError as error:
        raise _not_json(error) from error


def read_object(body: bytes) -> dict[str, msgspec.Raw]:
    """Take a JSON object apart; nothing is an empty one. Raises BadRequest (400)."""
    if not body.strip():
        return {}
    try:
        # msgspec looks into texts only when it makes them.
        body.decode()
        return _object.decode(body)
    except msgspec.ValidationError:
        raise BadRequest("the body must be a JSON object", code="not_an_object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from error


def _explain(error: msgspec.ValidationError) -> BadRequest:
    text = str(error)
    place = _AT.search(text)
    what = text[: place.start()] if place else text
    path = place.group(1) if place else ""
    if named := _NAMED.search(what):
        param = f"{path}.{named.group(1)}".lstrip(".")
        word = "unknown" if "unknown field" in what else "missing"
        return BadRequest(f"{word} field {param!r}", param=param, code=f"{word}_field")
    said = what.replace("`", "")
    return BadRequest(f"{path or 'the body'}: {said[:1].lower()}{said[1:]}", param=path or None)


def _not_json(error: Exception) -> BadRequest:
    return BadRequest(f"the body is not valid JSON: {error}", code="invalid_json")


# In: queries.


def read_query(exchange: Exchange, *known: str) -> dict[str, str]:
    """Read the query; every parameter of ``known`` may stand in it once, and no other.

    Raises BadRequest (400) naming the parameter.
    """
    found: dict[str, str] = {}
    for pair in exchange.request.query.split("&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition("=")
        name, value = _unquote(raw_name), _unquote(raw_value)
        if name not in known:
            allowed = f"known here: {', '.join(known)}" if known else "none is known here"
            raise BadRequest(
                f"unknown query parameter {name[:80]!r}; {allowed}",
                param=name[:80],
                code="unknown_parameter",
            )
        if name in found:
            raise BadRequest(f"the query parameter {name!r} stands twice", param=name)
        found[name] = value
    return found


def read_count(query: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    """Return a whole number of the query, brought into ``low`` to ``high``.

    Raises BadRequest (400) for what is no whole number.
    """
    raw = query.get(name)
    if raw is None:
        return default
    if not (raw.isascii() and raw.isdigit()):
        raise BadRequest(f"{name}: {raw[:80]!r} is not a whole number", param=name)
    # No int() of a text of any length: that is slow, and refused from 4,300 digits on.
    return min(max(int(raw[:18]), low), high)


def read_flag(query: dict[str, str], name: str, *, default: bool) -> bool:
    """Return a yes or no of the query. Raises BadRequest (400) for anything else."""
    raw = query.get(name)
    if raw is None:
        return default
    if raw.lower() in ("1", "true", "yes", "on"):
        return True
    if raw.lower() in ("0", "false", "no", "off"):
        return False
    raise BadRequest(f"{name}: {raw[:80]!r} is neither true nor false", param=name)


def _unquote(raw: str) -> str:
    encoded = raw.encode("latin-1", "replace")
    if _BAD_ESCAPE.search(encoded):
        raise BadRequest(f"the query has a malformed percent escape in {raw[:80]!r}")
    try:
        return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise BadRequest(f"the query is not UTF-8 in {raw[:80]!r}") from None


# Moments.


def read_moment(text: str, name: str) -> float:
    """Read a moment as epoch seconds: ISO 8601, or a date alone; UTC unless it says otherwise.

    Raises BadRequest (400) naming ``name``.
    """
    try:
        # In a query a plus that was not encoded has become a space.
        moment = datetime.fromisoformat(_LOST_PLUS.sub("+", text.strip()))
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.timestamp()
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{name}: {text[:80]!r} is no moment; write it like 2026-11-21T11:00:00Z", param=name
        ) from None


def spell_moment(at: float) -> str:
    """Spell epoch seconds as "2026-11-21 11:00:00", in UTC: what clients of old cut and compare."""
    return f"{_date_of(at):%Y-%m-%d %H:%M:%S}"


def maybe_moment(at: float | None) -> str | None:
    """``spell_moment``, or None for None."""
    return None if at is None else spell_moment(at)


def spell_iso(at: float) -> str:
    """Spell epoch seconds as "2026-11-21T11:00:00Z"."""
    return f"{_date_of(at):%Y-%m-%dT%H:%M:%SZ}"


def maybe_iso(at: float | None) -> str | None:
    """``spell_iso``, or None for None."""
    return None if at is None else spell_iso(at)


def spell_uptime(uptime_ms: int) -> str:
    """Spell a span as "6h 32m"."""
    minutes = uptime_ms // 60_000
    return f"{minutes // 60}h {minutes % 60}m"


def _date_of(at: float) -> datetime:
    # A moment out of range is somebody else's nonsense; it must not cost the whole answer.
    return datetime.fromtimestamp(min(max(at if math.isfinite(at) else 0.0, 0.0), _LATEST - 1), UTC)
