"""Every knob once: key, type, unit, range, default, environment names, one line of help.

What may live here: the table of knobs, the frozen struct they fill, and the pure function that
reads argv, environment and file into it. Who reads the file and the environment is the edge's
business. docs/settings.md is generated from KNOBS.

Precedence: argv > environment > file > default. ``OCPD_*`` beats the seeds' names (``CLAUDE_*``,
``PROXY_*``); an empty variable counts as unset. A value that does not fit stops the start: a
daemon that runs with half of what was asked for is worse than one that says why it does not.
"""

import enum
from collections.abc import Mapping

import msgspec


class SettingsError(ValueError):
    """A value that does not fit; the text names the setting, the value and what would fit."""


class Type(enum.Enum):
    """What kind of value a knob takes."""

    INTEGER = "integer"
    STRING = "string"
    CHOICE = "choice"
    PATH = "path"


class Knob(msgspec.Struct, frozen=True, kw_only=True):
    """One setting; ``low`` and ``high`` are inclusive."""

    key: str
    type: Type
    default: int | str
    help: str
    unit: str = ""
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """Its name in ``Settings``, which carries the unit: timeout is timeout_ms."""
        suffix = {"ms": "_ms", "s": "_s", "MB": "_mb"}.get(self.unit, "")
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in self.key) + suffix

    @property
    def variable(self) -> str:
        """The environment variable that is this knob's own: maxQueue is OCPD_MAX_QUEUE."""
        snake = "".join(f"_{c}" if c.isupper() else c for c in self.key)
        return f"OCPD_{snake.upper()}"

    @property
    def flag(self) -> str:
        """The command line flag: maxQueue is --max-queue."""
        return "--" + "".join(f"-{c.lower()}" if c.isupper() else c for c in self.key)

    @property
    def fits(self) -> str:
        """What would fit, for people."""
        match self.type:
            case Type.INTEGER:
                return f"a whole number from {self.low} to {self.high}"
            case Type.CHOICE:
                return "one of " + ", ".join(self.choices)
            case Type.PATH:
                return "a path"
            case Type.STRING:
                return "a text that is not empty"


def _integer(
    key: str,
    default: int,
    bounds: tuple[int, int],
    unit: str,
    *aliases: str,
    help: str,  # noqa: A002 - the table reads like a form
) -> Knob:
    return Knob(
        key=key,
        type=Type.INTEGER,
        default=default,
        low=bounds[0],
        high=bounds[1],
        unit=unit,
        aliases=aliases,
        help=help,
    )


