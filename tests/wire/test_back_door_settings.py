"""Settings, changed while the daemon runs: applied at once, all or none, kept over a restart."""

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.kit.fake_script import make_fake_cli
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator, ask_unix
from tests.wire.process import Ocpd, environ_of
from tests.wire.stage import Stage, fetch, open_stage, quick


@pytest.fixture
def stage(upstream: Upstream, tmp_path: Path) -> Iterator[Stage]:
    cli = make_fake_cli(tmp_path / "bin")
    with open_stage(upstream, tmp_path / "home", cli) as running:
        yield running


@pytest.fixture
def operator(stage: Stage, tmp_path: Path) -> Operator:
    return Operator(stage.daemon.socket, tmp_path)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a daemon that is a process of its own."""
    return environ_of(tmp_path / "home", make_fake_cli(tmp_path / "bin"))


def patch(stage: Stage, **changes: object) -> tuple[int, dict[str, object]]:
    page = ask_unix(stage.daemon.socket, "PATCH", "/settings", msgspec.json.encode(changes))
    return page.status, page.json()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Applied at once.


def test_a_change_is_applied_at_once(stage: Stage, operator: Operator) -> None:
    assert stage.get("/health").json()["concurrency"]["maxConcurrent"] != 3
    assert "maxConcurrent = 3" in operator.does("settings", "maxConcurrent", "3")
    assert stage.get("/health").json()["concurrency"]["maxConcurrent"] == 3
    assert operator.does("settings", "maxConcurrent") == "maxConcurrent = 3\n"
    assert stage.get("/settings").json()["maxConcurrent"]["value"] == 3


def test_a_body_limit_counts_for_the_next_request(stage: Stage, operator: Operator) -> None:
    operator.does("settings", "maxBodyBytes", "65536")
    assert stage.post("x" * 70_000).status == 413
    operator.does("settings", "--reset", "maxBodyBytes")
    assert stage.post("x" * 70_000).status == 200


def test_another_port_is_opened_and_the_old_one_closed(stage: Stage, operator: Operator) -> None:
    old, new = stage.daemon.port, free_port()
    operator.does("settings", "port", str(new))
    assert stage.daemon.call(lambda: stage.daemon.daemon.address) == ("127.0.0.1", new)
    assert not is_open(old)
    assert fetch(new, "GET", "/health").status == 200
    assert fetch(new, "GET", "/health").status == 200
    assert operator.told("settings", "port")["value"] == new


def test_a_port_that_is_taken_is_refused_and_nothing_changes(
    stage: Stage, operator: Operator
) -> None:
    old = stage.daemon.port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = operator.fails("settings", "port", str(port))
        assert f"127.0.0.1:{port}" in said
        status, body = patch(stage, port=port, maxConcurrent=2)
        assert status == 400
        assert body["results"].keys() == {"port"}  # type: ignore[attr-defined]
    assert stage.daemon.port == old
    assert stage.get("/health").json()["concurrency"]["maxConcurrent"] != 2
    # Not in the store either: the next start would not come up.
    told = operator.told("settings", "--explain", "port")
    assert not any("run time" in source["origin"] for source in told["sources"])


def test_all_or_nothing(stage: Stage, operator: Operator) -> None:
    status, body = patch(stage, maxConcurrent=2, timeout=1, nonsense=1)
    assert status == 400
    assert set(body["results"]) == {"timeout", "nonsense"}  # type: ignore[call-overload]
    assert stage.get("/health").json()["concurrency"]["maxConcurrent"] != 2
    for argv in (("maxConcurrent", "0"), ("maxConcurrent", "many"), ("nonsense", "1")):
        assert argv[0] in operator.fails("settings", *argv)
    assert "nonsense" in operator.fails("settings", "nonsense")
    assert operator.audit() == []


def test_a_change_can_be_explained_and_taken_back(stage: Stage, operator: Operator) -> None:
    before = operator.told("settings", "maxQueue")["value"]
    operator.does("settings", "maxQueue", "7")
    told = operator.told("settings", "--explain", "maxQueue")
    assert (told["value"], told["sources"][0]["wins"]) == (7, True)
    assert "run time" in told["origin"]
    assert [s["origin"] for s in told["sources"]][-1] == "default"
    assert "in force" in operator.does("settings", "maxQueue", "--explain")
    operator.does("settings", "--reset", "maxQueue")
    assert operator.told("settings", "maxQueue")["value"] == before
    assert [entry["action"] for entry in operator.audit()] == ["settings.change", "settings.reset"]


def test_a_change_that_the_daemon_cannot_follow_changes_nothing(
    stage: Stage, operator: Operator, tmp_path: Path
) -> None:
    """Children could not be started with a token that others may read."""
    token = tmp_path / "home/state/token"
    token.write_text("sk-ant-oat01-of-somebody\n")
    token.chmod(0o644)
    assert f"chmod 600 {token}" in operator.fails("settings", "cliMaxRetries", "3")
    assert operator.told("settings", "cliMaxRetries")["value"] == 1
    token.unlink()
    operator.does("settings", "cliMaxRetries", "3")


# Where a value comes from.


def test_the_command_line_wins_and_says_so(environ: dict[str, str], tmp_path: Path) -> None:
    with Ocpd(environ, ["--max-concurrent", "5"]) as ocpd:
        assert ocpd.port
        operator = Operator(environ["OCPD_SOCKET"], tmp_path)
        said = operator.fails("settings", "maxConcurrent", "4")
        assert "the command line fixes it (--max-concurrent)" in said
        assert "command line" in operator.fails("settings", "--reset", "maxConcurrent")
        page = ask_unix(environ["OCPD_SOCKET"], "PATCH", "/settings", b'{"maxConcurrent":4}')
        assert page.status == 409
        assert ocpd.get("/health").json()["concurrency"]["maxConcurrent"] == 5


def test_the_store_beats_the_environment_beats_the_file_over_a_restart(
    environ: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "ocpd.toml"
    config.write_text("maxConcurrent = 2\nmaxQueue = 9\n")
    environ |= {"OCPD_CONFIG": str(config), "CLAUDE_MAX_CONCURRENT": "3"}
    operator = Operator(environ["OCPD_SOCKET"], tmp_path)
    with Ocpd(environ) as ocpd:
        assert ocpd.get("/health").json()["concurrency"]["maxConcurrent"] == 3
        operator.does("settings", "maxConcurrent", "4")
        assert operator.told("settings", "maxQueue")["value"] == 9
    with Ocpd(environ) as ocpd:
        assert ocpd.get("/health").json()["concurrency"]["maxConcurrent"] == 4
        # Whoever looks for why the variable does nothing finds it in the log.
        note = ocpd.wait_logged("setting_has_no_effect")["note"]
        assert "CLAUDE_MAX_CONCURRENT" in note
        assert "changed at run time" in note
        told = operator.told("settings", "--explain", "maxConcurrent")
        assert [(s["value"], s["wins"]) for s in told["sources"]][:3] == [
            (4, True),
            ("3", False),
            (2, False),
        ]
        operator.does("settings", "--reset", "maxConcurrent")
        assert ocpd.get("/health").json()["concurrency"]["maxConcurrent"] == 3


def test_a_stored_setting_that_does_not_fit_any_more_stops_neither_start_nor_changes(
    environ: dict[str, str], tmp_path: Path
) -> None:
    overlay = tmp_path / "models.json"
    overlay.write_text('{"version": 1, "aliases": {"house": "claude-opus-5-5"}}')
    environ["OCPD_MODELS_FILE"] = str(overlay)
    operator = Operator(environ["OCPD_SOCKET"], tmp_path)
    with Ocpd(environ) as ocpd:
        assert ocpd.port
        operator.does("settings", "defaultModel", "house")
        operator.does("settings", "maxQueue", "7")
    overlay.write_text('{"version": 1}')
    with Ocpd(environ) as ocpd:
        assert ocpd.port
        left_out = ocpd.wait_logged("stored_setting_left_out")
        assert left_out["setting"] == "defaultModel"
        assert operator.told("settings", "defaultModel")["value"] == "sonnet"
        assert operator.told("settings", "maxQueue")["value"] == 7
        told = operator.told("settings", "--explain", "defaultModel")
        assert told["sources"][0] == {"origin": "default", "value": "sonnet", "wins": True}
        # What he left out must not be held against what is asked now.
        operator.does("settings", "maxConcurrent", "4")
        operator.does("reload")
        operator.does("settings", "--reset", "defaultModel")
    with Ocpd(environ) as ocpd:
        assert ocpd.get("/health").json()["concurrency"]["maxConcurrent"] == 4
        assert quick().default_model == operator.told("settings", "defaultModel")["value"]
