"""Promise: /health answers at once, in the shape that clients read, whatever is wrong."""

import os
import re
from typing import Any, cast

import msgspec
import pytest

from ocpd.aio import Nursery, steady_clock
from ocpd.api import health as room
from ocpd.api.health import RECENT_SHOWN, Health, Place, Sources
from ocpd.claude.version import judge_version
from ocpd.claude.wire import OfferedModel
from ocpd.dispatch.guard import GuardState, Stopped
from ocpd.errors import Refused, Upstream
from ocpd.http.message import Headers, Request
from ocpd.pool import login as login_room
from ocpd.pool.login import Login
from ocpd.pool.pool import Pool, PoolStatistics
from ocpd.pool.probe import Cli, LoginAnswer, Probe, Ran
from ocpd.settings.doors import read_doors
from ocpd.settings.values import Settings
from ocpd.store.records import KeyRecord
from ocpd.turn.outcome import TurnState
from ocpd.turn.servers import make_registry, parse_servers
from tests.unit.api.stage import MODELS, Link, Ring, answer, make_doorkeeper, make_exchange
from tests.unit.claude.stage import ask
from tests.unit.dispatch.stage import Scene
from tests.unit.http.stage import run

SERVERS = parse_servers(
    b'{"mcpServers": {"base": {"command": "/x", "env": {"KEY": "hush"}, "args": ["hush"]}}}'
)


ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
GUARDED = GuardState(
    mode="stop",
    plan_only=True,
    overage_until=None,
    stopped=(Stopped("batch", "five_hour", 61, "2026-11-21T15:00:00Z"),),
)

HOLDER = KeyRecord(1, "laptop", "ocp_...", 1.0, None, None, None, "", None, "user")
RING = Ring({"ocp_right": HOLDER}, admin="the admin key")


class ToldProbe:
    """A probe that found what it is told."""

    sign_in = "claude auth login"

    def __init__(self, version: str | None = "2.1.330") -> None:
        self.latest = None
        if version is not None:
            self.latest = Cli("/usr/bin/claude", judge_version(version), (1,))
        self.looks = 0
        self.logged_in = False
        self.asked = 0

    async def look(self) -> Cli | None:
        self.looks += 1
        return self.latest

    async def ask_login(self, _within_s: float) -> tuple[Ran, LoginAnswer]:
        self.asked += 1
        return Ran(0 if self.logged_in else 1, b""), LoginAnswer(loggedIn=self.logged_in)


class ToldPool:
    """A pool with nothing in it that knows what the CLI offers."""

    def __init__(self, *offered: tuple[str, str]) -> None:
        self.offered = tuple(OfferedModel(*pair) for pair in offered)

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(
            parked={"m": 1},
            resting=2,
            leased=3,
            retiring=4,
            waiting=5,
            memory_mb=6,
            spawned=7,
            sources={"spare": 8},
            misses={"unknown": 9},
            rebuilt_messages=10,
            failures_in_a_row=0,
        )


class House:
    """Everything that a report is made of."""

    def __init__(
        self,
        probe: ToldProbe | None = None,
        pool: ToldPool | None = None,
        settings: Settings | None = None,
        *,
        demo: bool = False,
    ) -> None:
        self.scene = Scene()
        self.probe = probe or ToldProbe()
        self.login = Login(cast("Probe", self.probe), has_token=False, timeout_s=1)
        self.chores = Nursery("chores")
        sources = Sources(
            lambda: settings or Settings(),
            lambda: read_doors(settings or Settings()),
            make_doorkeeper(RING, **msgspec.structs.asdict(settings or Settings())).sees_all,
            cast("Probe", self.probe),
            self.login,
            cast("Pool", pool or ToldPool()),
            self.scene.admission,
            self.scene.ledger,
            lambda: MODELS,
            lambda: make_registry(SERVERS, None),
            lambda: GUARDED,
            Place("/var/lib/ocpd", "/etc/ocpd/ocpd.toml"),
            lambda: ("http://127.0.0.1:3456",),
            lambda: (),
        )
        self.health = Health(sources, version="1.2.3", demo=demo, nursery=self.chores)

    def told(self) -> dict[str, Any]:
        return msgspec.json.decode(msgspec.json.encode(self.health.report()), type=dict[str, Any])


