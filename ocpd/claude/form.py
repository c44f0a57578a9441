"""An answer that must have a form: what the model says of it, and the verdict.

What may live here: from the pieces of a message to one JSON text. The model gives its answer as the
call of a tool that the CLI offers for this (``StructuredOutput``); some answer in text. Nothing of
it is told before it is complete and has the form.

What the CLI does (seen on 2.1.330): it mends arguments where the schema says how, in the
``assistant`` frame and not in the stream; it asks again after a call that does not fit, and once
after text; of two calls in a message it takes the last.
"""

from collections.abc import Sequence

import msgspec

from ocpd.claude.wire import Block
from ocpd.turn.events import TextDelta
from ocpd.turn.schema import Accepted, Checker, Rejected, Verdict

TOOL = "StructuredOutput"

PIECE_CHARS = 80
"""How much of the answer one event carries."""


class Form:
    """Hears one turn. ``was_rejected``: an answer did not have the form, and the model was asked
    again."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._reason = ""
        self._prose = ""
        self.was_rejected = False
        self.begin()

    def begin(self) -> None:
        """A message begins."""
        self._texts: list[str] = []
        self._block = -1
        self._call: list[str] | None = None
        self._mended = ""

    def say(self, text: str) -> None:
        """Hear a piece of text."""
        self._texts.append(text)

    def on_start(self, block: Block, index: int) -> bool:
        """A block begins; whether it is the call that gives the answer."""
        if block.type != "tool_use" or block.name != TOOL:
            return False
        self._block, self._call = index, []
        return True

    def on_delta(self, index: int, fragment: str) -> bool:
        """Hear a piece of arguments; whether they are those of the answer."""
        if index != self._block or self._call is None:
            return False
        self._call.append(fragment)
        return True

    def mend(self, blocks: Sequence[Block]) -> None:
        """Hear what the CLI made of the arguments."""
        for block in blocks:
            if block.type == "tool_use" and block.name == TOOL:
                self._mended = bytes(block.input).decode()
                self._call = [] if self._call is None else self._call

    def judge(self) -> Verdict | None:
        """The message is complete: return the verdict on its answer; None if it gives none."""
        text = "".join(self._texts)
        if self._call is None:
            verdict = self._checker.check(text) if text.strip() else None
            self._prose = text
        else:
            verdict = self._checker.check_call("".join(self._call))
            if isinstance(verdict, Rejected) and self._mended:
                verdict = self._checker.check_call(self._mended)
        if isinstance(verdict, Rejected):
            self.was_rejected, self._reason = True, verdict.reason
        return verdict

    @property
    def is_call(self) -> bool:
        """Whether the newest message gives its answer as it should."""
        return self._call is not None

    def judge_result(self, output: msgspec.Raw) -> str | None:
        """Return the answer that the CLI came to by itself, if it has the form."""
        verdict = self._checker.check_call(bytes(output).decode()) if bytes(output) else None
        return verdict.text if isinstance(verdict, Accepted) else None

    def refusal(self) -> str:
        """Return what to tell a caller who does not get the form: the model's own words, or what
        is wrong with its answer."""
        if self._prose.strip():
            return self._prose
        return f"The answer does not match the schema: {self._reason or 'there is none'}."


def pieces_of(text: str) -> list[TextDelta]:
    """Return an answer in pieces, for those who read it as it comes."""
    return [TextDelta(text[at : at + PIECE_CHARS]) for at in range(0, len(text), PIECE_CHARS)]
