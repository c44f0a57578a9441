"""The child's stdout as frames.

What may live here: from bytes to what they say, and what could not be read. What follows from a
frame is ``session``'s.
"""

from ocpd.claude.lines import Lines, LineTooLong
from ocpd.claude.wire import BadFrame, Frame, decode_frame
from ocpd.errors import Upstream


class Reader:
    """Feed chunks, get frames. ``bad_frames`` counts what could not be read; it is left out."""

    def __init__(self) -> None:
        self.bad_frames = 0
        self._lines = Lines()

    def feed(self, chunk: bytes) -> tuple[list[Frame], Upstream | None]:
        """Return the frames that ``chunk`` completes, and why no more will come, if so. Any
        chunking of the same bytes gives the same frames."""
        fault: Upstream | None = None
        try:
            lines = self._lines.feed(chunk)
        except LineTooLong as error:
            lines = error.before
            fault = Upstream("the Claude CLI sent a line too long", detail=str(error))
        frames: list[Frame] = []
        for line in lines:
            try:
                frames.append(decode_frame(line))
            except BadFrame:
                self.bad_frames += 1
        return frames, fault
