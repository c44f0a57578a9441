"""The store behind a real daemon: backup and restore, a takeover of OCP, the plan over a restart,
what a locked file costs, and what survives a kill."""

import contextlib
import signal
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpd.aio import wall_clock
from tests.kit.fake_script import make_fake_cli
from tests.kit.script import PlanHeaders
from tests.kit.upstream import Upstream
from tests.unit.store.test_ocp_import import Ocp
from tests.wire.operator import Operator, ask_unix, ask_with, bearer, names_of
from tests.wire.process import Ocpd, environ_of
from tests.wire.stage import Stage, body_of, fetch, in_background, open_stage


@pytest.fixture
def stage(upstream: Upstream, tmp_path: Path) -> Iterator[Stage]:
    cli = make_fake_cli(tmp_path / "bin")
    with open_stage(upstream, tmp_path / "home", cli) as running:
        yield running


@pytest.fixture
def operator(stage: Stage, tmp_path: Path) -> Operator:
    return Operator(stage.daemon.socket, tmp_path)


# Backup and restore.


def test_a_backup_is_taken_while_turns_run_and_brings_everything_back(
    stage: Stage, operator: Operator, tmp_path: Path
) -> None:
    kept = operator.add_key("kept")
    operator.does("quota", "kept", "daily=50")
    operator.does("settings", "maxConcurrent", "3")
    assert ask_with(stage.daemon.port, kept).status == 200
    file = tmp_path / "copy.db"
    with in_background() as callers:
        turns = [callers.submit(ask_with, stage.daemon.port, kept) for _ in range(6)]
        operator.does("backup", str(file))
        assert {turn.result().status for turn in turns} == {200}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(file)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        # Only hashes: whoever finds the copy has no key.
        assert kept not in "\n".join(copy.iterdump())
    later = operator.add_key("later")
    operator.does("keys", "revoke", "kept")
    operator.does("settings", "maxConcurrent", "5")
    operator.does("restore", "--yes", str(file))
    assert names_of(operator.told("keys")["keys"]) == ["kept"]
    assert operator.told("quota", "kept")["daily"]["limit"] == 50
    # All of it counts at once.
    assert stage.get("/health").json()["concurrency"]["maxConcurrent"] == 3
    scopes = [
        fetch(stage.daemon.port, "GET", "/api/usage", headers=bearer(key)).json()["scope"]
        for key in (kept, later)
    ]
    assert scopes == [{"self": "kept", "all": False}, {"self": None, "all": True}]
    assert [entry["action"] for entry in operator.audit()][-1] == "store.restore"


def test_what_is_no_backup_changes_nothing(operator: Operator, tmp_path: Path) -> None:
    operator.add_key("kept")
    file = tmp_path / "file"
    for content in (b"", b"not a database", b"SQLite format 3\0" + b"x" * 5000):
        file.write_bytes(content)
        operator.fails("restore", "--yes", str(file))
    operator.fails("restore", "--yes", str(tmp_path / "nowhere"))
    assert "exists" in operator.fails("backup", str(file))
    assert names_of(operator.told("keys")["keys"]) == ["kept"]


# An OCP installation that is taken over.


@pytest.fixture
def ocp(operator: Operator) -> Iterator[Ocp]:
    """A running one in the operator's home, with rows that are in its -wal only."""
    home = Path(operator.environ["HOME"])
    made = Ocp(home / ".ocp")
    (home / ".ocp/admin-key").write_text("admin-of-old\n")
    (home / ".ocp/admin-key").chmod(0o600)
    unit = home / ".config/systemd/user/ocp-proxy.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nEnvironment=CLAUDE_MAX_CONCURRENT=6\nEnvironment=HOME=/x\n")
    yield made
    made.connection.close()


