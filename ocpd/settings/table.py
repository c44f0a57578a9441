"""Every knob once: key, type, unit, range, default, environment names, one line of help.

What may live here: rows. docs/settings.md is generated from them.
"""

from ocpd.settings.entrance import ENTRANCE
from ocpd.settings.knob import Knob, Type
from ocpd.settings.processes import PROCESSES
from ocpd.settings.rows import integer
from ocpd.settings.spending import SPENDING


def _tiers() -> tuple[Knob, ...]:
    """How long the first byte of a family of models may take: a base, and more per character."""
    rows = (
        ("opus", 150_000, (30_000, 600_000), 0.0005),
        ("sonnet", 120_000, (30_000, 600_000), 0.0005),
        ("haiku", 45_000, (15_000, 300_000), 0.0001),
    )
    return tuple(
        knob
        for family, base, bounds, per_char in rows
        for knob in (
            integer(
                f"tiers.{family}.base",
                base,
                bounds,
                "ms",
                help=f"First-byte limit of {family} models, if firstByteTimeout is at its default.",
            ),
            Knob(
                key=f"tiers.{family}.perChar",
                type=Type.NUMBER,
                default=per_char,
                low=0,
                high=0.01,
                unit="ms/char",
                help="What is added to it for each character of the prompt.",
            ),
        )
    )


