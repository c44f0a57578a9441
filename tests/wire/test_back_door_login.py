"""The login behind the daemon and the key of remote admins: both count from the next turn on."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocpd.claude.argv import Lane
from tests.kit.fake_script import FakeScript, make_fake_cli
from tests.kit.upstream import Upstream
from tests.wire.operator import Operator, ask_unix, bearer
from tests.wire.process import Ocpd, environ_of, run
from tests.wire.stage import Stage, fetch, open_stage, quick

FIRST, SECOND = "sk-ant-oat01-first-token-of-tests", "sk-ant-oat01-second-token-of-tests"


def bare_lane(upstream: Upstream) -> Lane:
    """The lane of a child that finds the scripted API, but no token: the stored one is used."""
    return Lane(name="scripted", environment=(("ANTHROPIC_BASE_URL", upstream.url),))


@pytest.fixture
def real(upstream: Upstream, real_cli: Path, tmp_path: Path) -> Iterator[Stage]:
    """The real CLI, with a spare parked: one that has the old login."""
    home = tmp_path / "home"
    settings = quick(spares=1, max_spares=2)
    with open_stage(upstream, home, real_cli, lane=bare_lane(upstream), settings=settings) as made:
        made.wait_report(lambda report: sum(report.processes.parked.values()) == 1)
        yield made


@pytest.fixture
def stage(upstream: Upstream, tmp_path: Path) -> Iterator[Stage]:
    cli = make_fake_cli(tmp_path / "bin")
    with open_stage(upstream, tmp_path / "home", cli, lane=Lane()) as running:
        yield running


def heard_token(stage: Stage) -> str:
    """What the upstream was shown by the turn that was asked last."""
    return stage.upstream.requests[-1].headers["authorization"]


# The token of the CLI.


def test_a_token_counts_from_the_next_turn_though_a_spare_was_waiting(
    real: Stage, tmp_path: Path
) -> None:
    operator = Operator(real.daemon.socket, tmp_path)
    operator.does("auth", "token", typed=f"{FIRST}\n")
    assert real.ask("hello").choices[0].message.content
    assert heard_token(real) == f"Bearer {FIRST}"
    real.wait_report(lambda report: report.auth.ok is True)
    real.wait_report(lambda report: sum(report.processes.parked.values()) == 1)
    operator.does("auth", "token", typed=SECOND)
    assert real.ask("hello").choices[0].message.content
    assert heard_token(real) == f"Bearer {SECOND}"
    token = tmp_path / "home/state/token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert [entry["action"] for entry in operator.audit()] == ["auth.token.store"] * 2
    operator.does("auth", "token", "--remove")
    assert not token.exists()
    assert real.refusal("hello").status_code in (401, 502, 503)
    real.wait_report(lambda report: report.auth.ok is False)


def test_a_token_is_told_of_and_never_told(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(stage.daemon.socket, tmp_path)
    before = operator.told("auth")
    assert (before["signed_in"], before["token_stored"]) == (True, False)
    operator.does("auth", "token", typed=FIRST)
    # A token is there; whether it works shows with the first turn.
    done = operator.run("--json", "auth")
    assert done.returncode == 5
    assert '"token_stored": true' in done.stdout
    assert stage.ask("hello")
    assert operator.told("auth")["signed_in"] is True
    for argv in (("--json", "auth"), ("--json", "audit"), ("--json", "logs", "500", "all")):
        assert FIRST not in operator.run(*argv).stdout
    assert "removed" in operator.does("auth", "token", "--remove")
    assert "no token" in operator.does("auth", "token", "--remove")
    assert operator.told("auth")["token_stored"] is False


def test_what_is_no_token_is_refused(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(stage.daemon.socket, tmp_path)
    assert "no token" in operator.fails("auth", "token", typed="", code=2)
    assert "16" in operator.fails("auth", "token", typed="short\n")
    assert not (tmp_path / "home/state/token").exists()


def test_a_token_that_others_may_read_stops_the_start_and_the_next_one(tmp_path: Path) -> None:
    environ = environ_of(tmp_path / "home", make_fake_cli(tmp_path / "bin"))
    operator = Operator(environ["OCPD_SOCKET"], tmp_path)
    token = tmp_path / "home/state/token"
    with Ocpd(environ) as ocpd:
        assert ocpd.port
        operator.does("auth", "token", typed=FIRST)
    token.chmod(0o644)
    done = run(environ)
    assert done.code == 78
    assert f"chmod 600 {token}" in done.stderr
    assert "Traceback" not in done.stderr
    token.chmod(0o600)
    with Ocpd(environ) as ocpd:
        assert ocpd.port
        assert operator.run("auth").returncode == 5
        # The same while it runs: nothing goes on with it, and nobody is left without a word.
        token.chmod(0o640)
        page = fetch_refresh(operator)
        assert f"chmod 600 {token}" in page
        token.chmod(0o600)


def fetch_refresh(operator: Operator) -> str:
    page = ask_unix(operator.environ["OCPD_SOCKET"], "POST", "/admin/auth/refresh")
    assert page.status == 409
    message: str = page.error["message"]
    return message


def test_whoever_signs_in_is_seen_without_a_restart(tmp_path: Path, upstream: Upstream) -> None:
    cli = make_fake_cli(tmp_path / "bin", FakeScript(logged_in=False))
    with open_stage(upstream, tmp_path / "home", cli, lane=Lane()) as stage:
        operator = Operator(stage.daemon.socket, tmp_path)
        assert operator.run("auth").returncode == 5
        make_fake_cli(tmp_path / "bin", FakeScript(logged_in=True))
        # What the end of ``ocpctl auth login`` does.
        page = ask_unix(stage.daemon.socket, "POST", "/admin/auth/refresh")
        assert page.json()["signed_in"] is True
        assert stage.get("/health").json()["auth"]["ok"] is True


# The admin key.


def may_change(stage: Stage, headers: dict[str, str]) -> bool:
    page = fetch(stage.daemon.port, "POST", "/api/keys", b"{}", headers)
    assert page.status in (201, 401, 403), page.text
    return page.status == 201


def test_an_admin_key_is_made_once_and_works_over_tcp(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(stage.daemon.socket, tmp_path)
    key = operator.told("auth", "admin-key")["key"]
    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        assert may_change(stage, bearer(key) | {"content-type": kind})
    assert fetch(stage.daemon.port, "GET", "/api/keys", headers=bearer(key)).status == 200
    assert fetch(stage.daemon.port, "GET", "/api/keys", headers={"x-api-key": key}).status == 200
    assert not may_change(stage, bearer(key[:-1] + "x"))
    assert "already" in operator.fails("auth", "admin-key")
    assert operator.told("auth")["admin_key_set"] is True
    remote = operator.run("--socket", stage.daemon.url, "keys", "add", "far")
    assert (remote.returncode, "admin key" in remote.stderr) == (4, True)
    remote = operator.run(
        "--socket", stage.daemon.url, "keys", "add", "far", environ={"OCPD_ADMIN_KEY": key}
    )
    assert remote.returncode == 0, remote.stderr
    via = {(e["via"], e["uid"]) for e in operator.audit() if e["action"] == "keys.add"}
    assert via == {("admin-key", None)}


def test_rotating_the_admin_key_ends_the_old_one(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(stage.daemon.socket, tmp_path)
    old = operator.told("auth", "admin-key")["key"]
    new = operator.told("auth", "admin-key", "--rotate")["key"]
    assert not may_change(stage, bearer(old))
    assert may_change(stage, bearer(new))
    # An admin key is no key to chat with under another's name.
    assert fetch(stage.daemon.port, "GET", "/api/usage", headers=bearer(new)).json()["scope"] == {
        "self": None,
        "all": True,
    }


@pytest.mark.parametrize("variable", ["OCPD_ADMIN_KEY", "OCP_ADMIN_KEY"])
def test_an_admin_key_of_the_environment_works(
    variable: str, upstream: Upstream, tmp_path: Path
) -> None:
    cli = make_fake_cli(tmp_path / "bin")
    environ = {variable: "of-the-service-unit"}
    with open_stage(upstream, tmp_path / "home", cli, environ=environ) as stage:
        assert may_change(stage, bearer("of-the-service-unit"))
        assert not may_change(stage, bearer("of-nobody"))
        assert not may_change(stage, {})
