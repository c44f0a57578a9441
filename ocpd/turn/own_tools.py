"""The CLI's own tools, such as Read and Bash: their names, and which of them a request gets.

What may live here: the check of names and the choice for one request. The tools run on this
machine; whether anybody may have them is checked where the daemon starts.
"""

import re

import msgspec

from ocpd.settings.values import Settings
from ocpd.turn.request import ALL_TOOLS, Turn

MOST_TOOLS = 64

UNFIT = frozenset(
    {
        "Agent",
        "CronCreate",
        "CronDelete",
        "CronList",
        "ListAgents",
        "Monitor",
        "RemoteTrigger",
        "ScheduleWakeup",
        "SendMessage",
        "Workflow",
    }
)
"""Tools that nobody gets. What they begin goes on after the answer: the CLI asks the model again
when nobody has asked it (seen on 2.1.330), or talks to other processes of the CLI."""

# A pattern would be one for the CLI's --allowedTools, where it means something else.
_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")


def find_tool_fault(name: str) -> str | None:
    """Say why ``name`` is no name of one of the CLI's own tools, or of one that cannot be had; None
    if it may be one. The CLI passes over names that it does not know without a word."""
    if name in UNFIT:
        return "not for a server: what it begins goes on after the answer"
    if _NAME.fullmatch(name):
        return None
    return (
        "no tool of the CLI's own; it takes plain names such as Read,Bash. Tools of MCP servers"
        " need no mention"
    )


def parse_tools(text: str) -> tuple[str, ...]:
    """Return the names of a comma list, sorted, each once; () is none.

    Raises ValueError naming what is no name, or if there are too many.
    """
    if not text:
        return ()
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if (fault := find_tool_fault(name)) is not None:
            raise ValueError(f"{name!r} is {fault}")
    if len(names) > MOST_TOOLS:
        raise ValueError(f"at most {MOST_TOOLS} names")
    return tuple(sorted(set(names)))


def tools_of(settings: Settings) -> tuple[str, ...]:
    """Return the tools of whoever has no list of his own; ``ALL_TOOLS`` is each there is.

    Raises ValueError for a setting that ``parse_tools`` does not take.
    """
    return parse_tools(settings.allowed_tools) or (ALL_TOOLS if settings.skip_permissions else ())


def give_tools(turn: Turn, settings: Settings, own: tuple[str, ...] | None) -> Turn:
    """Return ``turn`` with the tools that its caller may use: his ``own`` list, or, if that is
    None, what the settings say."""
    tools = tools_of(settings) if own is None else own
    unasked = settings.skip_permissions and bool(tools)
    return msgspec.structs.replace(turn, own_tools=tools, is_unasked=unasked)
