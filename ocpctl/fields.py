"""JSON from the daemon, read for people.

What may live here: looking into an answer. A field that is missing or strange becomes a default
and never a traceback, because daemon and ocpctl may be of different versions. Texts lose their
control characters: part of what the daemon knows was written by its clients, and must not reach
the terminal as commands.
"""

from collections.abc import Iterator

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

# DEL and C1, which terminals obey.
_ESCAPED = {code: f"\\u{code:04x}" for code in range(127, 160)}


def clean_text(text: str) -> str:
    """Return ``text`` on one line and without anything a terminal would obey."""
    if text.isprintable():
        return text
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def write_json(value: Json, *, indent: int | None = 2) -> str:
    """Return ``value`` as JSON that is safe to show on a terminal."""
    import json  # noqa: PLC0415, TID251 - ocpctl starts without msgspec, and --help without json

    # json escapes C0 itself; the others can only stand inside its strings.
    return json.dumps(value, indent=indent, ensure_ascii=False).translate(_ESCAPED)


def spell_value(value: Json) -> str:
    """Return one value as people write it: true, 50, a,b, or the text itself."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            return clean_text(value)
        case float() if value.is_integer():
            return str(int(value))
        case list() if all(isinstance(item, str) for item in value):
            return ",".join(spell_value(item) for item in value)
        case int() | float():
            return str(value)
        case _:
            return write_json(value, indent=None)


class Fields:
    """One JSON object. What is no object has no fields."""

    __slots__ = ("_object",)

    def __init__(self, value: object) -> None:
        self._object: dict[str, Json] = value if isinstance(value, dict) else {}

    def __contains__(self, name: str) -> bool:
        return name in self._object

    def value(self, name: str) -> Json:
        """The field as it came, or None."""
        return self._object.get(name)

    def text(self, name: str, default: str = "") -> str:
        """The field in words; ``default`` if it is missing, null or empty."""
        value = self._object.get(name)
        return default if value is None or value == "" else spell_value(value)

    def raw(self, name: str) -> str:
        """The field as it came if it is a text, else "": for programs, not for people."""
        value = self._object.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int | float | None:
        """The field if it is a number."""
        value = self._object.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def count(self, name: str) -> int:
        """The field as a whole number, 0 if it is none."""
        return int(self.number(name) or 0)

    def flag(self, name: str) -> bool | None:
        """The field if it is true or false; 0 and 1 count as such."""
        value = self._object.get(name)
        return bool(value) if isinstance(value, bool) or value in (0, 1) else None

    def part(self, name: str) -> "Fields":
        """The object in this field."""
        return Fields(self._object.get(name))

    def parts(self, name: str) -> list["Fields"]:
        """The objects of the list in this field."""
        value = self._object.get(name)
        return [Fields(item) for item in value] if isinstance(value, list) else []

    def texts(self, name: str) -> list[str]:
        """The list in this field, in words."""
        value = self._object.get(name)
        return [spell_value(item) for item in value] if isinstance(value, list) else []

    def names(self) -> list[str]:
        """The names of all fields, as they came."""
        return list(self._object)

    def pairs(self) -> Iterator[tuple[str, Json]]:
        """Yield every field with its name, cleaned."""
        for name, value in self._object.items():
            yield clean_text(name), value
