"""The log and the state of a running daemon, as an operator looks at them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.kit.fake_script import make_fake_cli
from tests.wire.operator import Operator
from tests.wire.process import Ocpd, environ_of
from tests.wire.stage import fetch


class Place:
    def __init__(self, folder: Path) -> None:
        cli = make_fake_cli(folder / "bin")
        self.environ = environ_of(folder / "home", cli, CLAUDE_CODE_OAUTH_TOKEN="t")
        self.operator = Operator(self.environ["OCPD_SOCKET"], folder)
        self.ocpd: Ocpd

    def follow(self, *argv: str) -> "subprocess.Popen[str]":
        # Tests that run in the background ignore the signal, and children inherit that.
        return subprocess.Popen(
            ["env", "--default-signal=INT", *self.operator.program, "logs", "-f", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.operator.environ,
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    with Ocpd(made.environ) as made.ocpd:
        assert made.ocpd.port
        yield made


def test_what_happened_can_be_looked_up_by_level_and_number(place: Place) -> None:
    place.operator.add_key("laptop")
    told = place.operator.told("logs", "500", "all")
    events = [entry["event"] for entry in told["entries"]]
    assert "admin_change" in events
    (change,) = [entry for entry in told["entries"] if entry["event"] == "admin_change"]
    assert (change["action"], change["uid"], change["via"]) == (
        "keys.add",
        str(os.geteuid()),
        "unix",
    )
    assert change["level"] == "info"
    assert all(isinstance(value, str) for entry in told["entries"] for value in entry.values())
    assert place.operator.told("logs", "1", "all")["count"] == 1
    assert place.operator.told("logs", "error")["entries"] == []
    assert "No error entries" in place.operator.does("logs")


def test_a_follower_sees_what_happens_until_it_leaves(place: Place) -> None:
    with place.follow("--json") as following:
        assert following.stdout is not None
        # The connection stands when the lines of old are there.
        assert following.stdout.readline()
        place.operator.add_key("laptop")
        for line in following.stdout:
            entry = msgspec.json.decode(line, type=dict[str, str])
            if entry.get("action") == "keys.add":
                break
        else:
            raise AssertionError("the line did not come")
        following.send_signal(signal.SIGINT)
        _, errors = following.communicate(timeout=30)
    assert (following.returncode, errors) == (130, "")
    assert place.operator.does("status")


def test_a_follower_does_not_hold_up_a_stop(place: Place) -> None:
    with place.follow() as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        place.ocpd.signal(signal.SIGTERM)
        assert place.ocpd.wait_end().code == 0
        _, errors = following.communicate(timeout=30)
    assert following.returncode == 0
    assert "ocpd ended the log" in errors
    assert not Path(place.environ["OCPD_SOCKET"]).exists()
    assert "is the daemon running?" in place.operator.fails("status", code=3)


def test_status_health_and_version_tell_of_the_daemon(place: Place) -> None:
    status = place.operator.told("status")
    assert status["proxy"]["status"] == "ok"
    assert status["store"]["lostRows"] == 0
    assert place.operator.told("health")["claude"]["ok"] is True
    assert "0.1.0" in place.operator.does("version")
    assert "claude-sonnet-5-5" in place.operator.does("models")
    assert place.operator.told("sessions") == {"sessions": []}
    assert place.operator.told("clear") == {"cleared": 0}


@pytest.mark.parametrize("path", ["/status", "/usage", "/settings", "/logs", "/api/keys"])
def test_what_nobody_knows_is_refused_by_name(place: Place, path: str) -> None:
    page = fetch(place.ocpd.port, "GET", f"{path}?nonsense=1")
    assert (page.status, page.error["param"]) == (400, "nonsense")
