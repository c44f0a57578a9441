"""Writes the pages that the code knows better: docs/settings.md, docs/state-machines.md, and the
man pages of the daemon and of its settings file.

    make docs           writes them
    make docs-check     compares them, shows the difference, exits 1 if there is one

What may live here: words around tables. What the tables say comes from ``ocpd.settings.KNOBS`` and
from the state machines' own tables.
"""

import difflib
import enum
import sys
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import TypeVar

import man_pages

from ocpd.claude import lifecycle
from ocpd.claude.argv import PASSED
from ocpd.daemon import state as daemon
from ocpd.http import exchange, phase
from ocpd.settings.knob import Knob, Type
from ocpd.settings.table import KNOBS
from ocpd.turn import outcome

TOP = Path(__file__).parents[2]

State = TypeVar("State", bound=enum.Enum)

WRITTEN_BY = "<!-- Written by `make docs`; change the code, not this page. -->"

SETTINGS_INTRO = """\
# Settings

{written_by}

Every setting can be given in several ways. The first one found wins:

1. a flag: `ocpd --max-queue 4` (`make run ARGS="--max-queue 4"`)
2. what was changed at run time: `ocpctl settings maxQueue 4`. It is kept for the next start.
3. an environment variable: `OCPD_MAX_QUEUE=4`. Some settings also answer to an older name, such as
   `CLAUDE_MAX_QUEUE`; the `OCPD_` name wins over it. An empty variable counts as unset.
4. the config file, a TOML file with the names of the first column; names with dots may also stand
   in tables
5. the default

The config file is the one that `--config FILE` or `OCPD_CONFIG` names, else
`$XDG_CONFIG_HOME/ocpd/ocpd.toml` (`~/.config/ocpd/ocpd.toml`), else `/etc/ocpd/ocpd.toml`.

A value that does not fit stops the start with exit code 78 and a line that names the setting, the
value and what would fit. So does a name in the file that is no setting. `ocpd --check` only says
whether everything fits, in the same way.
What was changed at run time and does not fit any more is left out, with a line in the log; but not
what decides who may come in: that stops the start, and the line names the command that forgets it,
such as `ocpd --forget tlsCertificate,tlsKey`.

All but flags and secrets can be changed while ocpd runs: with `ocpctl settings KEY VALUE`, which
comes right behind the flags and counts after a restart too, or in the config file and then
`ocpctl reload` (or SIGHUP). Turns that run go on under the settings they began with.
`ocpctl settings --explain KEY` tells where a value comes from.
"""

SETTINGS_REST = """\
## An ocpd.toml

```toml
{lines}
```

## Other variables

| variable | what it does |
|---|---|
| `OCPD_CONFIG` | the config file |
| `OCPD_STATE_DIR` | the state directory, where the CLI's empty working directory is made |
| `STATE_DIRECTORY`, `XDG_STATE_HOME` | where that is without it (`~/.local/state/ocpd`) |
| {passed} | passed on to the CLI as they are; nothing else is but the `LC_` ones |
"""

MACHINES_INTRO = """\
# State machines

{written_by}

Each machine is an enum and one table in one file. A move that its table does not have is a bug of
ours and raises.
"""


def settings_page() -> str:
    """Return docs/settings.md."""
    intro = SETTINGS_INTRO.format(written_by=WRITTEN_BY)
    shown = ("port", "defaultModel", "maxConcurrent")
    lines = "\n".join(f"{knob.key} = {_toml(knob)}" for knob in KNOBS if knob.key in shown)
    passed = ", ".join(f"`{name}`" for name in sorted(PASSED))
    rest = SETTINGS_REST.format(lines=lines, passed=passed)
    return "\n".join((intro, _table(KNOBS), rest))


