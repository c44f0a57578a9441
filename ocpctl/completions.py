"""Completion for bash, zsh and fish, made of the parsers.

What may live here: the words of ocpctl as each shell wants them. No shell asks the daemon: a key
that is pressed must not wait for a socket.
"""

from __future__ import annotations

from ocpctl.cli import TABLE, load_command
from ocpctl.grammar import build_parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action

    from ocpctl.grammar import Command

SHELLS = ("bash", "zsh", "fish")

_GLOBAL = (
    ("--socket", "where ocpd listens"),
    ("--instance", "which ocpd, if there are several"),
    ("--json", "the daemon's answer, for programs"),
    ("--version", "version of ocpctl"),
    ("--help", "what ocpctl does"),
)
_FILES = ("FILE", "PATH")


class Word:
    """One verb, or a noun alone. ``path`` is what stands before the options."""

    __slots__ = ("actions", "path", "summary")

    def __init__(self, path: tuple[str, ...], summary: str, actions: list[Action]) -> None:
        self.path = path
        self.summary = summary
        self.actions = actions

    @property
    def options(self) -> list[str]:
        """Its options, the long ones."""
        return [action.option_strings[-1] for action in self.actions if action.option_strings]

    @property
    def choices(self) -> list[str]:
        """What its arguments can be, as far as that is known."""
        positional = [action for action in self.actions if not action.option_strings]
        return [str(choice) for action in positional for choice in action.choices or ()]

    @property
    def takes_files(self) -> bool:
        """Is one of its arguments a file?"""
        return any(a.metavar in _FILES for a in self.actions if not a.option_strings)


def list_words() -> list[Word]:
    """List every verb of every noun, in the order of --help."""
    return [
        _word(noun, name, verbs)
        for noun, _, _ in TABLE
        for verbs in (load_command(noun),)
        for name in verbs
    ]


def _word(noun: str, name: str, verbs: Command) -> Word:
    path = (noun, name) if name else (noun,)
    parser = build_parser(path, verbs[name])
    return Word(path, verbs[name].summary, list(parser._actions))


def write_completion(shell: str) -> str:
    """Return the completion script of one of SHELLS."""
    words = list_words()
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](words)


def _verbs_of(noun: str, words: list[Word]) -> list[Word]:
    return [word for word in words if len(word.path) == 2 and word.path[0] == noun]


def _next_words(word: Word, words: list[Word]) -> list[str]:
    """What may follow ``word``: verbs if it is a noun alone, known arguments, options."""
    verbs = [v.path[1] for v in _verbs_of(word.path[0], words)] if len(word.path) == 1 else []
    nouns = [noun for noun, _, _ in TABLE] if word.path == ("help",) else []
    return [*verbs, *nouns, *word.choices, *word.options]


# bash.


def _bash(words: list[Word]) -> str:
    nouns = " ".join(noun for noun, _, _ in TABLE)
    options = " ".join(name for name, _ in _GLOBAL)
    lines = [
        "# bash completion for ocpctl; written by packaging/dev/write_man.py",
        "_ocpctl() {",
        "    local word=${COMP_WORDS[COMP_CWORD]} path= at=1 said",
        "    COMPREPLY=()",
        '    case "${COMP_WORDS[COMP_CWORD-1]}" in',
        '        --socket) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;',
        "        --instance) return ;;",
        "    esac",
        "    while ((at < COMP_CWORD)); do",
        '        case "${COMP_WORDS[at]}" in',
        "            --socket | --instance) ((at += 1)) ;;",
        "            -*) ;;",
        '            *) path="${path:+$path }${COMP_WORDS[at]}" ;;',
        "        esac",
        "        ((at += 1))",
        "    done",
        '    case "$path" in',
        f'        "") said="{nouns} {options}" ;;',
    ]
    # The longer path first: the pattern of "keys" matches "keys add" as well.
    for word in sorted(words, key=lambda word: -len(word.path)):
        said = " ".join(_next_words(word, words))
        path = " ".join(word.path)
        lines.append(f'        "{path}" | "{path} "*) said="{said}" ;;')
    files = "|".join(word.path[0] for word in words if word.takes_files)
    lines += [
        '        *) said="" ;;',
        "    esac",
        '    mapfile -t COMPREPLY < <(compgen -W "$said" -- "$word")',
        f'    case "$path" in {files})',
        '        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word") ;;',
        "    esac",
        "}",
        "complete -o filenames -F _ocpctl ocpctl",
    ]
    return "\n".join(lines)


# zsh.


