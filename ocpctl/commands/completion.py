"""``ocpctl completion``: the shell's part of knowing these words."""

from __future__ import annotations

from ocpctl.completions import SHELLS, write_completion
from ocpctl.failures import OK
from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from ocpctl.desk import Desk


def show_completion(args: Namespace, desk: Desk) -> int:
    """Write the completion of one shell."""
    desk.out.line(write_completion(args.shell))
    return OK


def _declare(parser: ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


COMMANDS = {
    "completion": {
        "": Verb(
            "write the completion of a shell",
            show_completion,
            _declare,
            detail="For bash: source <(ocpctl completion bash). For zsh: ocpctl completion zsh >"
            " a file _ocpctl on your fpath. For fish: ocpctl completion fish >"
            " ~/.config/fish/completions/ocpctl.fish.",
        )
    }
}