def test_clients_of_old_keep_their_keys(stage: Stage, operator: Operator, ocp: Ocp) -> None:
    laptop = ocp.add_key("laptop", quota_daily=5)
    gone = ocp.add_key("gone", revoked=1)
    clash = ocp.add_key("taken")
    reserved = ocp.add_key("local")
    ocp.add_usage(1, "laptop")
    operator.add_key("taken")

    told = operator.told("import-ocp", "--dry-run")
    assert (told["dry_run"], len(told["keys"]), told["usage"]) == (True, 4, 1)
    assert names_of(operator.told("keys")["keys"]) == ["taken"]
    assert stage.get("/health").json()["concurrency"]["maxConcurrent"] == 8

    told = operator.told("import-ocp")
    states = {key["name"]: (key["as"], key["state"]) for key in told["keys"]}
    assert states["laptop"] == ("laptop", "new")
    assert states["gone"] == ("gone", "revoked")
    assert states["taken"][0] != "taken"
    assert states["local"][0] != "local"
    assert {states["taken"][1], states["local"][1]} == {"renamed"}
    for secret, name in ((laptop, "laptop"), (clash, states["taken"][0])):
        page = fetch(stage.daemon.port, "GET", "/api/usage", headers=bearer(secret))
        assert page.json()["scope"]["self"] == name
    assert fetch(stage.daemon.port, "GET", "/api/usage", headers=bearer(gone)).json()["scope"][
        "all"
    ]
    assert ask_with(stage.daemon.port, laptop).status == 200
    assert ask_with(stage.daemon.port, reserved).status == 200
    assert operator.told("quota", "laptop")["daily"]["limit"] == 5
    assert stage.get("/health").json()["concurrency"]["maxConcurrent"] == 6
    page = fetch(stage.daemon.port, "POST", "/api/keys", b"{}", bearer("admin-of-old"))
    assert page.status == 201

    before = operator.told("keys")
    again = operator.told("import-ocp")
    assert {key["state"] for key in again["keys"]} == {"present"}
    assert (again["usage"], again["settings"]) == (0, {})
    assert operator.told("keys")["keys"] == before["keys"]


def test_a_foreign_or_broken_database_imports_nothing(operator: Operator, ocp: Ocp) -> None:
    ocp.add_key("laptop")
    foreign = Path(operator.environ["HOME"]) / "foreign.db"
    with contextlib.closing(sqlite3.connect(foreign)) as other:
        other.execute("CREATE TABLE cats (name TEXT)")
    broken = foreign.with_name("broken.db")
    broken.write_bytes(ocp.path.read_bytes()[:3000])
    for path in (foreign, broken):
        assert operator.fails("import-ocp", str(path))
    assert operator.told("keys")["keys"] == []


# The plan.


def test_the_plan_is_told_by_turns_survives_a_restart_and_grows_stale(
    upstream: Upstream, real_cli: Path, tmp_path: Path
) -> None:
    resets_at = int(wall_clock()) + 3600
    upstream.show_plan(
        PlanHeaders(
            five_hour_utilization=0.25,
            five_hour_resets_at=resets_at,
            seven_day_utilization=0.5,
            seven_day_resets_at=resets_at + 86_400,
        )
    )
    home = tmp_path / "home"
    with open_stage(upstream, home, real_cli) as stage:
        before = stage.get("/usage").json()
        assert before["plan"]["currentSession"]["percent"] == "?"
        assert before["stale"] is True
        stage.ask("hello")
        stage.daemon.wait_quiet()
        told = stage.get("/usage").json()
        assert told["plan"]["currentSession"]["percent"] == "25%"
        assert told["plan"]["weeklyLimits"]["allModels"]["percent"] == "50%"
        assert (told["status"], told["stale"]) == ("allowed", False)
        assert "25%" in Operator(stage.daemon.socket, tmp_path).does("usage")
    with contextlib.closing(sqlite3.connect(home / "state/ocpd.db")) as file, file:
        # As if it had been off for an hour.
        file.execute(
            "UPDATE plan SET at_ms = at_ms - 3600000,"
            " utilization_at_ms = utilization_at_ms - 3600000"
        )
    with open_stage(upstream, home, real_cli) as stage:
        told = stage.get("/usage").json()
        assert told["plan"]["currentSession"]["percent"] == "25%"
        assert told["stale"] is True
        assert told["plan"]["currentSession"]["stale"] is True