def _zsh(words: list[Word]) -> str:
    lines = [
        "#compdef ocpctl",
        "# zsh completion for ocpctl; written by packaging/dev/write_man.py",
        "_ocpctl() {",
        "    local -a said",
        "    local line= at=2",
        "    case ${words[CURRENT-1]} in",
        "        --socket) _files; return ;;",
        "        --instance) return ;;",
        "    esac",
        "    while ((at < CURRENT)); do",
        "        case ${words[at]} in",
        "            --socket | --instance) ((at += 1)) ;;",
        "            -*) ;;",
        '            *) line="${line:+$line }${words[at]}" ;;',
        "        esac",
        "        ((at += 1))",
        "    done",
        "    case $line in",
        "        '') said=(",
        *(f"            {_quote(f'{noun}:{_plain(about)}')}" for noun, _, about in TABLE),
        *(f"            {_quote(f'{name}:{_plain(about)}')}" for name, about in _GLOBAL),
        "        ) ;;",
    ]
    for word in sorted(words, key=lambda word: -len(word.path)):
        path = " ".join(word.path)
        lines.append(f"        '{path}' | '{path} '*) said=(")
        lines += [f"            {_quote(entry)}" for entry in _zsh_entries(word, words)]
        lines.append("        ) ;;")
    files = "|".join(word.path[0] for word in words if word.takes_files)
    lines += [
        "    esac",
        "    _describe ocpctl said",
        f"    case $line in {files}) _files ;; esac",
        "}",
        '_ocpctl "$@"',
    ]
    return "\n".join(lines)


def _zsh_entries(word: Word, words: list[Word]) -> list[str]:
    verbs = _verbs_of(word.path[0], words) if len(word.path) == 1 else []
    told = {verb.path[1]: verb.summary for verb in verbs}
    told |= {a.option_strings[-1]: a.help or "" for a in word.actions if a.option_strings}
    return [
        f"{name}:{_plain(told[name])}" if told.get(name) else name
        for name in _next_words(word, words)
    ]


def _plain(text: str) -> str:
    return text.replace(":", " -")


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# fish.


def _fish(words: list[Word]) -> str:
    lines = [
        "# fish completion for ocpctl; written by packaging/dev/write_man.py",
        "complete -c ocpctl -f",
    ]
    fresh = "-n __fish_use_subcommand"
    lines += [
        f"complete -c ocpctl {fresh} -a {noun} -d {_fish_quote(about)}" for noun, _, about in TABLE
    ]
    lines += [
        f"complete -c ocpctl {fresh} -l {name[2:]} -d {_fish_quote(about)}"
        for name, about in _GLOBAL
    ]
    for word in words:
        when = f"-n {_fish_quote(_fish_condition(word, words))}"
        if len(word.path) == 2:
            noun = _fish_quote(_fish_condition(_noun_of(word, words), words))
            lines.append(
                f"complete -c ocpctl -n {noun} -a {word.path[1]} -d {_fish_quote(word.summary)}"
            )
        lines += [_fish_option(when, action) for action in word.actions if action.option_strings]
        said = [w for w in _next_words(word, words) if not w.startswith("-")]
        known = {verb.path[1] for verb in _verbs_of(word.path[0], words)}
        if rest := [w for w in said if w not in known or word.path == ("help",)]:
            lines.append(f"complete -c ocpctl {when} -a {_fish_quote(' '.join(rest))}")
        if word.takes_files:
            lines.append(f"complete -c ocpctl {when} -F")
    return "\n".join(lines)


def _noun_of(word: Word, words: list[Word]) -> Word:
    return next(other for other in words if other.path == word.path[:1])


def _fish_condition(word: Word, words: list[Word]) -> str:
    noun = word.path[0]
    verbs = " ".join(verb.path[1] for verb in _verbs_of(noun, words))
    if len(word.path) == 2:
        return f"__fish_seen_subcommand_from {noun}; and __fish_seen_subcommand_from {word.path[1]}"
    if not verbs:
        return f"__fish_seen_subcommand_from {noun}"
    return f"__fish_seen_subcommand_from {noun}; and not __fish_seen_subcommand_from {verbs}"


def _fish_option(when: str, action: Action) -> str:
    short = "".join(f" -s {name[1:]}" for name in action.option_strings if len(name) == 2)
    value = "" if action.nargs == 0 else " -r"
    files = " -F" if action.dest == "socket" else ""
    about = _fish_quote(action.help or "")
    name = action.option_strings[-1].removeprefix("--")
    return f"complete -c ocpctl {when}{short} -l {name}{value}{files} -d {about}"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
