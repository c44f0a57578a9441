"""``ocpctl version`` and ``ocpctl help``."""

from __future__ import annotations

from ocpctl import cli
from ocpctl.failures import OK, Failure
from ocpctl.fields import Fields
from ocpctl.grammar import Verb
from ocpctl.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk


def show_versions(_args: Namespace, desk: Desk) -> int:
    """Tell both versions. That no daemon answers is said, and is no failure here."""
    try:
        theirs = Fields(desk.client.get("health")).text("version", "unknown")
        place = str(desk.client.place)
    except Failure as failure:
        theirs, place = "", failure.message
    if desk.out.is_json:
        desk.out.show_json({"ocpctl": VERSION, "ocpd": theirs or None})
        return OK
    desk.out.line(f"ocpctl {VERSION}")
    desk.out.line(f"ocpd   {theirs or 'unknown'} ({place})")
    return OK


def show_help(args: Namespace, _desk: Desk) -> int:
    """Do what ``--help`` after these words would do."""
    return cli.run([*args.words, "--help"])


def _declare_help(parser: ArgumentParser) -> None:
    parser.add_argument("words", metavar="COMMAND", nargs="*", help="the command to explain")


COMMANDS = {
    "version": {"": Verb("tell the versions of ocpctl and of the daemon", show_versions)},
    "help": {"": Verb("explain a command", show_help, _declare_help)},
}
