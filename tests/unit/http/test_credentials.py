"""Tokens are found where clients put them, each once, in one order."""

import pytest

from ocpd.http.credentials import read_tokens
from ocpd.http.message import Headers


@pytest.mark.parametrize(
    ("headers", "tokens"),
    [
        ((), ()),
        ((("authorization", "Bearer one"),), ("one",)),
        ((("authorization", "bearer   one  "),), ("one",)),
        ((("x-api-key", " one "),), ("one",)),
        ((("x-api-key", "one"), ("authorization", "BEARER one")), ("one",)),
        ((("x-api-key", "two"), ("authorization", "Bearer one")), ("one", "two")),
        ((("authorization", "Bearer one"), ("authorization", "Bearer two")), ("one", "two")),
        ((("authorization", "Bearer "), ("x-api-key", "")), ()),
        ((("authorization", "Bearer"),), ()),
        ((("authorization", "Basic dTpw"), ("authorization", "one")), ()),
    ],
)
def test_tokens_are_read(headers: tuple[tuple[str, str], ...], tokens: tuple[str, ...]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    assert read_tokens(Headers(raw)) == tokens
