"""The knobs about the CLI's processes and how long one serves: a part of the table.

What may live here: rows. What they mean is ``sched.staffing``'s and ``pool``'s.
"""

from ocpd.settings.knob import Knob
from ocpd.settings.rows import integer

PROCESSES: tuple[Knob, ...] = (
    integer("spares", 1, (0, 8), "", help="Processes kept ready for each recently used model."),
    integer("maxSpares", 4, (0, 32), "", help="Processes kept ready in all."),
    integer(
        "spareMemory",
        1024,
        (0, 1_048_576),
        "MB",
        help="Memory that ready processes may hold in all.",
    ),
    integer(
        "spareIdle",
        3_600_000,
        (1_000, 86_400_000),
        "ms",
        help="How long after its last use a model keeps a ready process.",
    ),
    integer(
        "maxProcesses",
        12,
        (1, 256),
        "",
        help="Processes of the Claude CLI in all: those that run, rest and are kept ready.",
    ),
    integer(
        "processMemory",
        0,
        (256, 1_048_576),
        "MB",
        help="Private memory of all processes together; unset (0) is half of this machine's.",
    ),
    integer(
        "recycleTurns",
        200,
        (1, 100_000),
        "",
        help="Turns after which a process is replaced.",
    ),
    integer(
        "recycleMemory",
        400,
        (128, 65_536),
        "MB",
        help="Private memory above which a process is replaced after its turn.",
    ),
    integer(
        "cliMaxRetries",
        2,
        (0, 10),
        "",
        "CLAUDE_CODE_MAX_RETRIES",
        help="How often the CLI itself tries again after an upstream error.",
    ),
    integer(
        "structuredMaxAttempts",
        3,
        (1, 10),
        "",
        "OCP_STRUCTURED_MAX_ATTEMPTS",
        help="How often the model may try to give an answer of the form asked for.",
    ),
    integer(
        "authCheckInterval",
        600_000,
        (10_000, 86_400_000),
        "ms",
        "CLAUDE_AUTH_CHECK_INTERVAL_MS",
        help="How often the login is looked at.",
    ),
    integer(
        "authCheckTimeout",
        10_000,
        (1_000, 120_000),
        "ms",
        "CLAUDE_AUTH_CHECK_TIMEOUT_MS",
        help="How long one look may take.",
    ),
    integer(
        "sessionTTL",
        3_600_000,
        (60_000, 86_400_000),
        "ms",
        "CLAUDE_SESSION_TTL",
        help="How long a conversation rests in its process, waiting to be continued.",
    ),
)
