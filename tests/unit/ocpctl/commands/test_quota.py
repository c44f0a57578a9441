"""``ocpctl quota``."""

import json  # noqa: TID251 - what programs read

import pytest

from ocpctl.output import RULE
from tests.unit.ocpctl.fake_daemon import answered, refused

COMPAT = {
    "daily": {"limit": 50, "used": 50},
    "weekly": {"limit": None, "used": 34},
    "monthly": {"limit": None, "used": 60},
}
LIMITS = [
    {"what": "requests", "period": "daily", "limit": 50, "used": 12},
    {"what": "tokens", "period": "weekly", "limit": 100000, "used": 100000},
    {"what": "cost", "period": "monthly", "limit": 5.0, "used": 1.2},
    {"what": "streams", "period": "at_once", "limit": 3, "used": 1},
]


def test_every_limit_is_shown_with_what_is_used_of_it(ctl, daemon):
    body = {"keyId": 1, "quota": COMPAT, **COMPAT, "limits": LIMITS}
    daemon.answers["GET /api/keys/laptop/quota"] = answered(body)
    said = ctl("quota", "laptop")
    assert said.code == 0
    assert said.out == (
        f"Quota of laptop\n{RULE}\n"
        "  daily                         12  of 50\n"
        "  tokens.weekly             100000  of 100000\n"
        "  cost.monthly               $1.20  of $5.00\n"
        "  streams                        1  of 3\n"
    )
    assert json.loads(ctl("quota", "laptop", "--json").out) == body


def test_without_a_list_of_limits_the_old_shape_will_do(ctl, daemon):
    daemon.answers["GET /api/keys/1/quota"] = answered({"keyId": 1, "quota": COMPAT})
    assert "  weekly                        34  no limit\n" in ctl("quota", "1").out
    daemon.answers["GET /api/keys/1/quota"] = answered({})
    assert ctl("quota", "1").out.endswith("  no limits\n")


def test_limits_are_sent_as_numbers_and_null(ctl, daemon):
    sent = {
        "daily": 50,
        "weekly": None,
        "tokens.daily": 100000,
        "cost.monthly": 2.5,
        "monthly": 0,
    }
    body = {"ok": True, "idOrName": "my laptop", "quota": sent}
    daemon.answers["PATCH /api/keys/my%20laptop/quota"] = answered(body)
    words = ["daily=50", "weekly=none", "tokens.daily=100000", "cost.monthly=2.5", "monthly=0"]
    said = ctl("quota", "my laptop", *words)
    assert said.code == 0
    assert daemon.last.json == sent
    assert said.out == (
        "✓ daily = 50\n✓ weekly = no limit\n✓ tokens.daily = 100000\n"
        "✓ cost.monthly = 2.5\n✓ monthly = 0\n"
    )
    assert json.loads(ctl("quota", "my laptop", *words, "--json").out) == body


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["daily"], "'daily' is no limit"),
        (["=5"], "'=5' is no limit"),
        (["daily="], "daily=: a number is wanted, or none"),
        (["daily=-1"], "daily=-1: a number is wanted"),
        (["daily=1e9"], "daily=1e9: a number is wanted"),
        (["daily=5k"], "a number is wanted"),
        (["daily=5."], "a number is wanted"),
        (["daily=²"], "a number is wanted"),
        (["daily=1", "daily=2"], "daily is given twice"),
    ],
)
def test_what_is_no_limit_is_not_sent(ctl, daemon, words, message):
    said = ctl("quota", "laptop", *words)
    assert said.code == 2
    assert message in said.err
    assert daemon.heard == []


def test_what_the_daemon_refuses_is_exit_code_1(ctl, daemon):
    daemon.answers["PATCH /api/keys/x/quota"] = refused("unknown field: hourly")
    assert ctl("quota", "x", "hourly=5") == (1, "", "ocpctl: unknown field: hourly\n")
    daemon.answers["GET /api/keys/x/quota"] = answered({"error": "Key not found"}, status=404)
    assert ctl("quota", "x") == (1, "", "ocpctl: Key not found\n")
