"""The table of routes: from a method and a path to a handler, or to a good answer why not.

What may live here: paths, patterns, and the handler that dispatches over them. Only the path
decides; a query never does.
"""

import re
from collections.abc import Callable, Iterable
from typing import assert_never
from urllib.parse import unquote_to_bytes

import msgspec

from ocpd.errors import BadRequest
from ocpd.http.exchange import Exchange, Handler
from ocpd.http.hosts import refuse_strangers
from ocpd.http.message import Request, Response, refusal

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Route(msgspec.Struct, frozen=True):
    """One row: ``pattern`` is a path whose ``{name}`` segments match any one segment."""

    method: str
    pattern: str
    handler: Handler


class Match(msgspec.Struct, frozen=True):
    """The route is there; ``params`` are the segments its pattern names."""

    handler: Handler
    params: dict[str, str]


class MethodNotAllowed(msgspec.Struct, frozen=True):
    """The path is there, for the methods ``allow``."""

    allow: tuple[str, ...]


class NotFound(msgspec.Struct, frozen=True):
    """No such path. ``nearest`` is one the caller probably meant."""

    nearest: str | None = None


def normalise_path(raw_target: str) -> tuple[str, str]:
    """Split a request target into its path, decoded and normalised, and its raw query.

    Empty segments and a trailing slash vanish; ``..`` means nothing here and matches nothing.
    A target may be a path, a whole URL (as sent to proxies) or ``*``. Raises BadRequest (400)
    for anything else, for malformed escapes, and for paths that are not UTF-8 or have control
    characters.
    """
    raw_path, _, query = raw_target.partition("?")
    if not raw_path.startswith("/"):
        if raw_path == "*":
            return raw_path, query
        raw_path = _strip_origin(raw_path)
    path = _decode_path(raw_path) if "%" in raw_path else raw_path
    if _CONTROL.search(path):
        raise BadRequest("The request path has control characters.")
    return _collapse(path), query


def _strip_origin(raw_path: str) -> str:
    scheme, separator, rest = raw_path.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise BadRequest("The request target is neither a path nor an http URL.")
    return "/" + rest.partition("/")[2]


def _decode_path(raw_path: str) -> str:
    if _BAD_ESCAPE.search(raw_path):
        raise BadRequest("The request path has a malformed percent escape.")
    try:
        return unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        raise BadRequest("The request path is not UTF-8.") from None


def _collapse(path: str) -> str:
    if "//" in path or path.endswith("/"):
        return "/" + "/".join(segment for segment in path.split("/") if segment)
    return path


class _Place:
    """All routes of one pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.segments = pattern.split("/")[1:]
        self.handlers: dict[str, Handler] = {}

    def maybe_match(self, segments: list[str]) -> dict[str, str] | None:
        if len(segments) != len(self.segments):
            return None
        params: dict[str, str] = {}
        for wanted, found in zip(self.segments, segments, strict=True):
            if wanted.startswith("{") and found:
                params[wanted[1:-1]] = found
            elif wanted != found:
                return None
        return params


class Router:
    """Finds the route for a path. A plain segment wins over a ``{name}`` segment, routes given
    earlier over later ones; HEAD is answered by the route for GET."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._plain: dict[str, _Place] = {}
        self._patterned: dict[str, _Place] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        pattern = route.pattern
        if not pattern.startswith("/") or _collapse(pattern) != pattern:
            raise ValueError(f"{pattern!r} is not a normalised path")
        places = self._patterned if "{" in pattern else self._plain
        place = places.setdefault(pattern, _Place(pattern))
        if route.method in place.handlers:
            raise ValueError(f"two routes for {route.method} {pattern}")
        place.handlers[route.method] = route.handler

    @property
    def paths(self) -> tuple[str, ...]:
        """All patterns, sorted."""
        return tuple(sorted((*self._plain, *self._patterned)))

    def resolve(self, method: str, path: str) -> Match | MethodNotAllowed | NotFound:
        """Find the route for ``method`` on ``path``."""
        path = _collapse(path)
        if (plain := self._plain.get(path)) is not None and method in plain.handlers:
            return Match(plain.handlers[method], {})
        candidates = self._find(path)
        if not candidates:
            return NotFound(self._maybe_nearest(path))
        wanted = (method, "GET") if method == "HEAD" else (method,)
        for place, params in candidates:
            for name in wanted:
                if (handler := place.handlers.get(name)) is not None:
                    return Match(handler, params)
        allow = {name for place, _ in candidates for name in place.handlers}
        if "GET" in allow:
            allow.add("HEAD")
        return MethodNotAllowed(tuple(sorted(allow)))

    def _find(self, path: str) -> list[tuple[_Place, dict[str, str]]]:
        plain = self._plain.get(path)
        found: list[tuple[_Place, dict[str, str]]] = [] if plain is None else [(plain, {})]
        if self._patterned:
            segments = path.split("/")[1:]
            for place in self._patterned.values():
                if (params := place.maybe_match(segments)) is not None:
                    found += ((place, params),)
        return found

    def _maybe_nearest(self, path: str) -> str | None:
        # The two usual mistakes in a client's base URL: /v1 left out, and /v1 too much.
        for candidate in ("/v1" + path, path.removeprefix("/v1")):
            if candidate != path and self._find(candidate):
                return candidate
        return None


def make_handler(router: Router, check: Callable[[Request], None] = refuse_strangers) -> Handler:
    """Make the handler that answers by ``router``: 404 and 405 where no route fits, and
    ``OPTIONS *``.

    These name the paths there are, so ``check`` looks at such a request first and raises if it is
    not to hear them. A route that fits has its own ways to refuse.
    """

    async def dispatch(exchange: Exchange) -> None:
        request = exchange.request
        found = router.resolve(request.method, request.path)
        if not isinstance(found, Match):
            check(request)
        if request.path == "*":
            await exchange.respond(_answer_asterisk(request.method))
            return
        match found:
            case Match(handler, params):
                exchange.params = params
                await handler(exchange)
            case MethodNotAllowed(allow):
                await exchange.respond(_method_not_allowed(request.method, request.path, allow))
            case NotFound(nearest):
                raise _no_such_path(request.path, nearest, router.paths)
            case _:
                assert_never(found)

    return dispatch


def _answer_asterisk(method: str) -> Response:
    if method != "OPTIONS":
        raise BadRequest("The target * is for OPTIONS only.")
    return Response(204)


def _method_not_allowed(method: str, path: str, allow: tuple[str, ...]) -> Response:
    methods = ", ".join(allow)
    plain = refusal(
        BadRequest(
            f"{path} does not take {method}; it takes {methods}.",
            status=405,
            code="method_not_allowed",
        )
    )
    return Response(plain.status, (*plain.headers, ("allow", methods)), plain.body)


def _no_such_path(path: str, nearest: str | None, known: tuple[str, ...]) -> BadRequest:
    hint = f"; did you mean {nearest}?" if nearest else "."
    return BadRequest(
        f"There is no {path} here{hint} Known paths: {', '.join(known)}.",
        status=404,
        code="not_found",
    )