def _table(knobs: Iterable[Knob]) -> str:
    rows = ["| setting | what it does | default | fits | variables | flag |"]
    rows.append("|---|---|---|---|---|---|")
    for knob in knobs:
        names = ", ".join(f"`{name}`" for name in (knob.variable, *knob.aliases))
        # Every user of the machine sees the flags of its processes.
        flag = "none: a secret" if knob.secret else f"`{knob.flag}`"
        cells = (f"`{knob.key}`", knob.help, _default(knob), _fits(knob), names, flag)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _default(knob: Knob) -> str:
    if knob.default == "":
        return "unset"
    return f"`{knob.default}`" + (f" {knob.unit}" if knob.unit else "")


def _fits(knob: Knob) -> str:
    match knob.type:
        case Type.INTEGER | Type.NUMBER:
            return f"{knob.low} to {knob.high}" + (f" {knob.unit}" if knob.unit else "")
        case Type.BOOLEAN:
            return "`true`, `false`"
        case Type.CHOICE:
            return ", ".join(f"`{choice}`" for choice in knob.choices)
        case Type.STRING | Type.PATH | Type.LIST:
            return knob.fits


def _toml(knob: Knob) -> str:
    if knob.type is Type.BOOLEAN:
        return str(knob.default).lower()
    return str(knob.default) if knob.type in (Type.INTEGER, Type.NUMBER) else f'"{knob.default}"'


def machines_page() -> str:
    """Return docs/state-machines.md."""
    child = [(start, trigger.value, end) for (start, trigger), end in lifecycle.TABLE.items()]
    machines = (
        ("A child", "ocpd/claude/lifecycle.py", "One process of the Claude CLI.", _draw(child)),
        ("A turn", "ocpd/turn/outcome.py", "One request, as it is counted.", _moves(outcome.MOVES)),
        ("The daemon", "ocpd/daemon/state.py", "All of it.", _moves(daemon.MOVES)),
        ("A connection", "ocpd/http/phase.py", "One client's socket.", _moves(phase.MOVES)),
        ("An exchange", "ocpd/http/exchange.py", "One answer.", _moves(exchange.MOVES)),
    )
    intro = MACHINES_INTRO.format(written_by=WRITTEN_BY)
    parts = [
        f"## {name}\n\n{what} `{place}`\n\n{drawing}" for name, place, what, drawing in machines
    ]
    return "\n".join((intro, *parts))


def _moves(moves: Mapping[State, Set[State]]) -> str:
    # Sets have no order: the enum's own keeps the page the same from run to run.
    return _draw([(a, "", b) for a in moves for b in type(a) if b in moves[a]])


def _draw(moves: Iterable[tuple[enum.Enum, str, enum.Enum]]) -> str:
    moves = list(moves)
    states = list(type(moves[0][0]))
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {states[0].value}"]
    for start, label, end in moves:
        lines.append(f"    {start.value} --> {end.value}" + (f" : {label}" if label else ""))
    leaving = {start for start, _, _ in moves}
    lines += [f"    {state.value} --> [*]" for state in states if state not in leaving]
    return "\n".join((*lines, "```")) + "\n"


PAGES = {
    "docs/settings.md": settings_page,
    "docs/state-machines.md": machines_page,
    "packaging/man/ocpd.8": man_pages.daemon_page,
    "packaging/man/ocpd.toml.5": man_pages.settings_page,
}


def main() -> int:
    """Write the pages, or with ``--check`` compare them; returns the exit code."""
    is_check = sys.argv[1:] == ["--check"]
    stale = 0
    for name, write in PAGES.items():
        path, page = TOP / name, write()
        old = path.read_text("utf-8") if path.exists() else ""
        if old == page:
            continue
        stale += 1
        if is_check:
            pair = (old.splitlines(keepends=True), page.splitlines(keepends=True))
            sys.stdout.writelines(difflib.unified_diff(*pair, name, "what the code says"))
        else:
            path.write_text(page, "utf-8")
    if is_check and stale:
        sys.stdout.write("make docs would write this\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
