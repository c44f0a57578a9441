"""Under which names the model sees the caller's tools: their own, as far as these are free.

What may live here: that mapping, both ways.
"""

from ocpd.turn.request import ALL_TOOLS, Turn

SERVER = "c"
"""What the server of the caller's tools is called."""

_PREFIX = f"mcp__{SERVER}__"
_MEDDLED = frozenset({"Agent", "Artifact", "Skill", "StructuredOutput", "ToolSearch"})
"""With a tool of such a name the CLI adds instructions for its own, or leaves the tool out (seen on
2.1.330)."""


def wire_name(turn: Turn, name: str) -> str:
    """Return the name under which the model sees a tool of the caller's."""
    is_taken = (
        name in _MEDDLED
        or name in turn.own_tools
        or turn.own_tools == ALL_TOOLS
        or name.startswith(_PREFIX)
        or any(name.startswith(f"mcp__{server.name}__") for server in turn.servers)
    )
    return _PREFIX + name if is_taken else name


def caller_name(name: str) -> str:
    """Return the name under which the caller knows the tool that the model calls so."""
    return name.removeprefix(_PREFIX)
