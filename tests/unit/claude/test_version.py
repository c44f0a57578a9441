"""A CLI that is too old to be safe is never served with; a newer one is, with a word."""

import pytest

from ocpd.claude.version import FLOOR, NEWEST_TESTED, Standing, dotted, judge_version


@pytest.mark.parametrize(
    ("output", "standing", "text"),
    [
        ("2.1.330 (Claude Code)", Standing.TESTED, "2.1.330"),
        ("2.1.248 (Claude Code)\n", Standing.TESTED, "2.1.248"),
        ("  2.1.300", Standing.TESTED, "2.1.300"),
        ("2.1.330-beta.1 (Claude Code)", Standing.TESTED, "2.1.330"),
        ("2.1.247 (Claude Code)", Standing.TOO_OLD, "2.1.247"),
        ("1.99.999", Standing.TOO_OLD, "1.99.999"),
        ("2.0.400", Standing.TOO_OLD, "2.0.400"),
        ("0.0.0", Standing.TOO_OLD, "0.0.0"),
        ("2.1.331", Standing.UNTESTED, "2.1.331"),
        ("2.2.0", Standing.UNTESTED, "2.2.0"),
        ("3.0.0 (Claude Code)", Standing.UNTESTED, "3.0.0"),
        ("2.1.1000", Standing.UNTESTED, "2.1.1000"),
        ("", Standing.UNREADABLE, ""),
        ("Claude Code 2.1.330", Standing.UNREADABLE, ""),
        ("v2.1.330", Standing.UNREADABLE, ""),
        ("2.1", Standing.UNREADABLE, ""),
        ("-2.1.330", Standing.UNREADABLE, ""),
        ("9999999.1.1", Standing.UNREADABLE, ""),
        ("\0\xff", Standing.UNREADABLE, ""),
    ],
)
def test_each_version_has_its_standing(output: str, standing: Standing, text: str) -> None:
    verdict = judge_version(output)
    assert (verdict.standing, verdict.text) == (standing, text)
    assert verdict.may_serve == (standing in (Standing.TESTED, Standing.UNTESTED))


def test_the_floor_and_the_newest_tested_are_inside_the_tested_range() -> None:
    for version in (FLOOR, NEWEST_TESTED):
        assert judge_version(dotted(version)).standing is Standing.TESTED


def test_an_old_cli_is_told_what_to_install() -> None:
    advice = judge_version("2.1.247").advice
    assert "2.1.247" in advice
    assert dotted(FLOOR) in advice


def test_a_cli_that_says_no_version_is_told_what_to_install() -> None:
    assert dotted(FLOOR) in judge_version("segmentation fault").advice


def test_a_newer_cli_is_named_with_the_newest_one_tested() -> None:
    advice = judge_version("9.9.9").advice
    assert "9.9.9" in advice
    assert dotted(NEWEST_TESTED) in advice


def test_a_tested_cli_needs_no_advice() -> None:
    assert judge_version("2.1.300").advice == ""
