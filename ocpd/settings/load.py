"""Which of several sources wins.

What may live here: the pure reading of argv, the store, environment and file into one ``Settings``.

Precedence: argv > changed at run time > environment > file > default, so that ``ocpctl settings
maxConcurrent 4`` always takes effect. ``OCPD_*`` beats the seeds' names (``CLAUDE_*``,
``PROXY_*``), which beat claude-code-proxy's; an empty variable counts as unset. A value that does
not fit stops the start: a daemon that runs with half of what was asked for is worse than one that
says why it does not.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from ocpd.settings.foreign import (
    COMPAT,
    COMPAT_CLAUDE_PROXY,
    COMPAT_VARIABLE,
    INERT,
    LATER,
    PROXY,
)
from ocpd.settings.knob import Knob, SettingsError, parse_value
from ocpd.settings.table import BY_KEY, KNOBS
from ocpd.settings.unit import ORIGIN, SocketUnit
from ocpd.settings.values import Settings

READ_ELSEWHERE = frozenset(
    {"OCPD_CONFIG", "OCPD_STATE_DIR", "OCPD_SOCKET", "OCPD_ADMIN_KEY", COMPAT_VARIABLE}
)
"""Variables that begin like a knob's and are none."""

Rank = Literal["unit", "argv", "store", "environment", "file", "default"]


class Source(msgspec.Struct, frozen=True):
    """One place that gives a value for a knob. ``name`` is for people: a flag, a variable, ..."""

    rank: Rank
    name: str
    raw: object


class Sources(msgspec.Struct, frozen=True):
    """All places there are. ``argv`` maps keys to texts, ``runtime`` is what an operator changed,
    ``file`` the decoded ocpd.toml. Where a socket ``unit`` listens for us, it has decided."""

    argv: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}
    file: Mapping[str, object] = {}
    runtime: Mapping[str, object] = {}
    unit: SocketUnit | None = None


class Loaded(msgspec.Struct, frozen=True):
    """Settings, where each came from, and lines worth logging at start. ``runtime`` is what an
    operator changed, as far as it was read."""

    settings: Settings
    origins: dict[str, str]
    notes: tuple[str, ...]
    runtime: Mapping[str, object] = {}


def load_settings(
    argv: Mapping[str, str],
    environ: Mapping[str, str],
    file: Mapping[str, object] | None = None,
    runtime: Mapping[str, object] | None = None,
    unit: SocketUnit | None = None,
) -> Loaded:
    """Read all sources into one Settings.

    Raises SettingsError at the first value that does not fit, an unknown key of the file, two
    variables of the same rank that disagree, or an address that is not the socket unit's.
    Variables that begin with OCPD_ and mean nothing are noted, not refused: they may be another
    version's.
    """
    sources = Sources(argv, environ, flatten(file or {}), runtime or {}, unit)
    for key in sources.file:
        if key not in BY_KEY:
            raise SettingsError(f"config file: unknown setting {key!r}")
    notes = _note_foreign(environ)
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for knob in KNOBS:
        first, *rest = sources_of(knob, sources)
        # The default needs no check: it may lie outside of the range, and then means "off".
        is_default = first.rank == "default"
        values[knob.field] = first.raw if is_default else parse_value(knob, first.raw, first.name)
        origins[knob.key] = first.name
        if first.rank == "unit":
            _check_unit(knob, unit, rest)
        notes += _note_overridden(knob, first, rest)
    settings = msgspec.convert(values, Settings)
    return Loaded(settings, origins, tuple(notes), sources.runtime)


def sources_of(knob: Knob, sources: Sources) -> list[Source]:
    """Return every place that gives ``knob`` a value, the winner first, the default last.

    Raises SettingsError if the variables of the winning rank disagree.
    """
    found: list[Source] = []
    if sources.unit is not None and (decided := sources.unit.value(knob)) is not None:
        found.append(Source("unit", ORIGIN, decided))
    if knob.key in sources.argv:
        found.append(Source("argv", knob.flag, sources.argv[knob.key]))
    if knob.key in sources.runtime:
        name = f"changed at run time: {knob.key}"
        found.append(Source("store", name, sources.runtime[knob.key]))
    found += _variables_of(knob, sources.environ, decides=not found)
    if knob.key in sources.file:
        found.append(Source("file", f"config file: {knob.key}", sources.file[knob.key]))
    return [*found, Source("default", "default", knob.default)]


def flatten(file: Mapping[str, object]) -> dict[str, object]:
    """Spell nested tables with dots: ``[tiers.opus] base = 1`` is ``tiers.opus.base``."""
    flat: dict[str, object] = {}
    for key, value in file.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": each for inner, each in flatten(value).items()}
        else:
            flat[key] = value
    return flat


def _variables_of(knob: Knob, environ: Mapping[str, str], *, decides: bool) -> list[Source]:
    proxy = PROXY
    if environ.get(COMPAT_VARIABLE) == COMPAT_CLAUDE_PROXY:
        proxy = PROXY | COMPAT
    ranks = (
        (knob.variable,),
        knob.aliases,
        tuple(name for name, key in proxy.items() if key == knob.key),
    )
    found: list[Source] = []
    for names in ranks:
        given = [Source("environment", name, environ[name]) for name in names if environ.get(name)]
        if decides and not found and any(each.raw != given[0].raw for each in given):
            disagreeing = " and ".join(each.name for each in given)
            raise SettingsError(f"{disagreeing} disagree; set only one of them")
        found += given
    return found


def _check_unit(knob: Knob, unit: SocketUnit | None, others: list[Source]) -> None:
    for other in others:
        if unit is None or other.rank == "default":
            continue
        value = parse_value(knob, other.raw, other.name)
        if not unit.agrees(knob, value):
            raise SettingsError(unit.refusal(knob, value, other.name))


def _note_overridden(knob: Knob, first: Source, rest: list[Source]) -> list[str]:
    if first.rank not in ("store", "environment"):
        return []
    return [
        f"{other.name} has no effect: {first.name} wins"
        for other in rest
        if other.rank == "environment" and str(other.raw) != str(first.raw)
    ]


def _note_foreign(environ: Mapping[str, str]) -> list[str]:
    given = {name for name, value in environ.items() if value}
    ours = READ_ELSEWHERE.union(knob.variable for knob in KNOBS)
    notes = [
        f"{name} has no effect: there is no such setting"
        for name in sorted(environ)
        if name.startswith("OCPD_") and name not in ours
    ]
    notes += [f"{name} has no effect here" for name in sorted(INERT & given)]
    notes += [
        f"{name} has no effect: {what} are not in this version yet"
        for name, what in sorted(LATER.items())
        if name in given
    ]
    return notes
