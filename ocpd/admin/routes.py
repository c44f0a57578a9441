"""The back-door table: method, path, access, handler. One table, mounted on both sockets.

What may live here: rows, and what is done alike around every handler: who asks is judged before
anything is read, and every refusal has the one shape.
"""

from collections.abc import Awaitable, Callable

import msgspec

from ocpd.admin import answers, knobs
from ocpd.admin.access import Access, Actor, Doorman
from ocpd.admin.audit import Audit
from ocpd.admin.backup import Backup
from ocpd.admin.cache import Cache
from ocpd.admin.keys import Keys
from ocpd.admin.knobs import Knobs
from ocpd.admin.login import Login
from ocpd.admin.logs import Logs
from ocpd.admin.quotas import Quotas
from ocpd.admin.sessions import Sessions
from ocpd.admin.status import Status
from ocpd.admin.usage import Usage
from ocpd.errors import OcpdError
from ocpd.http.exchange import Exchange, Handler
from ocpd.http.message import Response
from ocpd.http.router import Route

Act = Callable[[Exchange, Actor], Awaitable[None]]
"""Answers one exchange for one actor, who may do it."""

Spell = Callable[[OcpdError], Response]


class Desks(msgspec.Struct, frozen=True):
    """Every handler of the back door, by its noun."""

    status: Status
    usage: Usage
    keys: Keys
    quotas: Quotas
    knobs: Knobs
    logs: Logs
    sessions: Sessions
    cache: Cache
    backup: Backup
    login: Login
    audit: Audit


class Row(msgspec.Struct, frozen=True):
    """One route. ``spell`` is how it refuses, where clients of old need more than the one shape."""

    method: str
    path: str
    access: Access
    act: Act
    spell: Spell = answers.spell_refusal


def list_rows(d: Desks) -> tuple[Row, ...]:
    """Return the table. A backup is a GET and still Write: it holds everybody's usage and cached
    answers."""
    own, read, write = Access.OWN, Access.READ, Access.WRITE
    quota, settings = quota_refusal, knobs.spell_refusal
    return (
        Row("GET", "/status", read, d.status.show),
        Row("GET", "/usage", read, d.status.show_usage),
        Row("GET", "/settings", read, d.knobs.show_all),
        Row("PATCH", "/settings", write, d.knobs.change, settings),
        Row("GET", "/settings/{key}", read, d.knobs.explain),
        Row("DELETE", "/settings/{key}", write, d.knobs.reset),
        Row("GET", "/logs", read, d.logs.show),
        Row("GET", "/sessions", read, d.sessions.show),
        Row("DELETE", "/sessions", write, d.sessions.clear),
        Row("GET", "/api/keys", read, d.keys.show_all),
        Row("POST", "/api/keys", write, d.keys.add),
        Row("GET", "/api/keys/{ref}", read, d.keys.show_one),
        Row("PATCH", "/api/keys/{ref}", write, d.keys.change),
        Row("DELETE", "/api/keys/{ref}", write, d.keys.revoke),
        Row("POST", "/api/keys/{ref}/rotate", write, d.keys.rotate),
        Row("GET", "/api/keys/{ref}/quota", read, d.quotas.show, quota),
        Row("PATCH", "/api/keys/{ref}/quota", write, d.quotas.change, quota),
        Row("GET", "/api/usage", own, d.usage.show),
        Row("GET", "/cache/stats", read, d.cache.show),
        Row("DELETE", "/cache", write, d.cache.clear),
        Row("POST", "/admin/reload", write, d.knobs.reload),
        Row("GET", "/admin/backup", write, d.backup.save),
        Row("POST", "/admin/restore", write, d.backup.restore),
        Row("POST", "/admin/import-ocp", write, d.backup.take_over),
        Row("GET", "/admin/auth", read, d.login.show),
        Row("POST", "/admin/auth/token", write, d.login.store_token),
        Row("DELETE", "/admin/auth/token", write, d.login.remove_token),
        Row("POST", "/admin/auth/admin-key", write, d.login.mint_admin_key),
        Row("POST", "/admin/auth/refresh", write, d.login.refresh),
        Row("GET", "/admin/audit", read, d.audit.show),
    )


def back_door(desks: Desks, doorman: Doorman) -> tuple[Route, ...]:
    """Return the rows as routes for a router: the same for both sockets."""
    return tuple(Route(row.method, row.path, guard(row, doorman)) for row in list_rows(desks))


def guard(row: Row, doorman: Doorman) -> Handler:
    """Return the row's handler behind its access and in front of its refusals."""

    async def guarded(exchange: Exchange) -> None:
        try:
            actor = doorman.admit(exchange.request, row.access)
            await row.act(exchange, actor)
        except OcpdError as error:
            if exchange.started:
                raise
            await exchange.respond(row.spell(error))

    return guarded


def quota_refusal(error: OcpdError) -> Response:
    """An unknown key is the plain text that clients of old compare; the rest is as everywhere."""
    if error.code == "key_not_found":
        return answers.spell_text_refusal(type(error)("Key not found", status=error.status))
    return answers.spell_refusal(error)
