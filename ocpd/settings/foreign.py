"""Variables of the programs that ocpd stands in for, and what they mean here.

What may live here: names. Those that set a knob of ours stand as ``aliases`` in ``table``; here are
the ones that only count on request, or that nothing acts on.
"""

COMPAT_VARIABLE = "OCPD_COMPAT"
COMPAT_CLAUDE_PROXY = "claude-proxy"

PROXY: dict[str, str] = {
    "CLAUDE_PATH": "claudeBin",
    "REQUEST_TIMEOUT_MS": "timeout",
    "DEFAULT_EFFORT": "defaultEffort",
    "ENABLE_THINKING": "thinking",
}
"""claude-code-proxy's names that can mean nothing else."""

COMPAT: dict[str, str] = {
    "PORT": "port",
    "HOST": "bind",
    "LOG_LEVEL": "logLevel",
    "DEFAULT_MODEL": "defaultModel",
}
"""claude-code-proxy's names that are too common to be taken as meant for us: they set the knob
only with OCPD_COMPAT=claude-proxy."""

INERT = frozenset(
    {
        "CLAUDE_NO_CONTEXT",
        "CLAUDE_BREAKER_THRESHOLD",
        "CLAUDE_BREAKER_COOLDOWN",
        "CLAUDE_BREAKER_WINDOW",
        "CLAUDE_BREAKER_HALF_OPEN_MAX",
        "OCP_SPAWN_REAL_HOME",
        "OCP_SKIP_AUTH_TEST",
        "OCP_LOCAL_TOOLS",
        "OCP_DIR",
    }
)
"""Nothing here is to be switched by these: the CLI never reads the operator's context, there is no
breaker, and no installer."""

LATER: dict[str, str] = {
    "OCP_INSTANCE_NAME": "instance names",
}
"""Not in this version; a line at the start says so."""
