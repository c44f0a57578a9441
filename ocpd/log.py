"""What is written down: one line for each thing that happened, with the turn it happened to.

What may live here: the formatters, the turn id in every line, the ring of recent lines, and the
guard that keeps secrets out. What is worth a line is each room's business: it calls stdlib
``logging`` with the event's name as message ("turn_finished") and fields in ``extra``.
"""

import logging
import re
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from ocpd.turn.request import TurnId

Value = str | int | float | bool | None
Fields = dict[str, Value]

turn_id: ContextVar[TurnId | None] = ContextVar("turn_id", default=None)

_MAX_VALUE = 2_000
# How much of a value is searched for secrets; more is cut off before anything else.
_MAX_SEARCHED = 65_536
_MAX_INTEGER = 1 << 63
_SECRETS = re.compile(
    r"ocp_[A-Za-z0-9_-]{8,}|sk-ant-[A-Za-z0-9_-]+|\bbearer\s+[^\s\"',;]+", re.IGNORECASE
)
_BARE = re.compile(r"[A-Za-z0-9_.:/@+\[\]-]+")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_RESERVED = frozenset({"ts", "level", "event"})


@contextmanager
def turn_context(turn: TurnId) -> Iterator[None]:
    """Put ``turn`` into every line logged inside, also by tasks started inside."""
    token = turn_id.set(turn)
    try:
        yield
    finally:
        turn_id.reset(token)


class TurnFilter(logging.Filter):
    """Lets everything pass and puts the turn's id on it, unless ``extra`` has one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set ``record.turn``; always True."""
        if not hasattr(record, "turn"):
            record.turn = turn_id.get()
        return True


def describe(record: logging.LogRecord) -> Fields:
    """Make the fields of one line: ts, level, event, turn, then ``extra``, then the failure.

    Never raises; secrets are replaced and long values cut.
    """
    fields: Fields = {
        "ts": _spell_time(record.created),
        "level": record.levelname.lower(),
        "event": _clean(_read_message(record)),
    }
    if (turn := getattr(record, "turn", None)) is not None:
        fields["turn"] = _reduce(turn)
    for key, value in record.__dict__.items():
        if key not in _STANDARD and key != "turn":
            _flatten(fields, key, value)
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields.setdefault("error", _clean(f"{type(error).__name__}: {_read_text(error)}"))
        fields["traceback"] = _clean(_spell_traceback(error), tail=True)
    return fields


def _flatten(fields: Fields, key: str, value: object) -> None:
    name = _clean(key) + ("_" if key in _RESERVED else "")
    if isinstance(value, Mapping):
        for inner, item in value.items():
            fields[f"{name}.{_clean(_read_text(inner))}"] = _reduce(item)
    else:
        fields[name] = _reduce(value)


def _reduce(value: object) -> Value:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < _MAX_INTEGER:
        return value
    return _clean(_read_text(value))


def _read_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit must not cost the line
        return _read_text(record.msg)


def _read_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a value's own __str__ may raise anything
        return f"<{type(value).__name__} without text>"


def _spell_traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error)).rstrip()
    except Exception:  # noqa: BLE001 - the same __str__, met on traceback's way
        return "<no traceback>"


def _clean(text: str, *, tail: bool = False) -> str:
    if len(text) > _MAX_SEARCHED:
        text = text[-_MAX_SEARCHED:] if tail else text[:_MAX_SEARCHED]
    text = _SECRETS.sub("[redacted]", text)
    if len(text) > _MAX_VALUE:
        # The end of a traceback says what happened; of anything else the beginning does.
        text = "…" + text[1 - _MAX_VALUE :] if tail else text[: _MAX_VALUE - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _spell_time(created: float) -> str:
    moment = datetime.fromtimestamp(created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Spell ``record``."""
        return msgspec.json.encode(describe(record)).decode("utf-8")


class TextFormatter(logging.Formatter):
    """key=value, for a terminal; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Spell ``record``."""
        fields = describe(record)
        trace = fields.pop("traceback", None)
        line = " ".join(f"{key}={_quote(value)}" for key, value in fields.items())
        if isinstance(trace, str):
            line += "".join(f"\n    {_escape(part)}" for part in trace.splitlines())
        return line


def _quote(value: Value) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8")
    if _BARE.fullmatch(text):
        return text
    return _escape(msgspec.json.encode(text).decode("utf-8"))


def _escape(text: str) -> str:
    # What a caller sent must not move the cursor of whoever reads the log.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


class Lines(logging.StreamHandler[TextIO]):
    """Lines to a stream. One that cannot be written is counted in ``lost``, never raised."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lost = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Count ``record`` as lost: stdlib would print a traceback with its arguments."""
        self.lost += 1


class Ring(logging.Handler):
    """The last ``capacity`` lines in memory, for whoever asks the daemon."""

    def __init__(self, capacity: int = 500) -> None:
        super().__init__()
        self._lines: deque[Fields] = deque(maxlen=capacity)

    def __repr__(self) -> str:
        return f"Ring({len(self._lines)} of {self._lines.maxlen})"

    def emit(self, record: logging.LogRecord) -> None:
        """Keep ``record``; the oldest makes room."""
        self._lines.append(describe(record))

    def tail(self, count: int, level: str | None = None) -> list[Fields]:
        """Return the last ``count`` lines, oldest first; with ``level`` only those of it."""
        chosen = [line for line in self._lines.copy() if level is None or line["level"] == level]
        return chosen[-count:] if count > 0 else []


def configure(level: str, format: str, stream: TextIO) -> Ring:  # noqa: A002 - the setting's name
    """Send all logging to ``stream``, in the place of what an earlier call set up.

    ``level`` and ``format`` are the settings logLevel and logFormat; "auto" writes text to a
    terminal and JSON elsewhere. Returns the ring that keeps the same lines. Raises ValueError for
    a level that logging does not know.
    """
    lines, ring = Lines(stream), Ring()
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, Lines | Ring)]:
        root.removeHandler(handler)
        handler.close()
    for handler in (lines, ring):
        handler.addFilter(TurnFilter())
        root.addHandler(handler)
    adjust(level, format)
    return ring


def adjust(level: str, format: str) -> None:  # noqa: A002 - the setting's name
    """Log at ``level`` and in ``format`` from now on, to where ``configure`` said."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    for handler in root.handlers:
        if isinstance(handler, Lines):
            text = format == "text" or (format == "auto" and handler.stream.isatty())
            handler.setFormatter(TextFormatter() if text else JsonFormatter())
