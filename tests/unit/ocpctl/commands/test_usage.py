"""``ocpctl usage``, for people and for programs."""

import json  # noqa: TID251 - what programs read

import pytest

from ocpctl.output import RULE
from tests.unit.ocpctl.fake_daemon import answered

USAGE = {
    "status": "allowed",
    "fetchedAt": "2026-11-21T11:00:00Z",
    "stale": False,
    "plan": {
        "currentSession": {
            "utilization": 0.21,
            "percent": "21%",
            "resetsIn": "3h 12m",
            "resetsAt": "2026-11-21T14:12:00Z",
            "resetsAtHuman": "Tue, Mar 28, 10:00 PM",
        },
        "weeklyLimits": {
            "allModels": {
                "utilization": 0.45,
                "percent": "45%",
                "resetsIn": "4d 2h",
                "resetsAt": None,
                "resetsAtHuman": "Tue, Mar 31, 12:00 AM",
            }
        },
        "extraUsage": {"status": "rejected", "disabledReason": "org_level_disabled"},
        "representativeClaim": "five_hour",
    },
    "proxy": {
        "totalRequests": 23,
        "activeRequests": 1,
        "errors": 0,
        "timeouts": 2,
        "uptime": "6h 32m",
    },
    "models": {
        "claude-sonnet-4-6": {
            "requests": 18,
            "successes": 17,
            "errors": 1,
            "timeouts": 0,
            "avgElapsed": 20400,
            "maxElapsed": 75000,
            "avgPromptChars": 36400,
            "maxPromptChars": 56000,
        },
        "claude-opus-4-7": {
            "requests": 5,
            "successes": 5,
            "errors": 0,
            "timeouts": 0,
            "avgElapsed": 0,
            "maxElapsed": 0,
            "avgPromptChars": 0,
            "maxPromptChars": 300,
        },
    },
}

BY_KEY = {
    "byKey": [
        {
            "key_name": "wife-laptop",
            "requests": 5,
            "successes": 4,
            "errors": 1,
            "avg_elapsed_ms": 8012.4,
            "first_request": "2026-11-20 10:00:00",
            "last_request": "2026-11-21 10:00:00",
        },
        {"key_name": "", "requests": 3, "successes": 3, "errors": 0, "avg_elapsed_ms": None},
    ],
    "timeline": [],
    "recent": [],
    "scope": {"self": None, "all": True},
}

SHOWN = f"""\
Plan Usage Limits
{RULE}
  Current session       21% used
                      Resets in 3h 12m  (Tue, Mar 28, 10:00 PM)

  Weekly (all models)   45% used
                      Resets in 4d 2h  (Tue, Mar 31, 12:00 AM)

  Extra usage         off (org_level_disabled)

Model Stats (since proxy start)
Model                      Reqs    OK   Err  Avg Time  Max Time  Avg Prompt  Max Prompt
{"─" * 87}
claude-opus-4-7               5     5     0         -         -           -          0K
claude-sonnet-4-6            18    17     1       20s       75s         36K         56K
Total                        23    22     1

Proxy: up 6h 32m | 23 reqs | 1 active | 0 err | 2 timeout
"""


def test_plan_models_and_proxy_are_laid_out_as_people_know_them(ctl, daemon):
    daemon.answers["GET /usage"] = answered(USAGE)
    said = ctl("usage")
    assert said.code == 0
    assert said.out == SHOWN
    assert len(RULE) == 37


def test_json_is_the_daemons_own(ctl, daemon):
    daemon.answers["GET /usage"] = answered(USAGE)
    said = ctl("usage", "--json")
    assert said.code == 0
    assert said.out == json.dumps(USAGE, indent=2) + "\n"


def test_a_plan_that_nobody_knows_yet_is_said_to_be_unknown(ctl, daemon):
    window = {"utilization": None, "percent": "?", "resetsIn": "unknown", "resetsAt": None}
    plan = {
        "currentSession": window,
        "weeklyLimits": {"allModels": window},
        "extraUsage": {"status": "unknown"},
    }
    daemon.answers["GET /usage"] = answered(USAGE | {"plan": plan, "stale": True, "models": {}})
    said = ctl("usage")
    assert said.code == 0
    assert "  Current session       unknown until a turn has been answered\n" in said.out
    assert "  Extra usage         unknown\n" in said.out
    assert "Resets in" not in said.out
    assert "  Last told by the CLI: 2026-11-21T11:00:00Z\n" in said.out


def test_extra_usage_that_is_allowed_is_on(ctl, daemon):
    plan = USAGE["plan"] | {"extraUsage": {"status": "allowed"}}
    daemon.answers["GET /usage"] = answered(USAGE | {"plan": plan})
    assert "  Extra usage         on\n" in ctl("usage").out


def test_a_narrow_terminal_gets_the_short_heads(ctl, daemon, monkeypatch):
    daemon.answers["GET /usage"] = answered(USAGE)
    monkeypatch.setattr("ocpctl.output._find_width", lambda _out: 80)
    said = ctl("usage")
    assert "Model                     Req   OK  Er  AvgT  MaxT  AvgP  MaxP\n" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize("strange", [{}, {"plan": "x", "models": [], "proxy": None}, []])
def test_a_strange_answer_is_no_traceback(ctl, daemon, strange):
    daemon.answers["GET /usage"] = answered(strange)
    said = ctl("usage")
    assert said.code == 0
    assert said.out.endswith("Proxy: up ? | 0 reqs | 0 active | 0 err | 0 timeout\n")


def test_by_key_shows_every_key_and_asks_for_all(ctl, daemon):
    daemon.answers["GET /api/usage?all=true"] = answered(BY_KEY)
    said = ctl("usage", "--by-key")
    assert said.code == 0
    assert said.out == (
        f"Usage by Key\n{RULE}\n"
        "  Key                  Reqs   OK  Err  Avg Time  Last Request\n"
        "  wife-laptop             5    4    1      8.0s  2026-11-21 10:00:00\n"
        "  anonymous               3    3    0      0.0s  -\n"
    )


def test_since_is_by_key_and_in_utc(ctl, daemon):
    route = "GET /api/usage?all=true&since=2026-11-20%2010%3A00%3A00"
    daemon.answers[route] = answered({"byKey": []})
    said = ctl("usage", "--since", "2026-11-20T10:00Z")
    assert said.code == 0
    assert said.out.endswith("  No usage in that time.\n")
    assert ctl("usage", "--since", "whenever").code == 2