# What a bad day costs.


def test_a_locked_file_loses_no_answer(stage: Stage, operator: Operator, tmp_path: Path) -> None:
    secret = operator.add_key("editor")
    path = tmp_path / "home/state/ocpd.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            assert ask_with(stage.daemon.port, secret).status == 200
        assert stage.post("hello", stream=True).status == 200
        assert stage.get("/status").status == 200
        assert operator.run("keys").returncode == 0
        other.execute("ROLLBACK")
    operator.does("keys", "add", "after")
    told = operator.told("usage", "--by-key")["byKey"]
    kept = sum(row["requests"] for row in told)
    lost = operator.told("status")["store"]["lostRows"]
    assert kept + lost == 4


def test_a_change_that_cannot_be_kept_is_taken_back(
    stage: Stage, operator: Operator, tmp_path: Path
) -> None:
    """Else the next start would come up under other settings than those that were told."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as another,
    ):
        old, new = one.getsockname()[1], another.getsockname()[1]
    operator.does("settings", "port", str(old))
    path = tmp_path / "home/state/ocpd.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "database" in operator.fails("settings", "port", str(new))
        other.execute("ROLLBACK")
    assert stage.daemon.port == old
    assert stage.get("/health").status == 200
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", new)) != 0


def count_turns(port: int, key: str) -> int:
    page = fetch(port, "GET", "/api/usage", headers=bearer(key))
    return sum(row["requests"] for row in page.json()["byKey"])


def test_a_killed_daemon_has_kept_all_that_it_acknowledged(tmp_path: Path) -> None:
    """200 writes through the doors: half keys over the socket, half turns over TCP."""
    environ = environ_of(tmp_path / "home", make_fake_cli(tmp_path / "bin"))
    operator = Operator(environ["OCPD_SOCKET"], tmp_path)
    promised: list[tuple[str, str]] = []
    enough = threading.Event()
    with Ocpd(environ) as ocpd:
        port = ocpd.port
        user = operator.add_key("user")

        def make_keys(worker: int) -> None:
            with contextlib.suppress(OSError, AssertionError):
                for number in range(50):
                    name = f"w{worker}-{number}"
                    body = b'{"name":"%s"}' % name.encode()
                    page = ask_unix(environ["OCPD_SOCKET"], "POST", "/api/keys", body)
                    if page.status == 201:
                        promised.append((name, page.json()["key"]))
                    if len(promised) > 60:
                        enough.set()

        def chat(worker: int) -> None:
            with contextlib.suppress(OSError, AssertionError):
                for _ in range(50):
                    fetch(port, "POST", "/v1/chat/completions", body_of("x"), bearer(user))

        with in_background() as callers:
            works = [callers.submit(make_keys, n) for n in range(2)]
            works += [callers.submit(chat, n) for n in range(2)]
            assert enough.wait(30)
            # What the book shows is acknowledged.
            counted = count_turns(port, user)
            ocpd.signal(signal.SIGKILL)
            for work in works:
                work.exception()
        ocpd.process.wait(10)
    path = tmp_path / "home/state/ocpd.db"
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with Ocpd(environ) as ocpd:
        assert ocpd.port
        assert {name for name, _ in promised} <= set(names_of(operator.told("keys")["keys"]))
        assert count_turns(ocpd.port, user) >= counted > 0
        for name, secret in promised[:: len(promised) // 5]:
            page = fetch(ocpd.port, "GET", "/api/usage", headers=bearer(secret))
            assert page.json()["scope"]["self"] == name
        operator.add_key("and-on-it-goes")
