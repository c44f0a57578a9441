"""/health says what runs, what is wrong and what to do; a missing or unsafe CLI stops no daemon."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from ocpd.pool import probe
from tests.kit.fake_script import Answer, Die, FakeScript, make_fake_cli
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage, quick


def health(stage: Stage) -> dict[str, Any]:
    page = stage.get("/health")
    assert page.status == 200
    return page.json()


def test_a_healthy_daemon_says_what_runs(open_fake: OpenStage) -> None:
    with open_fake() as stage:
        stage.ask("hello")
        stage.assert_at_rest()
        told = health(stage)
        assert (told["status"], told["authMode"], told["demo"]) == ("ok", "none", False)
        assert told["claude"]["ok"] is told["claudeBinaryOk"] is True
        assert told["claude"]["version"] == "2.1.330"
        assert told["claude"]["path"] == told["claudeBinary"]
        assert told["claude"]["problem"] == told["claude"]["warning"] == ""
        assert told["auth"]["ok"] is True
        assert told["stats"]["totalRequests"] == told["stats"]["attempts"] == 1
        assert told["concurrency"]["maxConcurrent"] == told["config"]["maxConcurrent"] == 8
        assert told["recentErrors"] == []


def test_failures_are_counted_and_the_last_are_told(open_fake: OpenStage) -> None:
    with open_fake(Die(after=1)) as stage:
        stage.refusal("hello")
        stage.assert_at_rest()
        told = health(stage)
        assert told["stats"]["errors"] == 1
        assert "ended before the answer did" in told["recentErrors"][0]["message"]


def test_the_clis_own_models_are_shown_once_it_told_them(open_fake: OpenStage) -> None:
    with open_fake() as stage:
        assert health(stage)["models"] == {"cliModels": None, "warnings": []}
        stage.ask("hello")
        stage.assert_at_rest()
        assert "claude-sonnet-5-5" in health(stage)["models"]["cliModels"]


@pytest.mark.real_cli
def test_the_real_cli_offers_nothing_that_is_not_listed(stage: Stage) -> None:
    stage.ask("hello")
    stage.assert_at_rest()
    models = health(stage)["models"]
    assert models["cliModels"]
    assert models["warnings"] == []


# Which CLI...


def refused_as_unusable(stage: Stage) -> str:
    error = stage.refusal("hello")
    assert isinstance(error, openai.InternalServerError)
    assert (error.status_code, error.type) == (503, "api_error")
    assert error.code == "claude_cli_unusable"
    return str(error)


def test_a_cli_below_the_floor_serves_nobody_and_everybody_is_told(open_fake: OpenStage) -> None:
    with open_fake(version="2.1.247", settings=quick(spares=1)) as stage:
        told = refused_as_unusable(stage)
        assert "2.1.247" in told
        assert "2.1.248" in told
        report = health(stage)
        assert report["status"] == "degraded"
        assert report["claude"]["ok"] is False
        assert report["claude"]["version"] == "2.1.247"
        assert "2.1.248" in report["claude"]["problem"]
        assert report["processes"]["spawned"] == 0


def test_a_cli_at_the_floor_serves(open_fake: OpenStage) -> None:
    with open_fake(version="2.1.248") as stage:
        assert stage.ask("hello").choices[0].message.content
        assert health(stage)["claude"]["warning"] == ""


@pytest.mark.parametrize("version", ["2.1.999", "2.2.0", "3.0.1"])
def test_a_cli_newer_than_the_newest_tested_is_a_warning(
    open_fake: OpenStage, version: str
) -> None:
    with open_fake(version=version) as stage:
        assert stage.ask("hello").choices[0].message.content
        report = health(stage)
        assert (report["status"], report["claude"]["ok"]) == ("ok", True)
        assert version in report["claude"]["warning"]


@pytest.mark.parametrize("version", ["banana", ""])
def test_a_cli_without_a_readable_version_serves_nobody(open_fake: OpenStage, version: str) -> None:
    with open_fake(version=version) as stage:
        assert "no version" in refused_as_unusable(stage)


def test_an_update_on_disk_is_used_by_the_next_request(
    open_fake: OpenStage, tmp_path: Path
) -> None:
    with open_fake(version="2.1.247") as stage:
        refused_as_unusable(stage)
        make_fake_cli(tmp_path / "bin", version="2.1.330")
        assert stage.ask("hello").choices[0].message.content
        assert health(stage)["claude"]["version"] == "2.1.330"


def test_a_spare_of_yesterdays_cli_is_not_used(open_fake: OpenStage, tmp_path: Path) -> None:
    with open_fake(Answer(("old",)), settings=quick(spares=1)) as stage:
        stage.wait_report(lambda r: sum(r.processes.parked.values()) == 1)
        make_fake_cli(tmp_path / "bin", Answer(("new",)))
        assert stage.ask("hello").choices[0].message.content == "new"
        assert stage.assert_at_rest().processes.sources == {"spawned": 1}


# No CLI...


@pytest.fixture
def bare(
    open_fake: OpenStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Stage, Callable[[], Path]]]:
    """A daemon on a machine without a CLI, and what installs one."""
    place = tmp_path / "home/.local/bin"

    # The machine that runs the tests may have one in a usual place, and has one in the venv.
    monkeypatch.setattr(probe, "_usual_places", lambda _: iter([place / "claude"]))
    with open_fake(environ={"PATH": "/nowhere"}, settings=quick(spares=1)) as stage:
        yield stage, lambda: make_fake_cli(place, FakeScript(turns=(Answer(("at last",)),)))


Bare = tuple[Stage, Callable[[], Path]]


def test_without_a_cli_the_daemon_is_ready_and_a_completion_is_503(bare: Bare) -> None:
    stage, _ = bare
    error = stage.refusal("hello", stream=True)
    assert (error.status_code, error.code) == (503, "claude_cli_missing")
    assert "CLAUDE_BIN" in str(error)
    assert "claude-agent-sdk" in str(error)
    assert stage.assert_at_rest().stats.errors == 1
    assert [model.id for model in stage.client.models.list()]


def test_without_a_cli_health_says_so(bare: Bare) -> None:
    stage, _ = bare
    report = health(stage)
    assert report["status"] == "degraded"
    assert (report["claude"]["path"], report["claude"]["ok"]) == (None, False)
    assert report["claude"]["problem"].startswith("not found: ")
    assert report["auth"]["ok"] is None


def test_a_cli_that_is_installed_meanwhile_serves_the_next_request(bare: Bare) -> None:
    stage, install = bare
    stage.refusal("hello")
    install()
    assert stage.ask("hello").choices[0].message.content == "at last"
    assert health(stage)["claude"]["ok"] is True
    # From here on everything is as if it had been there from the start.
    stage.wait_report(lambda r: sum(r.processes.parked.values()) == 1)


def test_a_cli_that_is_removed_meanwhile_is_missed_and_found_again(bare: Bare) -> None:
    stage, install = bare
    cli = install()
    stage.ask("hello")
    cli.unlink()
    assert stage.refusal("hello").code == "claude_cli_missing"
    assert health(stage)["claude"]["ok"] is False
    install()
    stage.ask("hello")


# Who is signed in...


def test_a_login_that_is_refused_again_and_again_degrades_health(open_fake: OpenStage) -> None:
    often = quick(auth_check_interval_ms=50)
    with open_fake(FakeScript(logged_in=False), settings=often) as stage:
        stage.wait_report(lambda r: r.auth.consecutive_failures >= 2)
        report = health(stage)
        assert report["status"] == "degraded"
        assert report["auth"]["ok"] is False
        assert "auth login" in report["auth"]["message"]


def test_signing_in_is_noticed_without_a_restart(open_fake: OpenStage, tmp_path: Path) -> None:
    often = quick(auth_check_interval_ms=50)
    with open_fake(FakeScript(logged_in=False), settings=often) as stage:
        stage.wait_report(lambda r: r.auth.ok is False)
        make_fake_cli(tmp_path / "bin", FakeScript(logged_in=True))
        stage.wait_report(lambda r: r.auth.ok is not False)
        assert health(stage)["status"] == "ok"


def test_an_answer_outweighs_what_the_cli_says_of_its_login(open_fake: OpenStage) -> None:
    with open_fake(FakeScript(logged_in=False)) as stage:
        stage.ask("hello")
        stage.wait_report(lambda r: r.auth.ok is True)
        assert health(stage)["auth"]["okSource"] == "request"