KNOBS: tuple[Knob, ...] = (
    Knob(
        key="bind",
        type=Type.LIST,
        default="127.0.0.1",
        aliases=("CLAUDE_BIND",),
        help="Addresses to listen on, as 127.0.0.1,::1; those that others can reach want authMode"
        " shared or multi.",
    ),
    integer(
        "port",
        3456,
        (0, 65535),
        "",
        "CLAUDE_PROXY_PORT",
        help="TCP port of all of them; 0 lets the system choose.",
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
        key="defaultEffort",
        type=Type.CHOICE,
        default="model",
        choices=("model", "none", "minimal", "low", "medium", "high", "xhigh", "max"),
        help="How hard a model thinks if the request does not say; model leaves it to the model.",
    ),
    Knob(
        key="thinking",
        type=Type.CHOICE,
        default="auto",
        choices=("auto", "off", "on"),
        help="Whether a model thinks if the request does not say; auto is as defaultEffort says.",
    ),
    Knob(
        key="unknownModel",
        type=Type.CHOICE,
        default="refuse",
        choices=("refuse", "default"),
        help="What to do with a model name nobody knows: 404, or run defaultModel.",
    ),
    integer(
        "maxConcurrent", 8, (1, 32), "", "CLAUDE_MAX_CONCURRENT", help="Turns that run at once."
    ),
    integer(
        "maxQueue",
        16,
        (0, 10_000),
        "",
        "CLAUDE_MAX_QUEUE",
        help="Turns that may wait for a place; one more is answered 429.",
    ),
    integer(
        "queueRetryAfter",
        5,
        (1, 3600),
        "s",
        "CLAUDE_QUEUE_RETRY_AFTER",
        help="Retry-After of that 429.",
    ),
    integer(
        "queueTimeout",
        0,
        (1_000, 3_600_000),
        "ms",
        help="Longest time a turn may wait for a place; unset (0) is as long as timeout.",
    ),
    integer(
        "heartbeat",
        15_000,
        (0, 600_000),
        "ms",
        "CLAUDE_HEARTBEAT_INTERVAL",
        help="Silence of a stream, queued or running, after which it says keepalive; 0 is off.",
    ),
    integer(
        "timeout",
        600_000,
        (30_000, 1_800_000),
        "ms",
        "CLAUDE_TIMEOUT",
        help="Longest time a turn may run, waiting in the queue not counted.",
    ),
    integer(
        "firstByteTimeout",
        90_000,
        (15_000, 300_000),
        "ms",
        "CLAUDE_FIRST_BYTE_TIMEOUT",
        help="Longest time until the model says or thinks something; at its default, tiers hold.",
    ),
    integer(
        "idleEventTimeout",
        300_000,
        (0, 1_800_000),
        "ms",
        help="Longest silence of a model within its answer, tools at work not counted; 0 is off.",
    ),
    integer(
        "maxBodyBytes",
        33_554_432,
        (1024, 1_073_741_824),
        "bytes",
        "CLAUDE_MAX_BODY_SIZE",
        help="Largest request body.",
    ),
    integer(
        "headerTimeout",
        15_000,
        (1_000, 300_000),
        "ms",
        help="Longest time a client may take to send a request head.",
    ),
    integer(
        "bodyTimeout",
        60_000,
        (1_000, 1_800_000),
        "ms",
        help="Longest pause while a client sends a request body.",
    ),
    integer(
        "idleTimeout",
        75_000,
        (1_000, 3_600_000),
        "ms",
        help="How long a connection stays open that is idle, or whose client takes nothing.",
    ),
    integer(
        "drainTimeout",
        600_000,
        (0, 3_600_000),
        "ms",
        help="How long a stop waits for running turns.",
    ),
    *PROCESSES,
    integer(
        "maxPromptChars",
        0,
        (10_000, 1_000_000),
        "chars",
        "CLAUDE_MAX_PROMPT_CHARS",
        help="Largest prompt; unset (0) leaves it to the model's own context.",
    ),
    Knob(
        key="truncate",
        type=Type.BOOLEAN,
        default=True,
        help="Leave out the oldest messages of a conversation that is too long; else it is 400.",
    ),
    Knob(
        key="systemPrompt",
        type=Type.STRING,
        default="",
        aliases=("CLAUDE_SYSTEM_PROMPT",),
        help="Instructions of the operator, behind those of every request.",
    ),
    integer(
        "cacheTTL",
        0,
        (0, 86_400_000),
        "ms",
        "CLAUDE_CACHE_TTL",
        help="How long an answer may be given again; 0 is off.",
    ),
    integer(
        "maxImageBytes",
        5_242_880,
        (1024, 104_857_600),
        "bytes",
        "CLAUDE_MAX_IMAGE_BYTES",
        help="Largest picture or file of a request, decoded.",
    ),
    integer(
        "maxImages",
        20,
        (0, 1000),
        "",
        "CLAUDE_MAX_IMAGES",
        help="Pictures and files of a request, its history included.",
    ),
    integer(
        "maxImageTotalBytes",
        20_971_520,
        (1024, 1_073_741_824),
        "bytes",
        "CLAUDE_MAX_IMAGE_TOTAL_BYTES",
        help="All of them together, decoded.",
    ),
    Knob(
        key="imageAllowUrl",
        type=Type.BOOLEAN,
        default=False,
        aliases=("CLAUDE_IMAGE_ALLOW_URL",),
        help="Pass http(s) addresses of pictures on to the API; ocpd itself never fetches them.",
    ),
    *_tiers(),
    Knob(
        key="mcpConfig",
        type=Type.PATH,
        default="",
        aliases=("CLAUDE_MCP_CONFIG",),
        help="A file of MCP servers that join every request; only its owner may read it.",
    ),
    Knob(
        key="mcpRegistry",
        type=Type.PATH,
        default="",
        aliases=("PROXY_MCP_CONFIG",),
        help="A file of MCP servers that a request may name; only its owner may read it.",
    ),
    Knob(
        key="allowedTools",
        type=Type.STRING,
        default="",
        aliases=("CLAUDE_ALLOWED_TOOLS",),
        help="Tools of the CLI itself, such as Read,Bash, that the model may run on this machine.",
    ),
    Knob(
        key="skipPermissions",
        type=Type.BOOLEAN,
        default=False,
        aliases=("CLAUDE_SKIP_PERMISSIONS",),
        help="Let the model run those tools, all of them if none are named, without any check.",
    ),
    *ENTRANCE,
    integer(
        "anonymousQuota",
        -1,
        (0, 1_000_000_000),
        "",
        help="Requests a day (UTC) with the anonymous key; 0 blocks, unset (-1) is no limit.",
    ),
    Knob(
        key="anonymousQuotaPer",
        type=Type.CHOICE,
        default="all",
        choices=("all", "address"),
        help="Whether anonymousQuota is for all such requests together or for each address.",
    ),
    *SPENDING,
    integer(
        "usageKeepDays",
        400,
        (1, 3650),
        "days",
        help="How long each request is kept by itself; older ones become daily sums.",
    ),
    Knob(
        key="modelsFile",
        type=Type.PATH,
        default="",
        help="A file that adds to, hides or renames entries of models.json.",
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
