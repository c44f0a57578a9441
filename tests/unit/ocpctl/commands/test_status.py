"""``ocpctl status`` and ``ocpctl health``."""

import json  # noqa: TID251 - what programs read

from tests.unit.ocpctl.fake_daemon import answered

STATUS = {
    "proxy": {
        "status": "ok",
        "version": "0.1.0",
        "uptime": 23520000,
        "uptimeHuman": "6h 32m",
        "auth": "ok",
        "activeSessions": 0,
    },
    "requests": {"total": 23, "active": 1, "errors": 0, "timeouts": 2},
    "plan": {
        "currentSession": {"utilization": 0.21, "percent": "21%", "resetsIn": "3h 12m"},
        "weeklyLimits": {"allModels": {"utilization": None, "percent": "?"}},
    },
    "recentErrors": [{"time": "2026-11-21T11:00:00.123Z", "message": "the CLI\nended"}],
}

HEALTH = {
    "status": "degraded",
    "version": "0.1.0",
    "uptime": 2220000,
    "uptimeHuman": "0h 37m",
    "authMode": "none",
    "claudeBinary": "/opt/claude",
    "claude": {
        "path": "/opt/claude",
        "version": "2.1.9",
        "ok": False,
        "problem": "too old",
        "warning": "",
    },
    "auth": {"ok": None, "message": ""},
    "stats": {"totalRequests": 5, "activeRequests": 0, "errors": 1, "timeouts": 0, "queued": 0},
    "concurrency": {"maxConcurrent": 8, "inflight": 2, "queued": 1, "queueRejections": 0},
    "processes": {"parked": 1, "leased": 2, "by_model": {}},
    "models": {"warnings": ["the CLI also offers x"]},
    "recentErrors": [{"time": "2026-11-21T11:00:00Z", "message": "m"}],
}


def test_whom_the_plan_guard_stops_is_a_line_of_both(ctl, daemon):
    stopped = {"role": "batch", "window": "five_hour", "percent": 61, "until": "15:00"}
    guard = {"mode": "stop", "planOnly": True, "overageUntil": None, "stopped": [stopped]}
    daemon.answers["GET /status"] = answered(STATUS | {"planGuard": guard})
    told = "Plan guard  stop, batch stopped until 15:00 (five_hour 61%)"
    assert told in " ".join(ctl("status").out.splitlines())
    guard |= {"stopped": [], "overageUntil": "15:00"}
    daemon.answers["GET /health"] = answered(HEALTH | {"planGuard": guard})
    assert "stop, all stopped until 15:00 (the plan is used up)" in ctl("health").out
    guard["planOnly"] = False
    daemon.answers["GET /health"] = answered(HEALTH | {"planGuard": guard})
    assert "stop, charged beyond the plan until 15:00" in ctl("health").out


def test_an_open_door_is_said_by_status(ctl, daemon):
    daemon.answers["GET /status"] = answered(STATUS | {"warnings": ["authMode is none"]})
    assert "Caution: authMode is none" in ctl("status").out


def test_status_is_a_few_lines(ctl, daemon):
    daemon.answers["GET /status"] = answered(STATUS)
    said = ctl("status")
    assert said.code == 0
    assert said.out == (
        "ocpd      0.1.0  ok  up 6h 32m\n"
        "Login     ok\n"
        "Requests  23 total, 1 active, 0 errors, 2 timeouts\n"
        "Plan      session 21% used, resets in 3h 12m, week unknown\n"
        "Sessions  0\n"
        "Recent errors:\n"
        "  2026-11-21T11:00:00  the CLI ended\n"
    )


def test_a_daemon_that_is_not_well_is_exit_code_5(ctl, daemon):
    ill = STATUS | {"proxy": STATUS["proxy"] | {"status": "degraded", "auth": "not signed in"}}
    daemon.answers["GET /status"] = answered(ill)
    assert ctl("status").code == 5
    assert ctl("status", "--json").code == 5
    daemon.answers["GET /health"] = answered(HEALTH)
    assert ctl("health").code == 5


def test_a_plan_may_be_an_error_text_or_nothing(ctl, daemon):
    daemon.answers["GET /status"] = answered(STATUS | {"plan": "not known"})
    assert "Plan      not known\n" in ctl("status").out
    daemon.answers["GET /status"] = answered(STATUS | {"plan": None})
    assert "Plan" not in ctl("status").out


def test_health_tells_what_runs_and_what_is_wrong(ctl, daemon):
    daemon.answers["GET /health"] = answered(HEALTH)
    said = ctl("health")
    lines = said.out.splitlines()
    assert lines[:7] == [
        "ocpd        0.1.0  degraded  up 0h 37m",
        "Claude CLI  /opt/claude 2.1.9: too old",
        "Login       not known yet",
        "Callers     auth mode none",
        "Requests    5 total requests, 0 active requests, 1 errors, 0 timeouts",
        "Turns       2 of 8 running, 1 waiting, 0 turned away",
        "Processes   1 parked, 2 leased",
    ]
    assert "Note: the CLI also offers x" in lines
    assert lines[-1].endswith("  m")


def test_health_tells_what_models_may_run_here(ctl, daemon):
    config = {"allowedTools": ["Bash", "Read"], "skipPermissions": False, "mcpServers": ["files"]}
    daemon.answers["GET /health"] = answered(HEALTH | {"config": config})
    assert "\nTools here  Bash, Read, MCP server files\n" in ctl("health").out
    config |= {"allowedTools": ["all"], "skipPermissions": True, "mcpServers": []}
    daemon.answers["GET /health"] = answered(HEALTH | {"config": config})
    assert "\nTools here  all, without any check\n" in ctl("health").out


def test_json_is_the_daemons_own(ctl, daemon):
    daemon.answers["GET /status"] = answered(STATUS)
    assert json.loads(ctl("status", "--json").out) == STATUS
    daemon.answers["GET /health"] = answered(HEALTH)
    assert json.loads(ctl("--json", "health").out) == HEALTH


def test_a_strange_answer_is_no_traceback(ctl, daemon):
    daemon.answers["GET /status"] = answered([])
    daemon.answers["GET /health"] = answered({"auth": [], "recentErrors": {}})
    assert ctl("status").code == 5
    assert ctl("health").code == 5
