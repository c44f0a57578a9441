"""The man pages of the daemon and of its settings file, as ``write_docs.py`` writes them.

What may live here: roff around what the table of settings says, and words that no table has.
"""

from roff import list_terms

from ocpd.daemon.version import VERSION
from ocpd.settings.knob import Knob, Type
from ocpd.settings.table import KNOBS

_WRITTEN_BY = '.\\" Written by packaging/dev/write_docs.py; change the code, not this page.'

_DESCRIPTION = """\
listens on this machine, speaks the OpenAI Chat Completions API, and has every request answered by
the official Claude Code CLI, unmodified, under the login that was given to that CLI. It is managed
with
.BR ocpctl (1).
.P
The Debian package starts it as a service of systemd:
.B ocpd.service
for the machine, as the user ocpd;
.B ocpd@NAME.service
for a second one, as user NAME; and, for one person with their own login,
.B systemctl \\-\\-user enable \\-\\-now ocpd
(with
.B loginctl enable\\-linger
if it is to outlive the session). With
.B ocpd.socket
and
.B ocpd\\-admin.socket
switched on, systemd keeps the addresses: ocpd may start at the first request, and nobody is refused
while it restarts.
.P
The CLI is not part of the package.
.B ocpctl doctor
says how to get it, and what else is to be done;
.B ocpctl auth login
signs in."""

_OPTIONS = (
    ("--config FILE", "the settings file to read"),
    ("--check", "only say whether the settings fit"),
    (
        "--forget KEY,KEY",
        "only forget what was changed of these settings at run time, for the case that it keeps"
        " ocpd from starting; while it runs, ocpctl settings --reset does it",
    ),
    ("--version", "the version"),
)

_EXIT = (
    ("0", "stopped as asked"),
    ("1", "could not run, for example because another program has the port"),
    ("69", "the system's ocpd has the port; the service manager does not try again"),
    ("78", "a setting does not fit; the service manager does not try again"),
)

_SIGNALS = (
    ("SIGHUP", "reads its files again; what runs goes on"),
    ("SIGTERM, SIGINT", "stops when running answers are finished (drainTimeout); twice: at once"),
)

_FILES = (
    ("/etc/ocpd/ocpd.toml", "settings of the system's service: ocpd.toml(5)"),
    ("~/.config/ocpd/ocpd.toml", "settings of a user's own"),
    ("/etc/default/ocpd", "variables of the system's service"),
    ("/etc/default/ocpd-NAME", "variables of ocpd@NAME; OCPD_PORT must be among them"),
    ("/etc/ocpd/credentials/", "secrets that only root reads; systemd hands them over (below)"),
    ("/var/lib/ocpd/", "state: keys, usage, conversations; the CLI's home with its login"),
    ("/run/ocpd/ocpd.sock", "where ocpctl talks to it; for root and the group ocpd"),
)

_CREDENTIALS = (
    ("claude-oauth-token", "a token of claude setup-token, for the CLI"),
    ("admin-key", "the key of remote admins"),
    ("api-keys", "keys of authMode shared, as in PROXY_API_KEYS"),
    ("anonymous-key", "a key of authMode multi for whoever has none of their own"),
)

_SOURCES = """\
is a TOML file. The names are those below; names with dots may also stand in tables. The file is the
one that
.B \\-\\-config
or
.B OCPD_CONFIG
names, else ~/.config/ocpd/ocpd.toml, else /etc/ocpd/ocpd.toml.
.P
A flag wins over a change by
.BR "ocpctl settings" ,
that over a variable, and a variable over this file. A value that does not fit, and a name that is
no setting, stop the start with exit code 78 and a line that says what would fit.
.P
The file is read at the start and on SIGHUP
.RB ( "systemctl reload ocpd" )."""


def daemon_page() -> str:
    """Return ocpd.8."""
    lines = [
        _WRITTEN_BY,
        f'.TH OCPD 8 "" "ocpd {VERSION}" "System Administration"',
        ".SH NAME",
        "ocpd \\- serve a Claude login as an OpenAI\\-style HTTP API",
        ".SH SYNOPSIS",
        ".B ocpd",
        ".RB [ \\-\\-config",
        ".IR FILE ]",
        ".RI [ OPTION \\ .\\|.\\|.]",
        ".SH DESCRIPTION",
        ".B ocpd",
        _DESCRIPTION,
        ".SH OPTIONS",
        "Each setting of",
        ".BR ocpd.toml (5)",
        "that is no secret is an option, too: maxQueue is",
        ".BR \\-\\-max\\-queue .",
        *list_terms(_OPTIONS),
        ".SH SIGNALS",
        *list_terms(_SIGNALS),
        ".SH EXIT STATUS",
        *list_terms(_EXIT),
        ".SH FILES",
        *list_terms(_FILES),
        ".SH CREDENTIALS",
        "Each file in /etc/ocpd/credentials is a secret; a variable of the same meaning wins over",
        "it.",
        "After a change:",
        '.BR "systemctl restart ocpd" .',
        *list_terms(_CREDENTIALS),
        ".SH SEE ALSO",
        ".BR ocpctl (1),",
        ".BR ocpd.toml (5),",
        ".BR systemd.exec (5)",
    ]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Return ocpd.toml.5."""
    lines = [
        _WRITTEN_BY,
        f'.TH OCPD.TOML 5 "" "ocpd {VERSION}" "File Formats"',
        ".SH NAME",
        "ocpd.toml \\- settings of ocpd",
        ".SH DESCRIPTION",
        ".B ocpd.toml",
        _SOURCES,
        ".SH SETTINGS",
    ]
    for knob in KNOBS:
        names = ", ".join((knob.variable, *knob.aliases))
        text = f"{knob.help} {_range(knob)} Variables: {names}."
        lines += list_terms(((knob.key, text),))
    lines += [
        ".SH EXAMPLE",
        ".nf",
        "port = 3456",
        'defaultModel = "sonnet"',
        "maxConcurrent = 4",
        ".fi",
        ".SH SEE ALSO",
        ".BR ocpd (8),",
        ".BR ocpctl (1)",
    ]
    return "\n".join(lines) + "\n"


def _range(knob: Knob) -> str:
    default = "unset" if knob.default == "" else str(knob.default)
    if knob.type is Type.BOOLEAN:
        default = default.lower()
    told = f"Default: {default}{f' {knob.unit}' if knob.unit and default != 'unset' else ''}."
    if knob.type in (Type.INTEGER, Type.NUMBER):
        return f"{told} Fits: {knob.low} to {knob.high}."
    return f"{told} Fits: {', '.join(knob.choices)}." if knob.choices else told
