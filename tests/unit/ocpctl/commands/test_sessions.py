"""``ocpctl sessions`` and ``ocpctl clear``."""

import json  # noqa: TID251 - what programs read

from tests.unit.ocpctl.fake_daemon import answered

SESSIONS = {
    "sessions": [
        {
            "id": "conv-abc-123-and-more",
            "uuid": "u",
            "model": "opus",
            "messages": 4,
            "lastUsed": "2026-11-21T11:00:00Z",
        }
    ]
}


def test_sessions_are_listed(ctl, daemon):
    daemon.answers["GET /sessions"] = answered(SESSIONS)
    assert ctl("sessions").out == (
        "  conv-abc-123-and...  model=opus  msgs=4  last=2026-11-21T11:00:00Z\n"
    )
    assert json.loads(ctl("sessions", "--json").out) == SESSIONS


def test_none_is_said(ctl, daemon):
    daemon.answers["GET /sessions"] = answered({"sessions": []})
    assert ctl("sessions") == (0, "No active sessions.\n", "")


def test_clear_tells_how_many(ctl, daemon):
    daemon.answers["DELETE /sessions"] = answered({"cleared": 3})
    assert ctl("clear") == (0, "Cleared 3 sessions.\n", "")
    assert json.loads(ctl("clear", "--json").out) == {"cleared": 3}
