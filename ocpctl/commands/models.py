"""``ocpctl models``: what clients can ask for."""

from __future__ import annotations

from ocpctl.grammar import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from ocpctl.desk import Desk
    from ocpctl.fields import Fields
    from ocpctl.output import Output


def list_models(_args: Namespace, desk: Desk) -> int:
    """List the ids, the newest model first."""
    return desk.answer(desk.client.get("v1", "models"), _show)


def _show(body: Fields, out: Output) -> None:
    for model in body.parts("data"):
        out.line(f"  {model.text('id')}")


COMMANDS = {"models": {"": Verb("list the models that can be asked for", list_models)}}
