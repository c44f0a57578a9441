"""``ocpctl doctor`` beside a daemon that is really there, and after it has gone."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpd.claude.argv import Lane
from tests.kit.fake_script import make_fake_cli
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator
from tests.wire.stage import Stage, open_stage


@pytest.fixture
def stage(upstream: Upstream, tmp_path: Path) -> Iterator[Stage]:
    cli = make_fake_cli(tmp_path / "bin")
    with open_stage(upstream, tmp_path / "home", cli, lane=Lane()) as running:
        yield running


def examine(operator: Operator) -> tuple[int, dict[str, Any]]:
    """The exit code, and the findings by what was looked at."""
    done = operator.run("doctor", "--json")
    assert done.stderr == ""
    told = msgspec.json.decode(done.stdout, type=dict[str, Any])
    return done.returncode, {finding["check"]: finding for finding in told["findings"]}


def test_a_daemon_is_seen_with_its_process_and_files(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(stage.daemon.socket, tmp_path)
    _, found = examine(operator)
    assert f"answers on {stage.daemon.socket} (process {os.getpid()}" in found["daemon"]["message"]
    for check in ("daemon", "versions", "socket", "doors", "plan", "state"):
        assert found[check]["level"] == "ok", found[check]


def test_what_must_be_done_is_told_until_it_is_done(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(stage.daemon.socket, tmp_path)
    wrong = stage.daemon.report()
    code, found = examine(operator)
    assert (code == 5) is any(finding["level"] == "must" for finding in found.values())
    assert found["cli"]["message"].count(str(wrong.claude.path)) == 1
    operator.does("settings", "claudeBin", str(make_fake_cli(tmp_path / "other")))
    assert str(tmp_path / "other") in examine(operator)[1]["cli"]["message"]


def test_after_it_has_gone_the_doctor_still_has_something_to_say(tmp_path: Path) -> None:
    operator = Operator(str(tmp_path / "none.sock"), tmp_path)
    code, found = examine(operator)
    assert code == 5
    assert found["daemon"]["level"] == "must"
    assert found["daemon"]["next"]
