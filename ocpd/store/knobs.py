"""Settings an operator changed at run time; they survive a restart.

What may live here: names and values. What a setting means and may be is checked by whoever puts it.
"""

import logging
import math
import sqlite3
from collections.abc import Callable, Mapping

import msgspec

from ocpd.errors import BadRequest
from ocpd.store.db import Database
from ocpd.store.epoch import to_ms

KnobValue = str | int | float | bool

_log = logging.getLogger("ocpd.store")

_decoder: msgspec.json.Decoder[KnobValue] = msgspec.json.Decoder(KnobValue)


class Knobs:
    """The changed settings, in memory and in the file."""

    def __init__(self, db: Database, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._values: dict[str, KnobValue] = {}

    def __repr__(self) -> str:
        return f"Knobs({', '.join(sorted(self._values))})"

    def all(self) -> dict[str, KnobValue]:
        """Return every changed setting by name; the dict is the caller's. Instant."""
        return dict(self._values)

    async def put(self, changes: Mapping[str, KnobValue | None], by: str) -> None:
        """Keep ``changes``, made by ``by``: all of them or none; None takes a setting back.

        Durable on return. Raises BadRequest for a number that is none.
        """
        for name, value in changes.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise BadRequest(f"{name} must be a number", param=name)
        wanted = dict(changes)
        now_ms = to_ms(self._clock())

        def put(connection: sqlite3.Connection) -> dict[str, KnobValue]:
            for name, value in wanted.items():
                _write(connection, name, value, (now_ms, by))
            return load_knobs(connection)

        await self._db.write(put, self.adopt)

    def adopt(self, loaded: dict[str, KnobValue]) -> None:
        """Forget everything and know ``loaded`` instead; for the store."""
        self._values = loaded


def load_knobs(connection: sqlite3.Connection) -> dict[str, KnobValue]:
    """Read every changed setting; one whose value cannot be read is left out and logged."""
    found: dict[str, KnobValue] = {}
    for name, value in connection.execute("SELECT name, value FROM knob ORDER BY name"):
        try:
            found[name] = _decoder.decode(value)
        except (msgspec.DecodeError, msgspec.ValidationError):
            _log.warning("store_knob_unreadable", extra={"knob": name})
    return found


def _write(
    connection: sqlite3.Connection, name: str, value: KnobValue | None, change: tuple[int, str]
) -> None:
    if value is None:
        connection.execute("DELETE FROM knob WHERE name = ?", (name,))
    else:
        spelled = msgspec.json.encode(value).decode("utf-8")
        connection.execute(
            "INSERT OR REPLACE INTO knob VALUES (?, ?, ?, ?)", (name, spelled, *change)
        )
