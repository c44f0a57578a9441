"""``ocpctl audit``: who changed what."""

from __future__ import annotations

from argparse import ArgumentTypeError

from ocpctl.fields import spell_value
from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Fields
    from ocpctl.output import Output


def show_audit(args: Namespace, desk: Desk) -> int:
    """Show the newest changes."""
    return desk.answer(desk.client.get("admin", "audit", query={"n": str(args.number)}), _show)


def _show(body: Fields, out: Output) -> None:
    entries = body.parts("entries")
    if not entries:
        out.line("Nothing was changed yet.")
        return
    rows = [
        (
            entry.text("at", "-")[:19],
            _spell_user(entry),
            entry.text("via", "-"),
            entry.text("action", "-"),
            spell_value(entry.value("detail")) if "detail" in entry else "",
        )
        for entry in entries
    ]
    out.table(("At", "Who", "Via", "Action", "Detail"), rows)


def _spell_user(entry: Fields) -> str:
    user, uid = entry.text("user"), entry.text("uid")
    return f"{user} ({uid})" if user and uid else user or uid or "-"


def _read_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is no number of entries")
    return int(text)


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "number", metavar="N", nargs="?", type=_read_number, default=50, help="how many (50)"
    )


COMMANDS = {"audit": {"": Verb("show who changed what", show_audit, _declare)}}
