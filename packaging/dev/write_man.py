"""Writes ocpctl's man page and its completions, which its parsers know better.

    python packaging/dev/write_man.py            writes them
    python packaging/dev/write_man.py --check    compares them, exits 1 if one is stale

What may live here: roff around what ``ocpctl.cli`` and the parsers of its commands say.
"""

import sys
from argparse import Action
from pathlib import Path

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP))

from roff import escape, list_terms  # noqa: E402

from ocpctl.cli import GLOBAL_OPTIONS, load_command  # noqa: E402 - runs uninstalled
from ocpctl.completions import Word, list_words, write_completion  # noqa: E402
from ocpctl.failures import EXIT_CODES  # noqa: E402
from ocpctl.version import VERSION  # noqa: E402

_INTRO = """\
manages a running
.BR ocpd (8)
over its Unix socket: no token, no network. What you may do is decided by who you are, which the
kernel tells the daemon; each change stands in its audit log
.RB ( "ocpctl audit" ).
.P
The answer goes to stdout, everything else to stderr. Tables are for people and may change;
.B \\-\\-json
is the daemon's own answer, for programs."""

_SEARCH = (
    ("--socket", "if it is given; http(s)://HOST:PORT is one over TCP"),
    ("$OCPD_SOCKET", "if it is set"),
    ("$XDG_RUNTIME_DIR/ocpd/ocpd.sock", "the user's own daemon"),
    ("$OCPD_STATE_DIR/ocpd.sock", "the same, where its state directory was moved to"),
    ("~/Library/Application Support/ocpd/ocpd.sock", "the same, on macOS"),
    ("$XDG_STATE_HOME/ocpd/ocpd.sock", "the same, or ~/.local/state/ocpd/ocpd.sock"),
    ("/run/ocpd/ocpd.sock", "the system's daemon; group ocpd may use it"),
)

_VARIABLES = (
    ("OCPD_SOCKET", "where ocpd listens, as with --socket"),
    ("OCPD_ADMIN_KEY", "the admin key; sent only over TCP. OCP_ADMIN_KEY is read, too"),
    ("NO_COLOR", "no colour if it is set; there is none without a terminal either"),
)

_EXAMPLES = (
    ("ocpctl keys add laptop --models opus,sonnet", "a key for one device"),
    ("ocpctl quota laptop daily=50 cost.monthly=5", "what it may spend"),
    ("ocpctl settings maxConcurrent 4", "takes effect at once"),
    ("ocpctl logs -f warn", "what goes wrong, as it happens"),
    ("ocpctl usage --since 7d --json", "for programs"),
)


def man_page() -> str:
    """Return ocpctl.1."""
    lines = [
        '.\\" Written by packaging/dev/write_man.py; change the code, not this page.',
        f'.TH OCPCTL 1 "" "ocpctl {VERSION}" "User Commands"',
        ".SH NAME",
        "ocpctl \\- manage ocpd",
        ".SH SYNOPSIS",
        ".B ocpctl",
        ".RI [ OPTION \\ .\\|.\\|.] \\ COMMAND",
        "[.\\|.\\|.]",
        ".SH DESCRIPTION",
        ".B ocpctl",
        _INTRO,
        ".SH OPTIONS",
        *list_terms(GLOBAL_OPTIONS),
        ".SH COMMANDS",
    ]
    for word in list_words():
        lines += _command(word)
    sections = (
        ("EXIT STATUS", tuple((str(code), text) for code, text in EXIT_CODES)),
        ("ENVIRONMENT", _VARIABLES),
    )
    lines += [
        ".SH FILES",
        "The first of these sockets on which somebody listens is used. With",
        ".B \\-\\-instance",
        "NAME each folder is ocpd\\-NAME instead.",
        *list_terms(_SEARCH),
    ]
    for title, rows in sections:
        lines += [f".SH {title}", *list_terms(rows)]
    lines += [".SH EXAMPLES", *list_terms(_EXAMPLES), ".SH SEE ALSO", ".BR ocpd (8)"]
    return "\n".join(lines) + "\n"


def _command(word: Word) -> list[str]:
    name = word.path[1] if len(word.path) == 2 else ""
    verb = load_command(word.path[0])[name]
    own = [
        a
        for a in word.actions
        if not {"--json", "--socket", "--instance", "-h"} & {*a.option_strings}
    ]
    usage = " ".join((*word.path, *(_spell_usage(a) for a in _ordered(own))))
    text = f"{verb.summary[0].upper()}{verb.summary[1:]}. {verb.detail}".strip()
    lines = [".TP", f".B ocpctl {escape(usage)}", escape(text)]
    if own:
        lines.append(".RS")
        lines += list_terms(
            tuple((_spell_name(action), action.help or "") for action in _ordered(own))
        )
        lines.append(".RE")
    return lines


def _ordered(actions: list[Action]) -> list[Action]:
    return sorted(actions, key=lambda action: bool(action.option_strings))


def _spell_name(action: Action) -> str:
    metavar = str(action.metavar or "")
    if not action.option_strings:
        return metavar
    many = f"{metavar} ..." if action.nargs == "*" else metavar
    value = f"[{many}]" if action.nargs in ("?", "*") else many
    return f"{', '.join(action.option_strings)} {value if action.nargs != 0 else ''}".strip()


def _spell_usage(action: Action) -> str:
    if action.option_strings:
        return f"[{_spell_name(action).rpartition(', ')[2]}]"
    many = f"{action.metavar} ..." if action.nargs == "*" else str(action.metavar)
    return f"[{many}]" if action.nargs in ("?", "*") else many


def pages() -> dict[Path, str]:
    """Every page with its text."""
    folder = TOP / "packaging/completions"
    return {
        TOP / "packaging/man/ocpctl.1": man_page(),
        folder / "ocpctl.bash": f"{write_completion('bash')}\n",
        folder / "_ocpctl": f"{write_completion('zsh')}\n",
        folder / "ocpctl.fish": f"{write_completion('fish')}\n",
    }


def main(argv: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them; returns the exit code."""
    stale = 0
    for path, text in pages().items():
        old = path.read_text("utf-8") if path.exists() else ""
        if old == text:
            continue
        stale += 1
        if argv == ["--check"]:
            sys.stdout.write(f"{path.relative_to(TOP)} is stale\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    return 1 if argv == ["--check"] and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