KNOBS: tuple[Knob, ...] = (
    Knob(
        key="bind",
        type=Type.STRING,
        default="127.0.0.1",
        aliases=("CLAUDE_BIND",),
        help="Address to listen on; only loopback addresses until keys exist.",
    ),
    _integer(
        "port",
        3456,
        (0, 65535),
        "",
        "CLAUDE_PROXY_PORT",
        help="TCP port; 0 lets the system choose.",
    ),
    Knob(
        key="claudeBin",
        type=Type.PATH,
        default="",
        aliases=("CLAUDE_BIN",),
        help="Path of the claude executable; unset looks on PATH and in the usual places.",
    ),
    Knob(
        key="defaultModel",
        type=Type.STRING,
        default="sonnet",
        help="Model of a request that names none.",
    ),
    Knob(
        key="unknownModel",
        type=Type.CHOICE,
        default="refuse",
        choices=("refuse", "default"),
        help="What to do with a model name nobody knows: 404, or run defaultModel.",
    ),
    _integer(
        "maxConcurrent", 8, (1, 32), "", "CLAUDE_MAX_CONCURRENT", help="Turns that run at once."
    ),
    _integer(
        "maxQueue",
        16,
        (0, 10_000),
        "",
        "CLAUDE_MAX_QUEUE",
        help="Turns that may wait for a place; one more is answered 429.",
    ),
    _integer(
        "queueRetryAfter",
        5,
        (1, 3600),
        "s",
        "CLAUDE_QUEUE_RETRY_AFTER",
        help="Retry-After of that 429.",
    ),
    _integer(
        "timeout",
        600_000,
        (30_000, 1_800_000),
        "ms",
        "CLAUDE_TIMEOUT",
        help="Longest time a turn may run, waiting in the queue not counted.",
    ),
    _integer(
        "firstByteTimeout",
        90_000,
        (15_000, 300_000),
        "ms",
        "CLAUDE_FIRST_BYTE_TIMEOUT",
        help="Longest time until the model says or thinks something.",
    ),
    _integer(
        "maxBodyBytes",
        33_554_432,
        (1024, 1_073_741_824),
        "bytes",
        "CLAUDE_MAX_BODY_SIZE",
        help="Largest request body.",
    ),
    _integer(
        "headerTimeout",
        15_000,
        (1_000, 300_000),
        "ms",
        help="Longest time a client may take to send a request head.",
    ),
    _integer(
        "bodyTimeout",
        60_000,
        (1_000, 1_800_000),
        "ms",
        help="Longest pause while a client sends a request body.",
    ),
    _integer(
        "idleTimeout",
        75_000,
        (1_000, 3_600_000),
        "ms",
        help="How long a connection stays open that is idle, or whose client takes nothing.",
    ),
    _integer(
        "drainTimeout",
        600_000,
        (0, 3_600_000),
        "ms",
        help="How long a stop waits for running turns.",
    ),
    _integer("spares", 1, (0, 8), "", help="Processes kept ready for each recently used model."),
    _integer("maxSpares", 4, (0, 32), "", help="Processes kept ready in all."),
    _integer(
        "spareMemory",
        1024,
        (0, 1_048_576),
        "MB",
        help="Memory that ready processes may hold in all.",
    ),
    _integer(
        "spareIdle",
        3_600_000,
        (1_000, 86_400_000),
        "ms",
        help="How long after its last use a model keeps a ready process.",
    ),
    _integer(
        "cliMaxRetries",
        2,
        (0, 10),
        "",
        "CLAUDE_CODE_MAX_RETRIES",
        help="How often the CLI itself tries again after an upstream error.",
    ),
    _integer(
        "authCheckInterval",
        600_000,
        (10_000, 86_400_000),
        "ms",
        "CLAUDE_AUTH_CHECK_INTERVAL_MS",
        help="How often the login is looked at.",
    ),
    _integer(
        "authCheckTimeout",
        10_000,
        (1_000, 120_000),
        "ms",
        "CLAUDE_AUTH_CHECK_TIMEOUT_MS",
        help="How long one look may take.",
    ),
    Knob(
        key="logLevel",
        type=Type.CHOICE,
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="Least level that is logged.",
    ),
    Knob(
        key="logFormat",
        type=Type.CHOICE,
        default="auto",
        choices=("auto", "json", "text"),
        help="auto is key=value on a terminal and JSON elsewhere.",
    ),
)

BY_KEY: dict[str, Knob] = {knob.key: knob for knob in KNOBS}

READ_ELSEWHERE = frozenset({"OCPD_CONFIG", "OCPD_STATE_DIR"})
"""Variables that begin like a knob's and are none."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All knobs with their values; the defaults here are KNOBS' (a test compares them).

    Tests may build one directly with values outside the ranges.
    """

    bind: str = "127.0.0.1"
    port: int = 3456
    claude_bin: str = ""
    default_model: str = "sonnet"
    unknown_model: str = "refuse"
    max_concurrent: int = 8
    max_queue: int = 16
    queue_retry_after_s: int = 5
    timeout_ms: int = 600_000
    first_byte_timeout_ms: int = 90_000
    max_body_bytes: int = 33_554_432
    header_timeout_ms: int = 15_000
    body_timeout_ms: int = 60_000
    idle_timeout_ms: int = 75_000
    drain_timeout_ms: int = 600_000
    spares: int = 1
    max_spares: int = 4
    spare_memory_mb: int = 1024
    spare_idle_ms: int = 3_600_000
    cli_max_retries: int = 2
    auth_check_interval_ms: int = 600_000
    auth_check_timeout_ms: int = 10_000
    log_level: str = "info"
    log_format: str = "auto"


