"""What a knob is, and whether a value fits it.

What may live here: the row of the table and the check of one value. Pure.
"""

import enum
import math
import re

import msgspec

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TRUTHS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


class SettingsError(ValueError):
    """A value that does not fit; the text names the setting, the value and what would fit."""


class Type(enum.Enum):
    """What kind of value a knob takes."""

    INTEGER = "integer"
    STRING = "string"
    CHOICE = "choice"
    PATH = "path"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    """Texts with commas between them, an array in ocpd.toml; the value is the text."""


class Knob(msgspec.Struct, frozen=True, kw_only=True):
    """One setting; ``low`` and ``high`` are inclusive. ``default`` may lie outside of them: then
    it means that the setting is off, or left to the model. ``secret``: the value is shown nowhere,
    is no flag (all users of the machine see those), and cannot be changed at run time, so that it
    is never in the database."""

    key: str
    type: Type
    default: int | float | str
    help: str
    unit: str = ""
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    secret: bool = False

    @property
    def field(self) -> str:
        """Its name in ``Settings``, which carries the unit: timeout is timeout_ms."""
        suffix = {"ms": "_ms", "s": "_s", "MB": "_mb"}.get(self.unit, "")
        return self._spell("_") + suffix

    @property
    def variable(self) -> str:
        """The environment variable that is this knob's own: maxQueue is OCPD_MAX_QUEUE."""
        return f"OCPD_{self._spell('_').upper()}"

    @property
    def flag(self) -> str:
        """The command line flag: maxQueue is --max-queue."""
        return "--" + self._spell("-")

    @property
    def fits(self) -> str:
        """What would fit, for people."""
        match self.type:
            case Type.INTEGER:
                return f"a whole number from {self.low} to {self.high}"
            case Type.NUMBER:
                return f"a number from {self.low} to {self.high}"
            case Type.CHOICE:
                return "one of " + ", ".join(self.choices)
            case Type.PATH:
                return "a path"
            case Type.STRING:
                return "a text that is not empty"
            case Type.BOOLEAN:
                return "true or false"
            case Type.LIST:
                return "texts with commas between them"

    def _spell(self, joint: str) -> str:
        return _HUMP.sub(joint, self.key).replace(".", joint).lower()


def parse_value(knob: Knob, raw: object, origin: str) -> int | float | str:
    """Check one value of ``origin`` (argv, a variable, the file) against its knob.

    Raises SettingsError naming origin, value and what would fit.
    """
    match knob.type:
        case Type.INTEGER:
            return _parse_integer(knob, raw, origin)
        case Type.NUMBER:
            return _parse_number(knob, raw, origin)
        case Type.CHOICE:
            if (choice := _find_choice(knob, raw)) is not None:
                return choice
        case Type.BOOLEAN:
            if isinstance(raw, bool):
                return raw
            if isinstance(raw, str) and raw.lower() in _TRUTHS:
                return _TRUTHS[raw.lower()]
        case Type.STRING | Type.PATH | Type.LIST:
            text = _read_list(raw) if knob.type is Type.LIST else raw
            if isinstance(text, str) and text.strip() and "\0" not in text:
                return text
    shown = "this value" if knob.secret else repr(raw)
    raise SettingsError(f"{origin}: {shown} does not fit, {knob.key} takes {knob.fits}")


def _read_list(raw: object) -> str:
    """The entries with commas between them, each once; "" for what is no list."""
    parts = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return ""
    entries = [part.strip() for part in parts]
    return "" if not all(entries) or "," in "".join(entries) else ",".join(dict.fromkeys(entries))


def _find_choice(knob: Knob, raw: object) -> str | None:
    if isinstance(raw, str) and raw in knob.choices:
        return raw
    if not {"on", "off"} <= set(knob.choices):
        return None
    # A choice between on and off is a switch: it also takes the words of one.
    truth = _TRUTHS.get(raw.lower()) if isinstance(raw, str) else raw
    return ("on" if truth else "off") if isinstance(truth, bool) else None


def _parse_integer(knob: Knob, raw: object, origin: str) -> int:
    # Strict on purpose: "5MB" read as 5, or "unlimited" as no limit, has hurt others.
    if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) <= 15:
        value = int(raw)
    elif isinstance(raw, int) and not isinstance(raw, bool):
        value = raw
    else:
        raise SettingsError(f"{origin}: {raw!r} does not fit, {knob.key} takes {knob.fits}")
    return int(_check_range(knob, value, origin))


def _parse_number(knob: Knob, raw: object, origin: str) -> float:
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw)
    if not is_number and not (isinstance(raw, str) and _NUMBER.fullmatch(raw)):
        raise SettingsError(f"{origin}: {raw!r} does not fit, {knob.key} takes {knob.fits}")
    return _check_range(knob, float(str(raw)), origin)


def _check_range(knob: Knob, value: float, origin: str) -> float:
    if not knob.low <= value <= knob.high:
        about = "" if origin == knob.key else f" for {knob.key}"
        allowed = f"[{knob.low}, {knob.high}]{about}"
        raise SettingsError(f"{origin}: value {value} out of range {allowed}")
    return value
