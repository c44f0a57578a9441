"""Stop strings end an answer exactly, however it is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.turn.stops import StopFilter


def said(stops: list[str], *pieces: str) -> tuple[str, bool]:
    filter_ = StopFilter(stops)
    text = "".join(filter_.feed(piece) for piece in pieces)
    return text + filter_.end(), filter_.is_hit


@pytest.mark.parametrize(
    ("stops", "pieces", "expected"),
    [
        (["STOP"], ["one STOP two"], ("one ", True)),
        (["STOP"], ["one ST", "OP two"], ("one ", True)),
        (["STOP"], ["one ST", "ART"], ("one START", False)),
        (["STOP"], ["one ST"], ("one ST", False)),
        (["b", "ab"], ["xab"], ("x", True)),
        (["ab", "b"], ["xa", "b"], ("x", True)),
        (["\n\n"], ["a\n", "b\n", "\nc"], ("a\nb", True)),
        (["aab"], ["aaa", "ab"], ("aa", True)),
        ([], ["anything"], ("anything", False)),
        ([""], ["anything"], ("anything", False)),
        (["x"], ["x"], ("", True)),
    ],
)
def test_the_answer_ends_before_the_first(
    stops: list[str], pieces: list[str], expected: tuple[str, bool]
) -> None:
    assert said(stops, *pieces) == expected


LETTERS = st.text("ab", max_size=12)


@given(st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.lists(LETTERS, max_size=6))
def test_any_chunking_says_the_same(stops: list[str], pieces: list[str]) -> None:
    whole = "".join(pieces)
    found = [at for stop in stops if (at := whole.find(stop)) >= 0]
    expected = (whole[: min(found)], True) if found else (whole, False)
    assert said(stops, *pieces) == expected
