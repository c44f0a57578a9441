"""An answer as the message that it is, once the caller sends it back.

What may live here: from the events of one turn to that message.
"""

from ocpd.turn.blank import is_blank
from ocpd.turn.events import CallBegun, CallDelta, Event, Refused, TextDelta
from ocpd.turn.request import Message, Part, Role, Text, ToolUse


class Answer:
    """Hears the events of one turn."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: list[tuple[CallBegun, list[str]]] = []

    def hear(self, event: Event) -> None:
        """Take in what was said; events that say nothing are of no effect."""
        match event:
            case TextDelta(text=text):
                self._texts.append(text)
            case CallBegun():
                self._calls.append((event, []))
            case Refused(text=text):
                self._texts.append(text)
            case CallDelta(fragment=fragment):
                self._calls[-1][1].append(fragment)
            case _:
                pass

    def message(self) -> Message:
        """Return what was said so far: its text, then its calls."""
        text = "".join(self._texts)
        parts: list[Part] = [] if is_blank(text) else [Text(text)]
        parts += [ToolUse(call.id, call.name, "".join(told)) for call, told in self._calls]
        return Message(Role.ASSISTANT, tuple(parts))
