"""What a command finds when it starts: the daemon, paper, other programs, and the user.

What may live here: putting these together, and asking the user.
"""

from __future__ import annotations

import os
import sys

from ocpctl.client import Client
from ocpctl.failures import OK, Failure, Misuse
from ocpctl.fields import Fields
from ocpctl.places import list_places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from ocpctl.fields import Json
    from ocpctl.output import Output


class Desk:
    """``client`` asks the daemon, ``out`` writes; ``instance`` is the one of ``--instance``."""

    def __init__(self, args: Namespace, out: Output, argv: Sequence[str]) -> None:
        self.out = out
        self.instance: str | None = args.instance
        self.argv = tuple(argv)
        environ = os.environ
        self.client = Client(
            list_places(environ, socket=args.socket, instance=args.instance, platform=sys.platform),
            warn=out.remark,
            command=self.spell_command(argv),
            bearer=environ.get("OCPD_ADMIN_KEY") or environ.get("OCP_ADMIN_KEY", ""),
            platform=sys.platform,
        )

    def answer(self, body: Json, show: Callable[[Fields, Output], None]) -> int:
        """Write an answer: as JSON if that was asked for, else as ``show`` lays it out."""
        if self.out.is_json:
            self.out.show_json(body)
        else:
            show(Fields(body), self.out)
        return OK

    def spell_command(self, argv: Sequence[str]) -> str:
        """Return the command line of ocpctl with these arguments, to be typed again."""
        return " ".join(("ocpctl", *(_quote(word) for word in argv)))

    def confirm(self, question: str, *, is_sure: bool) -> None:
        """Have the user agree to ``question``; ``is_sure`` is their ``--yes``.

        Raises Failure if they do not, and Misuse if there is nobody to ask.
        """
        if is_sure:
            return
        if not sys.stdin.isatty():
            raise Misuse("there is no terminal to ask on", ("add --yes if you are sure",))
        self.out.ask(f"{question} [y/N]")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Failure("nothing was changed")


def _quote(word: str) -> str:
    is_plain = word and not set(word) - set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_"
    )
    return word if is_plain else "'" + word.replace("'", "'\"'\"'") + "'"
