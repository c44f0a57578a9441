"""Promise: what cannot work is refused before anything starts; what started is taken down."""

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpd.daemon.greeting import describe
from ocpd.daemon.house import open_daemon
from ocpd.daemon.start import CannotListen, check_start
from ocpd.daemon.state import MOVES, Daemon, State
from ocpd.pool import probe as pool_probe
from ocpd.settings.knob import SettingsError
from ocpd.settings.values import Settings
from tests.kit.daemon import child_environ, start_with
from tests.kit.fake_script import FakeScript, make_fake_cli
from tests.kit.leaks import descendants, is_alive
from tests.unit.api.stage import MODELS
from tests.unit.http.stage import breathe, run

SETTINGS = Settings(port=0, spares=0)


def changed(**changes: Any) -> Settings:
    return msgspec.structs.replace(SETTINGS, **changes)


# What is refused...


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "host.test"])
def test_any_address_may_be_listened_on(bind: str) -> None:
    check_start(changed(bind=bind), MODELS, {})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"auth_mode": "shared"}, "authMode: shared needs a key"),
        ({"require_auth": "on"}, "requireAuth: REQUIRE_AUTH is on"),
        ({"cors_origins": "evil.example"}, "corsOrigins: 'evil.example'"),
        ({"claude_bin": "/etc/passwd"}, "claudeBin: '/etc/passwd'"),
        ({"claude_bin": "/nowhere"}, "claudeBin: '/nowhere'"),
        ({"default_model": "gpt-5"}, "defaultModel: the model 'gpt-5'"),
    ],
)
def test_what_cannot_work_is_named(changes: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_start(changed(**changes), MODELS, {})
    assert str(caught.value).startswith(named)


def test_a_default_model_that_is_not_listed_may_still_be_run() -> None:
    check_start(changed(default_model="claude-of-tomorrow"), MODELS, {})


# ... and what starts.


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return child_environ(tmp_path, make_fake_cli(tmp_path / "bin"))


def test_a_daemon_is_ready_with_an_address_and_stopped_with_nothing_left(
    environ: dict[str, str],
) -> None:
    async def main() -> None:
        async with open_daemon(start_with(changed(spares=1), environ, models=MODELS)) as daemon:
            assert daemon.state is State.READY
            assert daemon.url == f"http://127.0.0.1:{daemon.address[1]}"
            while not daemon.report().processes.parked:
                await breathe()
            spares = [pid for pid in descendants(os.getpid()) if is_alive(pid)]
            assert spares
        assert not [pid for pid in spares if is_alive(pid)]
        with socket.socket() as probe:
            assert probe.connect_ex(daemon.address) != 0

    run(main())
    # What children wrote in passing went with it.
    assert not list(Path(environ["OCPD_STATE_DIR"]).glob("tmp/*"))


def test_an_ipv6_address_is_spelled_as_urls_want_it(environ: dict[str, str]) -> None:
    async def main() -> None:
        async with open_daemon(start_with(changed(bind="::1"), environ, models=MODELS)) as daemon:
            assert daemon.url == f"http://[::1]:{daemon.address[1]}"

    # A machine without IPv6 says so, and that is all it does.
    with contextlib.suppress(CannotListen):
        run(main())


def test_a_port_that_is_taken_is_named_with_its_holder(environ: dict[str, str]) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(CannotListen) as caught:
                async with open_daemon(start_with(changed(port=port), environ, models=MODELS)):
                    raise AssertionError("it serves")
            assert f"127.0.0.1:{port}" in str(caught.value)
            assert f"(pid {os.getpid()})" in str(caught.value)

    run(main())


def test_a_state_directory_that_cannot_be_made_is_a_setting_that_does_not_fit(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    async def main() -> None:
        there = environ | {"OCPD_STATE_DIR": str(tmp_path / "file" / "state")}
        with pytest.raises(SettingsError, match="OCPD_STATE_DIR"):
            async with open_daemon(start_with(SETTINGS, there, models=MODELS)):
                raise AssertionError("it serves")

    run(main())


def test_an_idle_daemon_drains_at_once_and_takes_nobody_in(environ: dict[str, str]) -> None:
    async def main() -> None:
        async with open_daemon(start_with(SETTINGS, environ, models=MODELS)) as daemon:
            assert await daemon.drain()
            assert daemon.state is State.DRAINING
            with pytest.raises(OSError, match=r"refused|Connect"):
                await asyncio.open_connection(*daemon.address)

    run(main())


@pytest.mark.parametrize(("before", "after"), [*itertools.product(State, State)])
def test_every_move_is_one_of_the_table_or_refused(
    before: State, after: State, idle: Daemon
) -> None:
    idle.state = before
    if after in MOVES[before]:
        idle.move(after)
        assert idle.state is after
    else:
        with pytest.raises(ValueError, match="cannot go"):
            idle.move(after)


@pytest.fixture
def idle(environ: dict[str, str]) -> Daemon:
    """A daemon that has been stopped: only its state is of interest."""

    async def main() -> Daemon:
        async with open_daemon(start_with(SETTINGS, environ, models=MODELS)) as daemon:
            return daemon

    return run(main())


# What it says of itself...


def greet(environ: dict[str, str], settings: Settings = SETTINGS) -> str:
    async def main() -> str:
        async with open_daemon(start_with(settings, environ, models=MODELS)) as daemon:
            return describe(daemon)

    return run(main())


Remake = Callable[[FakeScript], dict[str, str]]


@pytest.fixture
def remade(environ: dict[str, str], tmp_path: Path) -> Remake:
    """The environment with another CLI in it."""

    def remake(script: FakeScript) -> dict[str, str]:
        make_fake_cli(tmp_path / "bin", script)
        return environ

    return remake


def test_the_greeting_names_cli_version_login_and_a_curl(environ: dict[str, str]) -> None:
    told = greet(environ)
    assert "bin/claude (2.1.330)" in told
    assert "signed in:  yes" in told
    assert "/v1/chat/completions" in told.splitlines()[-1]


def test_the_greeting_says_what_is_wrong(remade: Remake) -> None:
    assert "run: claude auth login" in greet(remade(FakeScript(logged_in=False)))
    assert "install 2.1.248 or newer" in greet(remade(FakeScript(version="2.1.200")))
    assert "newer than the newest one tested" in greet(remade(FakeScript(version="9.0.0")))


def test_the_greeting_tells_a_token_from_a_login(environ: dict[str, str]) -> None:
    told = greet(environ | {"CLAUDE_CODE_OAUTH_TOKEN": "t"})
    assert "signed in:  unknown (a token is set" in told


def test_the_greeting_says_how_to_get_a_cli(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_probe, "_usual_places", lambda _: iter(()))
    told = greet(environ | {"PATH": "/nowhere"})
    assert "Claude CLI: not found" in told
    assert "signed in" not in told
