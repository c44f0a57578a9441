"""The shape of the command line: nouns, their verbs, and the options that all of them take.

What may live here: how one word of ``ocpctl`` becomes a parser. Which words there are stands in
``cli.TABLE`` and in the ``COMMANDS`` of each file in ``commands``.
"""

from __future__ import annotations

import argparse
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocpctl.desk import Desk

    Run = Callable[[argparse.Namespace, Desk], int]
    Declare = Callable[[argparse.ArgumentParser], None]


class Verb:
    """One thing ocpctl can do. ``run`` does it and returns the exit code; ``declare`` adds its
    arguments to a parser; ``detail`` says more than ``summary``, for --help and the man page."""

    __slots__ = ("declare", "detail", "run", "summary")

    def __init__(
        self, summary: str, run: Run, declare: Declare | None = None, *, detail: str = ""
    ) -> None:
        self.summary = summary
        self.run = run
        self.declare = declare
        self.detail = detail


# The verbs of one noun; what the noun does alone is the verb "".
Command = dict[str, Verb]


class _Formatter(argparse.HelpFormatter):
    """argparse's own asks shutil for the width, and importing that takes longer than all this."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=_help_width())


def _help_width() -> int:
    try:
        return min(os.get_terminal_size(1).columns, 100) - 2
    except OSError:
        return 98


def build_parser(path: tuple[str, ...], verb: Verb) -> argparse.ArgumentParser:
    """Build the parser of one verb; ``path`` are its words, such as keys and add."""
    parser = argparse.ArgumentParser(
        prog=" ".join(("ocpctl", *path)),
        description=f"{verb.summary[0].upper()}{verb.summary[1:]}. {verb.detail}".rstrip(),
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    if verb.declare is not None:
        verb.declare(parser)
    group = parser.add_argument_group("everywhere")
    group.add_argument("--json", action="store_true", help="the daemon's answer, for programs")
    group.add_argument("--socket", metavar="PATH", help="where ocpd listens")
    group.add_argument("--instance", metavar="NAME", help="which ocpd, if there are several")
    group.add_argument("-h", "--help", action="help", help="this text")
    return parser
