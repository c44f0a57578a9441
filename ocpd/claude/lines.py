"""A byte stream cut into lines, bounded.

What may live here: this one buffer. The CLI writes one JSON object per line; a read may end
anywhere, also inside a UTF-8 character, which is why nothing is decoded before the line is whole.
"""


class LineTooLong(ValueError):
    """A line grew over the limit; the stream cannot be trusted from here on.

    ``before`` are the lines of the same chunk that came before it.
    """

    def __init__(self, limit_bytes: int, before: list[bytes]) -> None:
        super().__init__(f"a line of the CLI is over {limit_bytes} bytes")
        self.before = before


class Lines:
    """Feed chunks, get whole lines without their newline. Blank lines are left out."""

    def __init__(self, limit_bytes: int = 64 * 1024 * 1024) -> None:
        self._limit_bytes = limit_bytes
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._is_broken = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ``chunk`` completes.

        Raises LineTooLong, and from then on for every chunk: nothing is kept any more.
        """
        if self._is_broken:
            raise LineTooLong(self._limit_bytes, [])
        *ends, rest = chunk.split(b"\n")
        lines: list[bytes] = []
        for end in ends:
            self._keep(end, lines)
            line = b"".join(self._tail)
            self._tail, self._tail_bytes = [], 0
            if line and not line.isspace():
                lines.append(line)
        if rest:
            self._keep(rest, lines)
        return lines

    def _keep(self, chunk: bytes, lines: list[bytes]) -> None:
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        if self._tail_bytes > self._limit_bytes:
            self._tail, self._is_broken = [], True
            raise LineTooLong(self._limit_bytes, lines)
