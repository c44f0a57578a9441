"""``ocpctl audit``."""

import json  # noqa: TID251 - what programs read

from tests.unit.ocpctl.fake_daemon import answered

AUDIT = {
    "entries": [
        {
            "at": "2026-11-21T11:00:00Z",
            "uid": 1000,
            "user": "anna",
            "via": "unix",
            "action": "keys.add",
            "detail": {"name": "laptop"},
        },
        {
            "at": "2026-11-21T10:00:00Z",
            "uid": None,
            "user": "",
            "via": "tcp",
            "action": "reload",
            "detail": "",
        },
    ]
}


def test_changes_are_listed_with_who_made_them(ctl, daemon):
    daemon.answers["GET /admin/audit?n=50"] = answered(AUDIT)
    assert ctl("audit").out == (
        "At                   Who          Via   Action    Detail\n"
        '2026-11-21T11:00:00  anna (1000)  unix  keys.add  {"name": "laptop"}\n'
        "2026-11-21T10:00:00  -            tcp   reload\n"
    )
    assert json.loads(ctl("audit", "--json").out) == AUDIT


def test_as_many_as_are_asked_for(ctl, daemon):
    daemon.answers["GET /admin/audit?n=5"] = answered({"entries": []})
    assert ctl("audit", "5") == (0, "Nothing was changed yet.\n", "")
