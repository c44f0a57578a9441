"""Body bytes to a wire struct, or a refusal that names the field.

What may live here: what all JSON dialects need to read a body totally: any bytes give a value or
BadRequest, never anything else. The words of msgspec's errors are translated here and nowhere
else.
"""

import codecs
import re
from typing import Final, TypeVar

import msgspec

from ocpd.errors import BadRequest

T = TypeVar("T")

SMALL_BYTES: Final = 65_536
"""What a knob may have that holds a list: a hundred times what anybody needs."""

_WHERE = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_WORDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
# A slice of this size is decoded at a time: a check must not cost four times the body.
_SLICE_BYTES = 65_536


def read_body(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], root: str = "") -> T:
    """Decode ``body``; ``root`` is the path of the field it was, "" for a whole body.

    Raises BadRequest whose ``param`` is the path of the field that does not fit. A Raw is taken
    as checked UTF-8: it is a piece of a body that went through here.
    """
    if isinstance(body, bytes):
        _check_text(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error), root) from None
    except RecursionError:
        raise BadRequest("the body is not valid JSON: it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None


def is_given(raw: msgspec.Raw) -> bool:
    """Whether a field that is kept raw was there and is not null."""
    return bytes(memoryview(raw)[:5]) not in (b"", b"null")


def read_small(raw: msgspec.Raw, decoder: msgspec.json.Decoder[T], field: str) -> T | None:
    """Decode ``field``, a knob that was kept raw; None if it was not given.

    Raises BadRequest as ``read_body``, and for more than ``SMALL_BYTES``, without a look inside:
    eight million stop sequences would be half a gigabyte of strings before anybody counts them.
    """
    if not is_given(raw):
        return None
    if (size := memoryview(raw).nbytes) > SMALL_BYTES:
        raise BadRequest(
            f"{field}: {size} bytes were sent; at most {SMALL_BYTES} are read", param=field
        )
    return read_body(raw, decoder, field)


def _check_text(body: bytes) -> None:
    # msgspec does not look into strings of fields it skips or keeps raw.
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(body), _SLICE_BYTES):
            decoder.decode(body[start : start + _SLICE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadRequest("the body is not valid JSON: it is not UTF-8") from None


def _explain(text: str, root: str) -> BadRequest:
    match = _WHERE.fullmatch(text)
    what, tail = (match["what"], match["path"] or "") if match else (text, "")
    path = f"{root}{tail}" if root else tail.removeprefix(".")
    if (missing := _MISSING.fullmatch(what)) is not None:
        path = f"{path}.{missing['field']}" if path else missing["field"]
        return BadRequest(f"{path}: required, but missing", param=path)
    if (expected := _EXPECTED.fullmatch(what)) is not None:
        wanted, got = expected["wanted"], _WORDS.get(expected["got"], expected["got"])
        if not path:
            return BadRequest(f"the body must be a JSON {_name_type(wanted)}, got {got}")
        return BadRequest(f"{path}: expected {_name_type(wanted)}, got {got}", param=path)
    lowered = what[:1].lower() + what[1:]
    return BadRequest(f"{path}: {lowered}" if path else lowered, param=path or None)


def _name_type(union: str) -> str:
    # Null means "not given" wherever it is allowed: not worth a word.
    members = [_WORDS.get(name, name) for name in union.split(" | ") if name != "null"]
    return " or ".join(members) or "null"
