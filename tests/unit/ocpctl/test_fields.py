"""Answers are read without trust: nothing strange in them is a traceback or reaches a terminal."""

import pytest

from ocpctl.fields import Fields, clean_text, spell_value, write_json


@pytest.mark.parametrize("body", [None, 3, "text", [1], [{"name": "x"}]])
def test_what_is_no_object_has_no_fields(body):
    told = Fields(body)
    assert told.text("name") == ""
    assert told.number("name") is None
    assert told.parts("name") == []
    assert told.names() == []


def test_a_field_of_another_kind_becomes_the_default():
    told = Fields({"a": "x", "b": True, "c": [1], "d": None})
    assert told.number("a") is None
    assert told.number("b") is None
    assert told.count("a") == 0
    assert told.flag("a") is None
    assert told.part("a").text("b", "-") == "-"
    assert told.text("d", "none told") == "none told"
    assert told.raw("c") == ""


def test_flags_may_be_zero_and_one():
    told = Fields({"yes": 1, "no": 0, "true": True, "two": 2})
    assert [told.flag(name) for name in ("yes", "no", "true", "two")] == [True, False, True, None]


def test_texts_lose_what_a_terminal_would_obey():
    hostile = "a\x1b[31mb\rc\nd\x9be\u202ef"
    assert clean_text(hostile) == "a\ufffd[31mb c d\ufffde\ufffdf"
    assert clean_text("Zoë 漢字") == "Zoë 漢字"
    assert Fields({"name": hostile}).text("name") == clean_text(hostile)
    assert Fields({"name": hostile}).raw("name") == hostile
    assert [name for name, _ in Fields({hostile: 1}).pairs()] == [clean_text(hostile)]


def test_json_for_a_terminal_still_means_the_same():
    value = {"a": "x\x9b\x7f\x1b", "b": [1, 2.5, None], "ü": True}
    text = write_json(value)
    assert not set(text) & {"\x9b", "\x7f", "\x1b"}
    assert "ü" in text
    assert __import__("json").loads(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (False, "false"),
        (50, "50"),
        (5.0, "5"),
        (0.25, "0.25"),
        (["a", "b"], "a,b"),
        ({"a": 1}, '{"a": 1}'),
        ("a\nb", "a b"),
    ],
)
def test_values_are_spelled_as_people_write_them(value, text):
    assert spell_value(value) == text