def test_a_demo_does_not_say_that_somebody_is_signed_in() -> None:
    told = House(demo=True).told()
    assert told["demo"]
    assert "nobody is signed in" in told["auth"]["message"]


def test_the_report_has_the_names_that_clients_read() -> None:
    told = House().told()
    assert (told["status"], told["version"], told["authMode"]) == ("ok", "1.2.3", "none")
    assert told["anonymousKey"] is None
    assert told["uptime"] >= 0
    assert told["uptimeHuman"] == "0h 0m"
    assert told["claudeBinary"] == "/usr/bin/claude"
    assert told["config"]["firstByteTimeout"] == 90_000
    assert told["stats"].keys() >= {"totalRequests", "activeRequests", "errors", "timeouts"}
    assert told["processes"]["parked"] == {"m": 1}


def test_who_asks_may_tell_the_process_and_where_it_keeps_its_files() -> None:
    told = House().told()
    assert told["pid"] == os.getpid()
    assert told["place"] == {
        "stateDirectory": "/var/lib/ocpd",
        "configFile": "/etc/ocpd/ocpd.toml",
    }


def test_whom_the_plan_guard_stops_is_told() -> None:
    assert House().told()["planGuard"] == {
        "mode": "stop",
        "planOnly": True,
        "overageUntil": None,
        "stopped": [
            {
                "role": "batch",
                "window": "five_hour",
                "percent": 61,
                "until": "2026-11-21T15:00:00Z",
            }
        ],
    }


@pytest.mark.parametrize(
    ("settings", "tools"),
    [
        (Settings(), []),
        (Settings(allowed_tools="Read,Bash"), ["Bash", "Read"]),
        (Settings(allowed_tools="Read", skip_permissions=True), ["Read"]),
        (Settings(skip_permissions=True), ["all"]),
    ],
)
def test_what_models_may_run_here_is_named_and_never_shown(
    settings: Settings, tools: list[str]
) -> None:
    told = House(settings=settings).told()
    config = told["config"]
    assert (config["allowedTools"], config["mcpServers"]) == (tools, ["base"])
    assert config["skipPermissions"] is settings.skip_permissions
    assert "hush" not in repr(told)


@pytest.mark.parametrize(
    ("version", "status", "ok", "key"),
    [
        ("2.1.330", "ok", True, None),
        ("9.9.9", "ok", True, "warning"),
        ("2.1.0", "degraded", False, "problem"),
        ("banana", "degraded", False, "problem"),
        (None, "degraded", False, "problem"),
    ],
)
def test_the_cli_decides_whether_anything_can_be_served(
    version: str | None, status: str, ok: bool, key: str | None
) -> None:
    told = House(ToldProbe(version)).told()
    assert (told["status"], told["claude"]["ok"], told["claudeBinaryOk"]) == (status, ok, ok)
    for name in ("problem", "warning"):
        assert bool(told["claude"][name]) is (name == key)


def test_one_refused_login_is_no_outage_and_two_are() -> None:
    house = House()
    run(house.login.check())
    assert house.told()["status"] == "ok"
    run(house.login.check())
    told = house.told()
    assert (told["status"], told["auth"]["consecutiveFailures"]) == ("degraded", 2)
    assert told["auth"]["lastCheck"] > 1_700_000_000_000


def test_turns_are_counted_and_the_newest_failures_told() -> None:
    house = House()
    for at in range(RECENT_SHOWN + 3):
        outcome = house.scene.ledger.open(ask(), "test")
        error = Upstream(f"failure {at} " + "x" * 500)
        house.scene.ledger.close(outcome, TurnState.REFUSED, error)
    told = house.told()
    assert told["stats"]["errors"] == told["stats"]["totalRequests"] == RECENT_SHOWN + 3
    assert [error["message"][:9] for error in told["recentErrors"]] == [
        f"failure {at}" for at in range(3, RECENT_SHOWN + 3)
    ]
    assert all(len(error["message"]) <= 200 for error in told["recentErrors"])
    assert all(ISO.fullmatch(error["time"]) for error in told["recentErrors"])


