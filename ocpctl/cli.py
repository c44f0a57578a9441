"""Reads the command line and has a command carry it out.

What may live here: the list of commands, ``--help``, and what failures look like. The file of a
command is imported when its word is said, and argparse not before that either.
"""

from __future__ import annotations

import os
import sys

from ocpctl import failures
from ocpctl.failures import EXIT_CODES, Failure, Misuse
from ocpctl.output import Output
from ocpctl.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocpctl.grammar import Command, Verb

# The word, the file in commands it is found in, and what it is about; in the order of --help.
TABLE = (
    ("usage", "usage", "what the plan has left, and what the models did"),
    ("status", "status", "quick overview"),
    ("health", "status", "what runs, and what is wrong with it"),
    ("doctor", "doctor", "what must be done, with the next command to type"),
    ("keys", "keys", "API keys: list, add, revoke, rotate, show, rename"),
    ("quota", "quota", "what one key may spend"),
    ("settings", "settings", "show or change settings, without a restart"),
    ("logs", "logs", "recent log entries (20 errors, if you do not say)"),
    ("models", "models", "the models that can be asked for"),
    ("sessions", "sessions", "conversations that are kept"),
    ("clear", "sessions", "forget all of them"),
    ("auth", "auth", "the Claude login: status, login, token, admin-key"),
    ("audit", "audit", "who changed what"),
    ("reload", "service", "read the config file again"),
    ("restart", "service", "restart ocpd, or OpenClaw's gateway"),
    ("update", "update", "get the newest version, from where ocpd was installed"),
    ("backup", "backup", "write the store to a file"),
    ("restore", "backup", "replace the store by such a file"),
    ("import-ocp", "imports", "take over keys and usage of an OCP installation"),
    ("completion", "completion", "completion for bash, zsh or fish"),
    ("version", "about", "versions of ocpctl and of the daemon"),
    ("help", "about", "what a command does"),
)

GLOBAL_OPTIONS = (
    ("--socket PATH", "where ocpd listens: a socket, or http(s)://HOST:PORT"),
    ("--instance NAME", "which ocpd, if there are several"),
    ("--json", "the daemon's answer as it is, for programs"),
    ("--version", "version of ocpctl"),
    ("-h, --help", "this text; ocpctl COMMAND --help says more"),
)

_TAKES_VALUE = ("--socket", "--instance")
_STANDS_ALONE = ("--json", "-h", "--help", "--version")


def run(argv: Sequence[str]) -> int:
    """Do what ``argv`` says; returns the exit code. Whatever fails is told on stderr."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    out = Output(sys.stdout, sys.stderr, environ=os.environ)
    try:
        code = _run(list(argv), out)
        out.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else failures.REFUSED
    except Failure as failure:
        out.remark(failure.message, failure.advice)
        return failure.exit_code
    except KeyboardInterrupt:
        return failures.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our answer has enough. What is still buffered must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failures.PIPE_CLOSED
    return code


def _run(argv: list[str], out: Output) -> int:
    leading, words = split_options(argv)
    if "--version" in leading:
        out.line(f"ocpctl {VERSION}")
        return failures.OK
    if not words:
        if leading and not {"-h", "--help"} & set(leading):
            raise Misuse("a command is missing", ("ocpctl --help lists them",))
        out.line(help_text())
        return failures.OK
    verbs = load_command(words[0])
    more, rest = split_options(words[1:])
    path, rest = _find_verb(words[0], verbs, rest)
    options = [*leading, *more]
    if len(path) == 1 and len(verbs) > 1 and not rest and {"-h", "--help"} & set(options):
        out.line(noun_text(words[0], verbs))
        return failures.OK
    return _run_verb(path, verbs[path[-1] if len(path) > 1 else ""], [*options, *rest], out)


def _run_verb(path: tuple[str, ...], verb: Verb, rest: list[str], out: Output) -> int:
    # What --help needs not is imported after it.
    from ocpctl.grammar import build_parser  # noqa: PLC0415

    parser = build_parser(path, verb)
    # Intermixed: "logs -f 50" as well as "logs 50 -f". That way of reading loses the word "--".
    args = parser.parse_args(rest) if "--" in rest else parser.parse_intermixed_args(rest)
    out.is_json = args.json
    from ocpctl.desk import Desk  # noqa: PLC0415

    return verb.run(args, Desk(args, out, [*path, *rest]))


def split_options(argv: list[str]) -> tuple[list[str], list[str]]:
    """Split what every command takes, as far as it stands in front, from the rest."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        name = argv[at].partition("=")[0]
        if argv[at] in _TAKES_VALUE:
            at += 2
        elif argv[at] in _STANDS_ALONE or name in _TAKES_VALUE:
            at += 1
        else:
            break
    return argv[:at], argv[at:]


def load_command(name: str) -> Command:
    """Import the file of the command ``name``; returns its verbs. Raises Misuse if unknown."""
    for word, module, _ in TABLE:
        if word == name:
            from importlib import import_module  # noqa: PLC0415

            found: dict[str, Command] = import_module(f"ocpctl.commands.{module}").COMMANDS
            return found[name]
    raise _unknown("command", name, [word for word, _, _ in TABLE], "ocpctl --help")


def _find_verb(noun: str, verbs: Command, rest: list[str]) -> tuple[tuple[str, ...], list[str]]:
    if len(verbs) == 1 or not rest or rest[0].startswith("-"):
        return (noun,), rest
    if rest[0] not in verbs or not rest[0]:
        known = [verb for verb in verbs if verb]
        raise _unknown(f"{noun} command", rest[0], known, f"ocpctl {noun} --help")
    return (noun, rest[0]), rest[1:]


def _unknown(what: str, name: str, known: list[str], where: str) -> Misuse:
    from difflib import get_close_matches  # noqa: PLC0415 - only for the ones who mistyped

    near = get_close_matches(name, known, 1)
    advice = (f"did you mean {near[0]}?",) if near else ()
    return Misuse(f"unknown {what}: {name}", (*advice, f"{where} lists them"))


# Help.


def help_text() -> str:
    """Return the answer to ``ocpctl --help``."""
    return "\n".join(
        (
            "usage: ocpctl [OPTION ...] COMMAND [...]",
            "",
            "Manages ocpd over its socket: no token, no network.",
            "",
            "Commands:",
            *(f"  {word:<18}{summary}" for word, _, summary in TABLE),
            "",
            "Options:",
            *(f"  {option:<18}{summary}" for option, summary in GLOBAL_OPTIONS),
            "",
            "Exit codes:",
            *(f"  {code:<18}{meaning}" for code, meaning in EXIT_CODES),
        )
    )


def noun_text(noun: str, verbs: Command) -> str:
    """Return the answer to ``ocpctl keys --help`` and the like."""
    words = {f"ocpctl {noun} {name}".rstrip(): verb.summary for name, verb in verbs.items()}
    wide = max(map(len, words)) + 2
    return "\n".join(
        (
            f"usage: ocpctl {noun} [{'|'.join(name for name in verbs if name)}] [...]",
            "",
            *(f"  {name:<{wide}}{summary}" for name, summary in words.items()),
            "",
            f"ocpctl {noun} COMMAND --help says more.",
        )
    )
