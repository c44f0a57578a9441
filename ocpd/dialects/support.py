"""What this version cannot do yet, refused by name.

What may live here: one check for each ability that the decoders already read and no room acts on
yet. Ignoring one of these would give a wrong answer that looks right. Each line goes when its
ability comes; the file goes with the last.
"""

from collections.abc import Iterable

from ocpd.errors import BadRequest
from ocpd.turn.request import Shape, Turn


def refuse_unsupported(turn: Turn) -> None:
    """Raise BadRequest (code ``unsupported_parameter``) if ``turn`` asks for what this version
    would silently leave out. The first field found is named."""
    for field, what in _find_unsupported(turn):
        raise BadRequest(
            f"{what} is not supported by this version of ocpd yet",
            code="unsupported_parameter",
            param=field,
        )


def _find_unsupported(turn: Turn) -> Iterable[tuple[str, str]]:
    if turn.format.shape is not Shape.TEXT:
        yield "response_format", "response_format"
