"""The steps that give a turn to a process, and those that take one from it.

What may live here: pure writing of what is no message: initialize, rewinds, interrupts, questions.
"""

from collections.abc import Sequence

from ocpd.claude.frames import control
from ocpd.claude.messages import Said, Step, write_messages
from ocpd.claude.names import SERVER
from ocpd.turn.request import Turn
from ocpd.turn.schema import find_checker

INITIALIZE = "initialize"
SERVERS = "servers"
ALLOWED = "allowed"
INTERRUPT = "interrupt"
CONSULT = "consult"
REWIND = "rewind-"
"""Begins the ids of rewinds; their number follows."""


def write_claim(turn: Turn, limits: bytes) -> tuple[Step, ...]:
    """Return the steps that put ``turn`` to a parked process; the last one awaits its end.

    The initialize request, the limits and the first message go out in one write: the CLI reads
    its stdin in order, and asks for the tools before it sends the first request (measured on
    2.1.330: 54 ms to the first event instead of 90).
    """
    request: dict[str, object] = {
        "subtype": "initialize",
        # [] and not left out: the CLI would send its own prompt of 27 KB.
        "systemPrompt": [turn.system] if turn.system else [],
    }
    if turn.tools:
        request["sdkMcpServers"] = [SERVER]
    if (checker := find_checker(turn.format)) is not None:
        # Not the caller's own: with many an ordinary schema the CLI silently offers no tool.
        request["jsonSchema"] = checker.outline.schema
    opening = control(INITIALIZE, request)
    if not turn.servers:
        return write_messages(turn, 0, opening + limits)
    return (_start_servers(turn, opening), *write_messages(turn, 0, limits))


def _start_servers(turn: Turn, opening: bytes) -> Step:
    """Let the CLI start MCP servers, and ask nobody about their tools.

    The answer comes when they have told their tools, or failed to. What may be a credential is in
    this frame and nowhere else. The list takes the place of all servers before it, so ours is in it
    too (measured on 2.1.330).
    """
    servers: dict[str, object] = {server.name: server.config for server in turn.servers}
    if turn.tools:
        servers[SERVER] = {"type": "sdk", "name": SERVER}
    allowed = [f"mcp__{server.name}" for server in turn.servers]
    permissions = {"permissions": {"allow": allowed}}
    frames = (
        opening,
        control(ALLOWED, {"subtype": "apply_flag_settings", "settings": permissions}),
        control(SERVERS, {"subtype": "mcp_set_servers", "servers": servers}),
    )
    return Step(b"".join(frames), asks=SERVERS)


def write_rewinds(said: Sequence[Said]) -> Step:
    """Return the step that takes back the user messages ``said`` with all that followed them.

    The CLI takes the latest first and each at once, without a trace: the next upstream request
    is what it would have been (measured on 2.1.330: six in 4 ms). It takes results back with what
    led to their calls.
    """
    targets = [message for message in reversed(said) if message.is_target]
    frames = b"".join(
        control(
            f"{REWIND}{number}",
            {"subtype": "rewind_conversation", "target_message_uuid": message.uuid},
        )
        for number, message in enumerate(targets)
    )
    return Step(frames, rewinds=len(targets))


def write_consult(subtype: str) -> bytes:
    """Ask a parked process something that is no turn, such as ``get_usage``."""
    opening = control(INITIALIZE, {"subtype": "initialize", "systemPrompt": []})
    return opening + control(CONSULT, {"subtype": subtype})


def write_interrupt() -> bytes:
    """Ask the CLI to drop the running turn, also when it is still queued."""
    return control(INTERRUPT, {"subtype": "interrupt", "cancel_queued": True})
