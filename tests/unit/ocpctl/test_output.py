"""Layout: for a terminal, for a pipe, for a program."""

import io

import pytest

from ocpctl.output import DIM, GREEN, RULE, Output
from tests.unit.ocpctl.conftest import Terminal


def _output(out=None, err=None, **environ):
    return Output(out or io.StringIO(), err or io.StringIO(), environ=environ)


def test_the_rule_is_37_wide():
    assert RULE == "─" * 37


def test_colour_is_for_terminals_only():
    assert _output(Terminal()).paint("x", GREEN) == "\x1b[32mx\x1b[0m"
    assert _output().paint("x", GREEN) == "x"
    assert _output(Terminal(), NO_COLOR="1").paint("x", GREEN) == "x"
    assert _output(Terminal(), NO_COLOR="").paint("x", GREEN) != "x"
    assert _output(Terminal(), TERM="dumb").paint("x", GREEN) == "x"


def test_refusals_go_to_stderr_in_the_colours_of_stderr():
    out, err = io.StringIO(), Terminal()
    written = _output(out, err)
    written.tick("done")
    written.cross("not done")
    written.remark("so it is", ("do this", "or that"))
    assert out.getvalue() == "✓ done\n"
    assert err.getvalue() == ("\x1b[31m✗\x1b[0m not done\nocpctl: so it is\n  do this\n  or that\n")


def _table(width, head=("Name", ">Count", "Note")):
    out = io.StringIO()
    written = _output(out)
    written.width = width
    written.table(head, [("laptop", "5", "a note that is long"), ("漢字", "12", "")])
    return out.getvalue().splitlines()


def test_a_table_lines_up_and_is_never_cut_in_a_pipe():
    assert _table(None) == [
        "Name    Count  Note",
        "laptop      5  a note that is long",
        "漢字       12",
    ]


def test_a_table_keeps_to_the_terminal():
    assert _table(28) == [
        "Name    Count  Note",
        "laptop      5  a note that…",
        "漢字       12",
    ]


def test_a_terminal_that_is_too_narrow_for_anything_is_left_to_wrap():
    assert _table(5)[1] == "laptop      5  a note…"


def test_a_text_is_cut_to_what_the_line_has_left():
    written = _output()
    assert written.cut("abcdefghijklmnop") == "abcdefghijklmnop"
    written.width = 20
    assert written.cut("abcdefghijklmnop", reserved=10) == "abcdefghi…"
    assert written.cut("short", reserved=10) == "short"


def test_labels_line_up_and_empty_ones_are_left_out():
    out = io.StringIO()
    _output(out).pairs((("A", "1"), ("Gone", ""), ("Long", "2")))
    assert out.getvalue() == "A     1\nLong  2\n"


@pytest.mark.parametrize("broken", [OSError, ValueError])
def test_a_terminal_that_does_not_tell_its_width_has_none(broken):
    class Odd(Terminal):
        def fileno(self):
            raise broken

    assert _output(Odd()).width is None


def test_lines_do_not_end_in_blanks():
    out = io.StringIO()
    written = _output(out)
    written.line("a   ")
    written.line(written.paint("", DIM))
    assert out.getvalue() == "a\n\n"
