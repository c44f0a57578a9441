"""``ocpctl settings``."""

import json  # noqa: TID251 - what programs read

import pytest

from ocpctl.commands.settings import read_value
from ocpctl.output import RULE
from tests.unit.ocpctl.fake_daemon import answered, refused


def _setting(value, unit, desc, origin="default"):
    return {"value": value, "type": "number", "unit": unit, "desc": desc, "origin": origin}


SETTINGS = {
    "timeout": _setting(300000, "ms", "Overall request timeout"),
    "maxConcurrent": _setting(4, "", "Max concurrent claude processes", "runtime"),
    "loopbackAdmin": _setting("read", "", "What callers of this machine may see"),
    "claudeBin": _setting("/a/rather/long/path/to/claude", "", "The CLI"),
    "tiers": {
        "opus": {"base": 150000, "perPromptChar": 0.0005},
        "haiku": {"base": 45000, "perPromptChar": 0},
    },
}

EXPLAINED = {
    "key": "maxConcurrent",
    "value": 4,
    "default": 8,
    "unit": "",
    "type": "number",
    "min": 1,
    "max": 32,
    "choices": None,
    "env": ["OCPD_MAX_CONCURRENT", "CLAUDE_MAX_CONCURRENT"],
    "flag": "--max-concurrent",
    "help": "How many turns run at once",
    "origin": "runtime",
    "sources": [
        {"origin": "runtime", "value": 4, "wins": True},
        {"origin": "environment", "value": 6, "wins": False},
        {"origin": "default", "value": 8, "wins": False},
    ],
}


def test_the_list_has_value_unit_and_meaning(ctl, daemon):
    daemon.answers["GET /settings"] = answered(SETTINGS)
    said = ctl("settings")
    assert said.code == 0
    assert said.out == (
        f"OCP Settings\n{RULE}\n"
        "timeout                300000 ms     Overall request timeout\n"
        "maxConcurrent               4        Max concurrent claude processes [runtime]\n"
        "loopbackAdmin            read        What callers of this machine may see\n"
        "claudeBin            /a/rather/long/path/to/claude        The CLI\n"
        "\n"
        "Timeout Tiers (first-byte):\n"
        "  opus    base=150000ms  perChar=0.0005\n"
        "  haiku   base= 45000ms  perChar=0\n"
    )
    assert json.loads(ctl("settings", "--json").out) == SETTINGS


def test_one_setting_is_one_line(ctl, daemon):
    daemon.answers["GET /settings/timeout"] = answered(EXPLAINED | {"key": "timeout", "unit": "ms"})
    assert ctl("settings", "timeout").out == "timeout = 4 ms\n"
    daemon.answers["GET /settings/a%2Fb"] = refused("unknown setting: a/b", 404)
    assert ctl("settings", "a/b") == (1, "", "ocpctl: unknown setting: a/b\n")


def test_several_settings_are_changed_as_one(ctl, daemon):
    results = {"a": {"ok": True, "value": "x"}, "b": {"ok": True, "value": 4}}
    daemon.answers["PATCH /settings"] = answered({"results": results})
    said = ctl("settings", "a", "x", "b", "4")
    assert (said.code, said.out.count("=")) == (0, 2)
    assert daemon.last.json == {"a": "x", "b": 4}


def test_a_setting_without_its_value_is_named(ctl):
    said = ctl("settings", "a", "x", "b")
    assert said.code == 2
    assert "the setting b has no value" in said.err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("-4", -4),
        ("0.0005", 0.0005),
        ("1e5", 100000.0),
        ("true", True),
        ("false", False),
        ("read", "read"),
        ("null", "null"),
        ("none", "none"),
        ("007", "007"),
        ("1.2.3.4", "1.2.3.4"),
        ("-", "-"),
        ("e", "e"),
        ("", ""),
        ('"123"', "123"),
        ('"half', '"half'),
        ("a b", "a b"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("5MB", "5MB"),
    ],
)
def test_a_value_is_sent_as_what_it_looks_like(text, value):
    read = read_value(text)
    assert read == value
    assert type(read) is type(value)


def test_a_change_is_told_with_the_value_that_is_in_force(ctl, daemon):
    body = {"results": {"maxConcurrent": {"ok": True, "value": 4}}, "current": SETTINGS}
    daemon.answers["PATCH /settings"] = answered(body)
    said = ctl("settings", "maxConcurrent", "4")
    assert said == (0, "✓ maxConcurrent = 4\n", "")
    assert daemon.last.json == {"maxConcurrent": 4}
    assert json.loads(ctl("settings", "maxConcurrent", "4", "--json").out) == body
    ctl("settings", "maxConcurrent", "-4")
    assert daemon.last.json == {"maxConcurrent": -4}


