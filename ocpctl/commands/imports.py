"""``ocpctl import-ocp``: nobody has to change a key when ocpd takes over from OCP."""

from __future__ import annotations

from binascii import b2a_base64

from ocpctl.failures import OK, Failure
from ocpctl.fields import Fields, spell_value
from ocpctl.former import read_former
from ocpctl.grammar import Verb
from ocpctl.runner import calling_account

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Json
    from ocpctl.former import Former
    from ocpctl.output import Output
    from ocpctl.takeover import Takeover


def import_ocp(args: Namespace, desk: Desk) -> int:
    """Send what the old installation has left, or with ``--takeover`` replace it altogether."""
    account = calling_account()
    path = args.path or f"{account.home}/.ocp/ocp.db"
    former = read_former(path, account.home)
    for note in former.notes:
        desk.out.remark(note)
    if not args.takeover:
        return _show(_send(former, desk, dry_run=args.dry_run), desk, path)
    from ocpctl import services, takeover  # noqa: PLC0415 - a plain import starts no program

    olds = takeover.find_old(account)
    names = ", ".join(old.name for old in olds) or "no old service (none was found)"
    if args.dry_run:
        desk.out.remark(f"would stop and disable {names}, then start ocpd")
        return _show(_send(former, desk, dry_run=True), desk, path)
    managers = services.find_managers(desk.instance)
    manager = next((m for m in managers if m.is_running), managers[0] if managers else None)
    if manager is None:
        raise Failure("no service manager here knows ocpd", ("install it as a service first",))
    desk.confirm(f"Stop and disable {names}, and start ocpd instead?", is_sure=args.yes)
    switch = takeover.Takeover(olds, manager, desk.client)
    told = _switch(switch, path, desk)
    code = _show(told, desk, path)
    if not desk.out.is_json:
        desk.out.tick("ocpd has taken over")
    return code


def _switch(switch: Takeover, path: str, desk: Desk) -> Json:
    """Walk through the steps; undo them all if one fails."""
    try:
        switch.stop_old()
        switch.start_new()
        # Read again: the old service may have written until it was stopped.
        told = _send(read_former(path, calling_account().home), desk, dry_run=False)
        if Fields(told).part("settings").names():
            switch.restart_new()
    except (Failure, KeyboardInterrupt) as failure:
        desk.out.remark("putting the old service back")
        left = switch.put_back()
        said = failure.message if isinstance(failure, Failure) else "interrupted"
        advice = failure.advice if isinstance(failure, Failure) else ()
        if left:
            raise Failure(f"{said}; and the old service is NOT back", (*left, *advice)) from failure
        raise Failure(f"{said}; the old service is back", advice) from failure
    return told


def _send(former: Former, desk: Desk, *, dry_run: bool) -> Json:
    environment: dict[str, Json] = dict(former.environment)
    body: dict[str, Json] = {
        "db": b2a_base64(former.db, newline=False).decode(),
        "wal": None if former.wal is None else b2a_base64(former.wal, newline=False).decode(),
        "admin_key": former.admin_key or None,
        "environment": environment,
        "dry_run": dry_run,
    }
    return desk.client.call("POST", "admin", "import-ocp", body=body)


def _show(told: Json, desk: Desk, path: str) -> int:
    desk.answer(told, lambda body, out: _show_import(body, out, path))
    return OK


def _show_import(body: Fields, out: Output, path: str) -> None:
    out.title(f"{'Would import' if body.flag('dry_run') else 'Imported'} from {path}")
    keys = body.parts("keys")
    if keys:
        rows = [
            (key.text("name"), key.text("as"), key.text("state"), key.text("id")) for key in keys
        ]
        out.table(("Key", "Becomes", "State", ">Id"), rows)
        out.line()
    settings = [f"{name} = {spell_value(value)}" for name, value in body.part("settings").pairs()]
    out.pairs(
        (
            ("Keys", str(len(keys))),
            ("Usage rows", body.text("usage", "0")),
            ("Settings", ", ".join(settings) or "none"),
            ("Admin key", "taken over" if body.flag("admin_key") else "none"),
        )
    )
    for note in body.texts("notes"):
        out.line(f"Note: {note}")


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", nargs="?", help="the old store (~/.ocp/ocp.db)")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and no more")
    parser.add_argument(
        "--takeover",
        action="store_true",
        help="also stop and disable the old service and start ocpd; undone if ocpd cannot serve",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


COMMANDS = {
    "import-ocp": {
        "": Verb(
            "take over keys, quotas and usage of an OCP installation",
            import_ocp,
            _declare,
            detail="Also read: the admin-key beside the store, and the environment of the old"
            " service. Clients keep their keys. A second import changes nothing.",
        )
    }
}
