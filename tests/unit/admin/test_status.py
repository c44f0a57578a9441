"""Status and usage: the shapes that clients of OCP read, whatever is known."""

from ocpd.dispatch.guard import GuardState, Stopped
from tests.unit.admin.stage import Counts, Fault, House, Verdict, open_house, row
from tests.unit.http.stage import run

NOW = 1_795_000_000.0
AT = "2026-11-21T11:00:00Z"


def in_house(tmp_path, play, **options):
    async def main() -> None:
        async with open_house(tmp_path, **options) as house:
            await play(house)

    run(main())


def test_status_has_the_keys_of_old(tmp_path):
    async def play(house: House) -> None:
        house.report.recent_errors = [Fault(AT, f"fault {n}") for n in range(5)]
        told = (await house.unix("GET", "/status")).json
        assert told["proxy"] == {
            "status": "ok",
            "version": "0.1.0",
            "urls": ["http://127.0.0.1:3456"],
            "uptime": "6h 32m",
            "uptimeHuman": "6h 32m",
            "uptimeMs": 23_520_000,
            "auth": "ok",
            "activeSessions": 0,
        }
        assert told["requests"] == {"total": 7, "active": 1, "errors": 2, "timeouts": 1}
        assert [fault["message"] for fault in told["recentErrors"]] == [
            "fault 2",
            "fault 3",
            "fault 4",
        ]
        assert told["recentErrors"][0]["time"] == AT
        assert told["store"] == {
            "queued": 0,
            "lostRows": 0,
            "lastError": None,
            "movedAside": None,
        }

    in_house(tmp_path, play)


def test_status_tells_whom_the_plan_guard_stops_and_what_is_warned_of(tmp_path):
    async def play(house: House) -> None:
        stopped = Stopped("batch", "seven_day", 63, "2026-11-24T00:00:00Z")
        house.report.plan_guard = GuardState("stop", False, "2026-11-21T15:00:00Z", (stopped,))
        house.report.warnings = ["authMode is none"]
        told = (await house.unix("GET", "/status")).json
        assert told["planGuard"] == {
            "mode": "stop",
            "planOnly": False,
            "overageUntil": "2026-11-21T15:00:00Z",
            "stopped": [
                {
                    "role": "batch",
                    "window": "seven_day",
                    "percent": 63,
                    "until": "2026-11-24T00:00:00Z",
                }
            ],
        }
        assert told["warnings"] == ["authMode is none"]

    in_house(tmp_path, play)


def test_a_login_that_is_not_known_to_work_is_told_in_words(tmp_path):
    async def play(house: House) -> None:
        for ok in (False, None):
            house.report.auth = Verdict(ok, "not signed in; run: claude auth login")
            told = (await house.unix("GET", "/status")).json
            assert told["proxy"]["auth"] == "not signed in; run: claude auth login"

    in_house(tmp_path, play)


def test_who_looks_at_a_stale_plan_has_it_asked_for(tmp_path):
    async def play(house: House) -> None:
        told = (await house.unix("GET", "/usage")).json
        assert (told["status"], told["stale"], told["fetchedAt"]) == ("unknown", True, None)
        assert house.looks == 1
        house.store.plan.note("five_hour", 0.2, NOW + 3600, "allowed", NOW)
        await house.unix("GET", "/status")
        assert house.looks == 2

    in_house(tmp_path, play)


def test_models_are_counted_since_the_start(tmp_path):
    async def play(house: House) -> None:
        for status, prompt in (("finished", 400), ("finished", 200), ("failed", 900)):
            house.store.usage.record(row(NOW, status=status, prompt_chars=prompt))
        await house.store.flush()
        told = (await house.unix("GET", "/usage")).json
        counts = told["models"]["claude-sonnet-5"]
        assert (counts["requests"], counts["successes"], counts["errors"]) == (3, 2, 1)
        assert counts["avgElapsed"] == 2_000
        assert counts["maxPromptChars"] >= 400
        assert told["proxy"] == {
            "totalRequests": Counts().total_requests,
            "activeRequests": 1,
            "errors": 2,
            "timeouts": 1,
            "uptime": "6h 32m",
        }

    in_house(tmp_path, play)