def test_a_change_that_is_refused_is_a_failure(ctl, daemon):
    message = "maxConcurrent: value 999 out of range [1, 32]"
    body = {"results": {"maxConcurrent": {"error": message}}, "errors": [message], "current": {}}
    daemon.answers["PATCH /settings"] = answered(body, status=400)
    assert ctl("settings", "maxConcurrent", "999") == (1, "", f"✗ {message}\n")


def test_a_refusal_of_another_kind_keeps_its_message(ctl, daemon):
    daemon.answers["PATCH /settings"] = refused("fixed on the command line: --port", 409)
    assert ctl("settings", "port", "1") == (1, "", "ocpctl: fixed on the command line: --port\n")


def test_half_a_yes_is_a_failure(ctl, daemon):
    results = {"a": {"ok": True, "value": 1}, "b": {"error": "no"}}
    daemon.answers["PATCH /settings"] = answered(
        {"results": results, "errors": ["b: no"], "current": {}}, status=207
    )
    assert ctl("settings", "a", "1") == (1, "✓ a = 1\n", "✗ b: no\n")


@pytest.mark.parametrize("argv", [("--reset", "timeout"), ("timeout", "--reset")])
def test_a_reset_tells_what_lies_beneath(ctl, daemon, argv):
    body = {"key": "timeout", "value": 600000, "origin": "default"}
    daemon.answers["DELETE /settings/timeout"] = answered(body)
    assert ctl("settings", *argv) == (0, "✓ timeout = 600000 (default)\n", "")
    assert json.loads(ctl("settings", *argv, "--json").out) == body


@pytest.mark.parametrize(
    "argv", [("--reset", "tlsCertificate", "tlsKey"), ("tlsCertificate", "tlsKey", "--reset")]
)
def test_several_are_reset_at_once_or_none(ctl, daemon, argv):
    body = {
        "results": {
            "tlsCertificate": {"ok": True, "value": ""},
            "tlsKey": {"ok": True, "value": "/etc/key.pem"},
        },
        "current": {
            "tlsCertificate": {"value": "", "origin": "default"},
            "tlsKey": {"value": "/etc/key.pem", "origin": "OCPD_TLS_KEY"},
        },
    }
    daemon.answers["PATCH /settings"] = answered(body)
    said = ctl("settings", *argv)
    assert said.err == ""
    assert said.out == "✓ tlsCertificate =  (default)\n✓ tlsKey = /etc/key.pem (OCPD_TLS_KEY)\n"
    assert said.code == 0
    assert daemon.last.json == {"tlsCertificate": None, "tlsKey": None}
    assert json.loads(ctl("settings", *argv, "--json").out) == body


def test_several_resets_that_are_refused_are_a_failure(ctl, daemon):
    body = {"results": {}, "errors": ["port is fixed by --port"], "current": {}}
    daemon.answers["PATCH /settings"] = answered(body, status=409)
    said = ctl("settings", "--reset", "port", "bind")
    assert said == (1, "", "✗ port is fixed by --port\n")


def test_a_setting_fixed_in_argv_cannot_be_reset(ctl, daemon):
    daemon.answers["DELETE /settings/port"] = refused("port is fixed by --port", 409)
    assert ctl("settings", "--reset", "port") == (1, "", "ocpctl: port is fixed by --port\n")


@pytest.mark.parametrize("argv", [("--explain", "maxConcurrent"), ("maxConcurrent", "--explain")])
def test_explain_tells_where_a_value_comes_from(ctl, daemon, argv):
    daemon.answers["GET /settings/maxConcurrent"] = answered(EXPLAINED)
    said = ctl("settings", *argv)
    assert said.code == 0
    assert said.out == (
        "maxConcurrent = 4\n"
        "\n"
        "What it is  How many turns run at once\n"
        "Fits        number, 1 to 32\n"
        "Default     8\n"
        "Set by      runtime\n"
        "Variables   OCPD_MAX_CONCURRENT, CLAUDE_MAX_CONCURRENT\n"
        "Flag        --max-concurrent\n"
        "\n"
        "Where a value was found, the strongest first:\n"
        "  runtime              4  <- in force\n"
        "  environment          6\n"
        "  default              8\n"
    )
    assert json.loads(ctl("settings", *argv, "--json").out) == EXPLAINED


@pytest.mark.parametrize(
    "argv",
    [("--reset",), ("--explain",), ("a", "1", "--explain"), ("a", "--reset", "b"), ("--reset", "")],
)
def test_reset_and_explain_want_one_setting(ctl, daemon, argv):
    said = ctl("settings", *argv)
    assert said.code == 2
    assert "one setting is wanted" in said.err
    assert daemon.heard == []
