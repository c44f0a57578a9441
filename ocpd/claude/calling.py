"""The calls of one answer, from the blocks of the upstream's stream to events.

What may live here: which calls are the caller's to answer, and their arguments as they come.
"""

from ocpd.claude.names import caller_name, wire_name
from ocpd.claude.wire import Block
from ocpd.turn.calls import read_arguments
from ocpd.turn.events import CallBegun, CallDelta, Event
from ocpd.turn.request import Turn


class Calling:
    """Reads the blocks that call. ``ids`` are those of the calls so far; ``is_broken``: the
    arguments of one are no JSON object; ``has_stray``: one is of a tool that nobody offered.
    ``served`` are the names of tools that run beside the CLI: it sees to their calls."""

    def __init__(self, turn: Turn) -> None:
        self._is_single = turn.calls_as_functions
        self._names = frozenset(wire_name(turn, tool.name) for tool in turn.tools)
        self.served: frozenset[str] = frozenset()
        self._block = -1
        self._pieces: list[str] = []
        self._whole = ""
        self.ids: list[str] = []
        self.is_broken = False
        self.has_stray = False

    def on_start(self, block: Block, index: int) -> list[Event]:
        """A call begins in block ``index``; nothing comes of one that nobody offered."""
        if self._is_single and self.ids:
            # The older form has room for one call only.
            self.has_stray = True
            return []
        if block.name not in self._names:
            self.has_stray = self.has_stray or block.name not in self.served
            return []
        self._block, self._pieces = index, []
        # A message that was not streamed has them here; else it is an empty object.
        self._whole = bytes(block.input).decode() or "{}"
        self.ids.append(block.id)
        return [CallBegun(len(self.ids) - 1, block.id, caller_name(block.name))]

    def on_delta(self, index: int, fragment: str) -> list[Event]:
        """A piece of the arguments, if it is of a call that was told."""
        if index != self._block or not fragment:
            return []
        self._pieces.append(fragment)
        return [CallDelta(len(self.ids) - 1, fragment)]

    def on_stop(self, index: int) -> list[Event]:
        """The block is complete. Arguments that never came are told now."""
        if index != self._block:
            return []
        self._block = -1
        text = "".join(self._pieces) or self._whole
        self.is_broken = self.is_broken or read_arguments(text) is None
        return [] if self._pieces else [CallDelta(len(self.ids) - 1, text)]
