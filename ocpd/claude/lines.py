"""A byte stream cut into lines, bounded.

What may live here: this one buffer. The CLI writes one JSON object per line; a read may end
anywhere, also inside a UTF-8 character, which is why nothing is decoded before the line is whole.
"""


class LineTooLong(ValueError):
    """A line grew over the limit; the stream cannot be trusted from here on."""


class Lines:
    """Feed chunks, get whole lines without their newline. Blank lines are left out."""

    def __init__(self, limit_bytes: int = 64 * 1024 * 1024) -> None:
        self._limit_bytes = limit_bytes
        self._tail: list[bytes] = []
        self._tail_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ``chunk`` completes. Raises LineTooLong."""
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        *lines, rest = chunk.split(b"\n")
        if self._tail:
            self._tail.append(lines[0])
            lines[0] = b"".join(self._tail)
            self._tail, self._tail_bytes = [], 0
        if rest:
            self._keep(rest)
        if max(map(len, lines)) > self._limit_bytes:
            raise LineTooLong(f"a line of the CLI is over {self._limit_bytes} bytes")
        return [line for line in lines if line and not line.isspace()]

    def _keep(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        if self._tail_bytes > self._limit_bytes:
            raise LineTooLong(f"a line of the CLI is over {self._limit_bytes} bytes")
