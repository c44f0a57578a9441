"""``ocpctl version`` and ``ocpctl help``."""

import json  # noqa: TID251 - what programs read

from tests.unit.ocpctl.fake_daemon import answered


def test_both_versions_are_told(ctl, daemon):
    daemon.answers["GET /health"] = answered({"version": "0.1.0"})
    assert ctl("version").out == f"ocpctl 0.1.0\nocpd   0.1.0 ({daemon.path})\n"
    assert json.loads(ctl("version", "--json").out) == {"ocpctl": "0.1.0", "ocpd": "0.1.0"}


def test_that_no_daemon_answers_is_no_failure(ctl):
    assert ctl("version") == (0, "ocpctl 0.1.0\nocpd   unknown (ocpd does not answer)\n", "")
    assert json.loads(ctl("version", "--json").out) == {"ocpctl": "0.1.0", "ocpd": None}


def test_help_is_help_of_the_command(ctl):
    assert ctl("help") == ctl("--help")
    assert ctl("help", "keys", "add") == ctl("keys", "add", "--help")
    assert ctl("help", "nonsense").code == 2
