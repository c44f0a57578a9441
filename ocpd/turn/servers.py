"""MCP servers that run beside the CLI: what a file says of them, and which a request gets.

What may live here: the record of a server, the check of a file's bytes, the choice for one
request. Who reads files is the daemon's business, who starts servers the CLI's. A configuration
may hold credentials: it is never shown, neither in an error nor by ``repr``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from ocpd.errors import BadRequest, Refused

NAMES = "1 to 64 letters, digits, hyphens and single underscores, no underscore last"

CLIENT = "c"
"""What the server of the client's own tools is called."""

TAKEN = frozenset({CLIENT, "ide", "claude-in-chrome", "computer-use"})
"""Names that cannot be given: the CLI has servers of its own under all but the first, and puts
them in the place of ours (seen on 2.1.330)."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PLACE = re.compile(r"(?P<what>.*) - at `\$(?P<path>.*)`", re.DOTALL)
# Longest name that is repeated to whoever asked for it.
_SHOWN = 80


class Server(msgspec.Struct, frozen=True):
    """One server. ``config`` is the JSON object that the CLI takes for it."""

    name: str
    config: msgspec.Raw

    def __repr__(self) -> str:
        return f"Server({self.name!r})"


class Registry(msgspec.Struct, frozen=True):
    """All servers there are: those that join every request, and those that a request may name
    (None: nobody set up any)."""

    always: tuple[Server, ...] = ()
    named: Mapping[str, Server] | None = None


class _Program(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    type: Literal["stdio"] = "stdio"
    command: str
    args: list[str] = []
    env: dict[str, str] = {}


class _Address(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    type: Literal["http", "sse"]
    url: str
    headers: dict[str, str] = {}


class _Kind(msgspec.Struct):
    type: str | None = None
    url: msgspec.Raw = msgspec.Raw()


class _File(msgspec.Struct, rename="camel"):
    # What else such a file holds is for the program it was written for.
    mcp_servers: dict[str, msgspec.Raw]


_FILE: msgspec.json.Decoder[_File] = msgspec.json.Decoder(_File)
_KIND: msgspec.json.Decoder[_Kind] = msgspec.json.Decoder(_Kind)
_PROGRAM: msgspec.json.Decoder[_Program] = msgspec.json.Decoder(_Program)
_ADDRESS: msgspec.json.Decoder[_Address] = msgspec.json.Decoder(_Address)


# What a file says.


def parse_servers(data: bytes) -> tuple[Server, ...]:
    """Read the bytes of a file ``{"mcpServers": {name: ...}}``; return its servers by name.

    Raises ValueError naming the entry and the field that do not fit.
    """
    try:
        entries = _FILE.decode(data).mcp_servers
    except (ValueError, RecursionError) as error:
        raise _fault("", error) from error
    return tuple(_parse_server(name, entries[name]) for name in sorted(entries))


def find_name_fault(name: str) -> str | None:
    """Say why no server can be called ``name``; None if one can."""
    # The CLI calls tools mcp__server__tool, and takes the first "__" for the end of the server.
    if not _NAME.fullmatch(name) or "__" in name or name.endswith("_"):
        return f"a name is {NAMES}"
    if name in TAKEN:
        return "the name is taken"
    return None


def make_registry(always: Sequence[Server], named: Sequence[Server] | None) -> Registry:
    """Make a registry of the servers that join every request and of those that may be named.

    Raises ValueError if one name means two servers.
    """
    by_name = {server.name: server for server in named or ()}
    for server in always:
        if by_name.get(server.name, server) != server:
            raise ValueError(
                f"mcpServers.{server.name}: another server of that name joins every request"
            )
    return Registry(tuple(always), None if named is None else by_name)


def _parse_server(name: str, raw: msgspec.Raw) -> Server:
    place = f"mcpServers.{name}" if _NAME.fullmatch(name) else f"mcpServers[{name[:_SHOWN]!r}]"
    if (fault := find_name_fault(name)) is not None:
        raise ValueError(f"{place}: {fault}")
    try:
        config = _parse_config(raw)
    except (ValueError, RecursionError) as error:
        raise _fault(place, error) from error
    for field, text in _texts(config):
        if (fault := _find_text_fault(text)) is not None:
            raise ValueError(f"{place}.{field}: {fault}")
    if (found := _find_fault(config)) is not None:
        raise ValueError(f"{place}.{found}")
    return Server(name, msgspec.Raw(msgspec.json.encode(config)))


def _parse_config(raw: msgspec.Raw) -> _Program | _Address:
    kind = _KIND.decode(raw)
    match kind.type:
        case None if kind.url:
            raise ValueError("type is missing: http or sse, beside url")
        case None | "stdio":
            return _PROGRAM.decode(raw)
        case "http" | "sse":
            return _ADDRESS.decode(raw)
        case _:
            raise ValueError("type must be stdio, http or sse")


def _texts(config: _Program | _Address) -> Iterable[tuple[str, str]]:
    match config:
        case _Program():
            yield "command", config.command
            yield from ((f"args[{at}]", text) for at, text in enumerate(config.args))
            yield from ((f"env.{name}", f"{name}={text}") for name, text in config.env.items())
        case _Address():
            yield "url", config.url
            yield from ((f"headers.{name}", text) for name, text in config.headers.items())


def _find_text_fault(text: str) -> str | None:
    if "\0" in text:
        return "it holds a NUL"
    # Other programs fill them in; the CLI takes what comes this way as it stands.
    if "${" in text:
        return "${...} is not filled in here: write the value itself"
    return None


def _find_fault(config: _Program | _Address) -> str | None:
    match config:
        case _Program():
            if not config.command.strip():
                return "command: it is empty"
            odd = [name for name in config.env if not name or "=" in name]
            return f"env: {odd[0]!r} is no name of a variable" if odd else None
        case _Address():
            if not _URL.fullmatch(config.url):
                return "url: it must begin with http:// or https://"
            return next(
                (
                    f"headers.{name}: no header can be that"
                    for name, value in config.headers.items()
                    if not _HEADER.fullmatch(name) or not value.isprintable()
                ),
                None,
            )


def _fault(place: str, error: Exception) -> ValueError:
    """Put what msgspec says, and where, behind the place of the entry."""
    text = str(error)
    if found := _PLACE.fullmatch(text):
        place, text = (place + found["path"]).lstrip("."), found["what"]
    return ValueError(f"{place}: {text}" if place else text)


# What a request gets.


def split_names(text: str) -> list[str]:
    """Read a comma list of names; blanks around them and empty ones do not count."""
    return [name for each in text.split(",") if (name := each.strip())]


def choose_servers(
    registry: Registry, asked: Sequence[str], field: str, allowed: Sequence[str] | None
) -> tuple[Server, ...]:
    """Return the servers of one request, sorted, each once: those it ``asked`` for in ``field``,
    and those that join every request.

    ``allowed`` are the names that may be asked for; None: all. Raises BadRequest
    ``unknown_mcp_server``, or Refused ``mcp_server_not_allowed``, naming the server.
    """
    chosen = {server.name: server for server in registry.always}
    for name in asked:
        if name not in chosen:
            chosen[name] = _choose_one(registry, name, field, allowed)
    return tuple(chosen[name] for name in sorted(chosen))


def _choose_one(registry: Registry, name: str, field: str, allowed: Sequence[str] | None) -> Server:
    shown = repr(name[:_SHOWN])
    if registry.named is None:
        raise BadRequest(
            f"{field}: there is no MCP server {shown}: this ocpd has no registry of servers",
            code="unknown_mcp_server",
            param=field,
        )
    # First, so that a key learns nothing of servers that are not for it.
    if allowed is not None and name not in allowed:
        raise Refused(
            f"{field}: this key may not use the MCP server {shown}",
            code="mcp_server_not_allowed",
            param=field,
        )
    if name not in registry.named:
        raise BadRequest(
            f"{field}: there is no MCP server {shown}", code="unknown_mcp_server", param=field
        )
    return registry.named[name]
