"""``GET /admin/audit``, and how every change gets in there.

What may live here: writing down who changed what, and reading it back. Details are for people and
never hold a secret.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ocpd.admin.access import Actor
from ocpd.admin.answers import read_count, read_query, send, spell_iso
from ocpd.admin.peers import find_user
from ocpd.admin.wire import AuditAnswer, AuditView
from ocpd.aio import finish, wall_clock
from ocpd.errors import OcpdError, Overloaded
from ocpd.http.exchange import Exchange
from ocpd.store.audit import AuditEntry, AuditLog

T = TypeVar("T")

_log = logging.getLogger("ocpd.admin")

CHANGE_S = 300.0
"""Longest time a change may take: a large database is being restored."""

USUAL = 50
MOST = 1_000


class Journal:
    """Writes changes down: into the log at once, into the store durably."""

    def __init__(self, book: AuditLog) -> None:
        self._book = book

    async def carry_out(
        self, actor: Actor, action: str, change: Awaitable[T], tell: Callable[[T], str]
    ) -> T:
        """Make ``change`` and write it down; return its result.

        ``tell`` makes the detail of the result. What ``change`` raises is raised, and nothing is
        written. If cancelled, both are still done: no change without its line. Raises Overloaded
        (503) when it takes longer than CHANGE_S.
        """

        async def do_both() -> tuple[T]:
            result = await change
            await self.note(actor, action, tell(result))
            return (result,)

        done = await finish(do_both(), CHANGE_S)
        if done is None:
            raise Overloaded("the change took too long", status=503, code="change_too_slow")
        return done[0]

    async def note(self, actor: Actor, action: str, detail: str) -> None:
        """Write down that ``actor`` did ``action``; for what is done already.

        Trouble with the store is logged and not raised: the change stands.
        """
        told = {
            "uid": actor.uid,
            "actor": actor.name,
            "via": actor.via.value,
            "action": action,
            "detail": detail,
        }
        _log.info("admin_change", extra=told)
        entry = AuditEntry(wall_clock(), actor.uid, actor.via.value, actor.name, action, detail)
        try:
            await self._book.write(entry)
        except OcpdError as error:
            _log.error("audit_not_written", extra=told | {"error": error.message})


class Audit:
    """Shows the changes."""

    def __init__(self, book: AuditLog) -> None:
        self._book = book

    async def show(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer the newest ``n`` changes, oldest of them first."""
        count = read_count(read_query(exchange, "n"), "n", USUAL, 1, MOST)
        entries = [_view(entry) for entry in await self._book.tail(count)]
        await send(exchange, AuditAnswer(entries))


def _view(entry: AuditEntry) -> AuditView:
    return AuditView(
        at=spell_iso(entry.at),
        uid=entry.uid,
        user=None if entry.uid is None else find_user(entry.uid),
        via=entry.via,
        action=entry.action,
        detail=entry.detail,
    )
