"""``ocpctl sessions`` and ``ocpctl clear``: conversations that live on between requests."""

from __future__ import annotations

from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Fields
    from ocpctl.output import Output


def list_sessions(_args: Namespace, desk: Desk) -> int:
    """List the conversations that are kept."""
    return desk.answer(desk.client.get("sessions"), _show)


def clear_sessions(_args: Namespace, desk: Desk) -> int:
    """Forget all of them."""
    told = desk.client.call("DELETE", "sessions")
    return desk.answer(
        told, lambda body, out: out.line(f"Cleared {body.count('cleared')} sessions.")
    )


def _show(body: Fields, out: Output) -> None:
    sessions = body.parts("sessions")
    for session in sessions:
        out.line(
            f"  {session.text('id')[:16]}...  model={session.text('model', '?')}"
            f"  msgs={session.count('messages')}  last={session.text('lastUsed', '?')}"
        )
    if not sessions:
        out.line("No active sessions.")


COMMANDS = {
    "sessions": {"": Verb("list the conversations that are kept", list_sessions)},
    "clear": {"": Verb("forget all conversations that are kept", clear_sessions)},
}