class Loaded(msgspec.Struct, frozen=True):
    """Settings, where each came from, and lines worth logging at start."""

    settings: Settings
    origins: dict[str, str]
    notes: tuple[str, ...]


def parse_value(knob: Knob, raw: object, origin: str) -> int | str:
    """Check one value of ``origin`` (argv, a variable, the file) against its knob.

    Raises SettingsError naming origin, value and what would fit.
    """
    match knob.type:
        case Type.INTEGER:
            return _parse_integer(knob, raw, origin)
        case Type.CHOICE:
            if isinstance(raw, str) and raw in knob.choices:
                return raw
        case Type.STRING | Type.PATH:
            if isinstance(raw, str) and raw.strip() and "\0" not in raw:
                return raw
    raise SettingsError(f"{origin}: {raw!r} does not fit, {knob.key} takes {knob.fits}")


def _parse_integer(knob: Knob, raw: object, origin: str) -> int:
    # Strict on purpose: "5MB" read as 5, or "unlimited" as no limit, has hurt others.
    if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) <= 15:
        value = int(raw)
    elif isinstance(raw, int) and not isinstance(raw, bool):
        value = raw
    else:
        raise SettingsError(f"{origin}: {raw!r} does not fit, {knob.key} takes {knob.fits}")
    if not knob.low <= value <= knob.high:
        raise SettingsError(
            f"{origin}: value {value} out of range [{knob.low}, {knob.high}] for {knob.key}"
        )
    return value


def load_settings(
    argv: Mapping[str, str], environ: Mapping[str, str], file: Mapping[str, object] | None = None
) -> Loaded:
    """Read all sources into one Settings.

    ``argv`` maps keys to texts, ``file`` is the decoded ocpd.toml. Raises SettingsError at the
    first value that does not fit, an unknown key of the file, or two variables of the same rank
    that disagree. Variables that begin with OCPD_ and mean nothing are noted, not refused: they
    may be another version's.
    """
    for key in file or {}:
        if key not in BY_KEY:
            raise SettingsError(f"config file: unknown setting {key!r}")
    values: dict[str, int | str] = {}
    origins: dict[str, str] = {}
    ours = READ_ELSEWHERE.union(knob.variable for knob in KNOBS)
    notes = [
        f"{name} has no effect: there is no such setting"
        for name in sorted(environ)
        if name.startswith("OCPD_") and name not in ours
    ]
    for knob in KNOBS:
        found = _find(knob, argv, environ, file or {}, notes)
        if found is None:
            values[knob.field], origins[knob.key] = knob.default, "default"
        else:
            origin, raw = found
            values[knob.field], origins[knob.key] = parse_value(knob, raw, origin), origin
    return Loaded(msgspec.convert(values, Settings), origins, tuple(notes))


def _find(
    knob: Knob,
    argv: Mapping[str, str],
    environ: Mapping[str, str],
    file: Mapping[str, object],
    notes: list[str],
) -> tuple[str, object] | None:
    if knob.key in argv:
        return knob.flag, argv[knob.key]
    own = environ.get(knob.variable, "")
    others = [(name, environ[name]) for name in knob.aliases if environ.get(name)]
    if own:
        notes.extend(
            f"{name} has no effect: {knob.variable} wins" for name, value in others if value != own
        )
        return knob.variable, own
    if others:
        if any(value != others[0][1] for _, value in others):
            names = " and ".join(name for name, _ in others)
            raise SettingsError(f"{names} disagree; set only one of them")
        return others[0]
    if knob.key in file:
        return f"config file: {knob.key}", file[knob.key]
    return None
