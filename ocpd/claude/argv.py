"""The command line and the environment of a child.

What may live here: functions of settings and the service's environment alone. Nothing a caller
wrote ever gets in here; the one exception is a model id, and only one that is listed or fits
``^claude-[a-z0-9.-]{1,64}$`` (``ocpd.models`` sees to that).
"""

from collections.abc import Mapping

import msgspec

from ocpd.claude.make import read_make
from ocpd.claude.names import SERVER
from ocpd.turn.own_tools import UNFIT
from ocpd.turn.request import ALL_TOOLS

PASSED = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        # The way out to the network that the service was given.
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        # The login, as the operator set it up. Only passed on, never read.
        "CLAUDE_CONFIG_DIR",
        "CLAUDE_CODE_OAUTH_TOKEN",
    }
)
"""What a child inherits. ANTHROPIC_* and OPENAI_* are missing on purpose: an ocpd whose
environment points at itself would call itself, and a key would outrank the subscription login."""


_FOREVER_MS = "999999999"
"""Eleven days: the CLI takes nine digits. A conversation that nobody goes on with ends before."""


class Lane(msgspec.Struct, frozen=True):
    """Whose account a child runs on. ``demo`` says that the model is canned."""

    name: str = "subscription"
    environment: tuple[tuple[str, str], ...] = ()
    demo: bool = False


def build_argv(binary: str, make: str) -> tuple[str, ...]:
    """Return the command that starts a parked process of ``make`` (a model id, or ``make.Make``).

    Tools of the CLI's own are there, and allowed, only if the operator named them.
    """
    parts = read_make(make)
    has_all = parts.tools == ALL_TOOLS
    own = () if has_all else parts.tools
    unfit = ("--disallowedTools", ",".join(sorted(UNFIT))) if has_all else ()
    unasked = ("--dangerously-skip-permissions",) if parts.is_unasked else ()
    return (
        binary,
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--include-partial-messages",
        "--tools",
        ",".join(parts.tools),
        "--strict-mcp-config",
        # Our server's calls come to us, and nobody else is asked.
        "--allowedTools",
        ",".join((f"mcp__{SERVER}", *own)),
        *unfit,
        *unasked,
        # With a tool called Bash the CLI would tell the model how to sign commits.
        "--settings",
        '{"attribution":{"commit":"","pr":""}}',
        "--setting-sources",
        "",
        "--no-session-persistence",
        "--thinking-display",
        "summarized",
        f"--model={parts.model}",
    )


def build_environment(
    environ: Mapping[str, str],
    *,
    lane: Lane,
    version: str,
    cli_max_retries: int,
    structured_max_attempts: int = 3,
) -> dict[str, str]:
    """Return the whole environment of a child. ``version`` is ocpd's own.

    CLAUDE_CODE_ENTRYPOINT stays unset: the CLI says for itself how it was started, and how its
    use is classified is between it and Anthropic.
    """
    child = {k: v for k, v in environ.items() if k in PASSED or k.startswith("LC_")}
    child.update(
        CLAUDE_AGENT_SDK_CLIENT_APP=f"ocpd/{version}",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
        # The CLI would replace a long chat by a summary behind the client's back.
        DISABLE_AUTO_COMPACT="1",
        # The CLI would append a token budget to tool results; "0" does not switch it off.
        CLAUDE_CODE_TOTAL_TOKENS_REMINDER="off",
        # The caller's tools: under their own names, none left for the model to search for, with
        # all of their descriptions, all calls of an answer at once, and for as long as it takes.
        CLAUDE_AGENT_SDK_MCP_NO_PREFIX="1",
        ENABLE_TOOL_SEARCH="false",
        CLAUDE_CODE_MAX_MCP_DESCRIPTION_LENGTH="100000000",
        CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY="10000",
        CLAUDE_CODE_MCP_AUTO_BACKGROUND_MS="0",
        MCP_TOOL_TIMEOUT=_FOREVER_MS,
        CLAUDE_CODE_SDK_MCP_TOOL_IDLE_TIMEOUT=_FOREVER_MS,
        # Their results as they are; what is larger than the CLI passes on is not given to it so.
        MAX_MCP_OUTPUT_TOKENS="100000000",
        # No tool goes on after the answer: its end would be a request that nobody asked for.
        CLAUDE_CODE_DISABLE_BACKGROUND_TASKS="1",
        # With the CLI's own default a 529 is tried again for minutes.
        CLAUDE_CODE_MAX_RETRIES=str(cli_max_retries),
        # "Retries" are all calls: with 0 a turn with tools would die after its first result.
        MAX_STRUCTURED_OUTPUT_RETRIES=str(structured_max_attempts),
    )
    child.update(lane.environment)
    return child