def test_what_the_cli_offers_is_shown_with_what_is_not_listed() -> None:
    assert House().told()["models"] == {"cliModels": None, "warnings": []}
    pool = ToldPool(("sonnet", "claude-sonnet-5-5"), ("new", "claude-brand-new"))
    models = House(pool=pool).told()["models"]
    assert models["cliModels"] == ["claude-sonnet-5-5", "claude-brand-new"]
    assert any("claude-brand-new" in warning for warning in models["warnings"])


def test_asking_looks_for_the_cli_anew() -> None:
    house = House()
    link = run(answer(house.health.show))
    assert link.status == 200
    assert house.probe.looks == 1
    assert house.probe.asked == 0


def test_asking_looks_at_the_login_again_while_nobody_is_signed_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(login_room, "HURRIED_S", -1.0)
    house = House()

    async def main() -> None:
        await house.login.check()
        house.probe.logged_in = True
        before = await answer(house.health.show)
        await house.chores.wait_idle()
        after = await answer(house.health.show)
        assert before.json["auth"]["ok"] is False
        assert after.json["auth"]["ok"] is True
        assert house.probe.asked == 2

    run(main())


def test_uptime_is_told_for_people_too(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    now = steady_clock()
    monkeypatch.setattr(room, "steady_clock", lambda: now + 3 * 3600 + 125)
    assert house.told()["uptimeHuman"] == "3h 2m"


# What everybody sees.


def show(house: House, peer: str = "192.0.2.9", **headers: str) -> Link:
    told = {"host": "192.0.2.2"} | {n.replace("_", "-"): v for n, v in headers.items()}
    fields = [(name.encode(), value.encode()) for name, value in told.items()]
    request = Request("GET", "/health", "/health", "", Headers(fields), "1.1", peer)
    link = Link()

    async def main() -> None:
        exchange = make_exchange(link)
        exchange.request = request
        await house.health.show(exchange)

    run(main())
    return link


PUBLIC = {"status", "version", "authMode", "uptime", "anonymousKey"}


@pytest.mark.parametrize(
    ("headers", "sees_all"),
    [
        ({}, False),
        ({"authorization": "Bearer wrong"}, False),
        ({"authorization": "Bearer everybody"}, False),
        ({"authorization": "Bearer ocp_right"}, True),
        ({"x_api_key": "the admin key"}, True),
        ({"host": "evil.example", "authorization": "Bearer ocp_right"}, True),
    ],
)
def test_without_a_key_others_see_what_is_for_everybody(
    headers: dict[str, str], sees_all: bool
) -> None:
    house = House(settings=Settings(bind="::", auth_mode="multi", anonymous_key="everybody"))
    link = show(house, **headers)
    assert link.status == 200
    assert (set(link.json) == PUBLIC) is not sees_all
    assert link.json["anonymousKey"] is None
    assert link.json["authMode"] == "multi"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "everybody"),
        ({"advertise_anonymous_key": False}, None),
        ({"anonymous_key": ""}, None),
        ({"auth_mode": "none"}, None),
        ({"auth_mode": "shared", "shared_keys": "x"}, None),
    ],
)
def test_the_anonymous_key_is_told_if_the_operator_says_so_and_it_is_good_for_something(
    changes: dict[str, Any], told: str | None
) -> None:
    settings = Settings(
        auth_mode="multi", bind="::", anonymous_key="everybody", advertise_anonymous_key=True
    )
    house = House(settings=msgspec.structs.replace(settings, **changes))
    assert show(house).json["anonymousKey"] == told
    assert house.told()["anonymousKey"] == told


def test_a_foreign_page_sees_nothing() -> None:
    with pytest.raises(Refused):
        show(House(), "127.0.0.1", host="localhost", origin="https://evil.example")


def test_an_open_door_is_warned_of() -> None:
    (warning,) = House(settings=Settings(bind="0.0.0.0")).told()["warnings"]
    assert "authMode" in warning
    assert House().told()["warnings"] == []
