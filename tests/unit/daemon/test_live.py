"""Following the settings: what a change reaches, and that a change that cannot be is none."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocpd.admin.desk import Rejected
from ocpd.daemon import house
from ocpd.daemon.house import Rooms, open_daemon
from ocpd.daemon.live import Live
from ocpd.errors import BadRequest
from ocpd.settings.knob import SettingsError
from ocpd.settings.values import Settings
from tests.kit.daemon import child_environ, start_with
from tests.kit.fake_script import make_fake_cli
from tests.unit.api.stage import MODELS
from tests.unit.http.stage import run

SETTINGS = Settings(port=0, spares=0)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return child_environ(tmp_path, make_fake_cli(tmp_path / "bin"))


@contextlib.asynccontextmanager
async def open_live(
    environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Live]:
    """The Live of a daemon, taken as it is put up."""
    found: list[Rooms] = []
    open_rooms = house._open_rooms

    async def spy(*args: Any) -> Rooms:
        found.append(await open_rooms(*args))
        return found[0]

    monkeypatch.setattr(house, "_open_rooms", spy)
    async with open_daemon(start_with(SETTINGS, environ, models=MODELS)):
        yield found[0].live


def changed(live: Live, **changes: Any) -> Settings:
    return msgspec.structs.replace(live.settings, **changes)


async def can_connect(address: tuple[str, int]) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    writer.close()
    return True


def test_it_moves_to_another_port_and_back(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with open_live(environ, monkeypatch) as live:
            first = live.addresses[0]
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
                with pytest.raises(Rejected) as caught:
                    await live.apply(changed(live, port=port, max_concurrent=3))
                assert caught.value.param == "port"
                assert live.addresses[0] == first
                assert live.settings.max_concurrent == SETTINGS.max_concurrent
            await live.apply(changed(live, port=port))
            assert live.addresses[0] == ("127.0.0.1", port)
            assert await can_connect(live.addresses[0])
            assert not await can_connect(first)

    run(main())


def test_what_no_daemon_could_follow_is_refused_before_anything_moves(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with open_live(environ, monkeypatch) as live:
            misfits = ({"auth_mode": "shared"}, {"claude_bin": "/x"}, {"default_model": "gpt-5"})
            for misfit in misfits:
                with pytest.raises(SettingsError):
                    live.check(changed(live, **misfit))

    run(main())


def test_a_stored_token_that_others_may_read_stops_a_change_whole(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = Path(environ["OCPD_STATE_DIR"]) / "token"

    async def main() -> None:
        async with open_live(environ, monkeypatch) as live:
            token.write_text("t")
            token.chmod(0o644)
            with pytest.raises(Rejected) as caught:
                await live.apply(changed(live, cli_max_retries=3, max_concurrent=3))
            assert caught.value.param == "cliMaxRetries"
            assert live.settings.max_concurrent == SETTINGS.max_concurrent
            with pytest.raises(BadRequest, match="chmod 600"):
                await live.renew()
            token.chmod(0o600)
            await live.renew()

    run(main())


def test_a_table_that_was_read_afresh_counts_only_for_the_settings_it_was_read_for(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with open_live(environ, monkeypatch) as live:
            before = live.models
            wanted = changed(live, max_concurrent=3)
            live.check_afresh(wanted)
            assert live.models is before
            await live.apply(changed(live, max_concurrent=4))
            assert live.models is before
            await live.apply(wanted)
            assert live.settings.max_concurrent == 3

    run(main())


def write_servers(path: Path, name: str) -> str:
    path.write_text(f'{{"mcpServers": {{"{name}": {{"command": "/bin/true"}}}}}}')
    path.chmod(0o600)
    return str(path)


def test_a_registry_is_followed_when_it_is_named_and_when_it_is_read_again(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "servers.json"

    async def main() -> None:
        async with open_live(environ, monkeypatch) as live:
            conditions = live._parts.conditions
            assert conditions.registry.named is None
            wanted = changed(live, mcp_registry=write_servers(file, "one"))
            live.check(wanted)
            await live.apply(wanted)
            assert list(conditions.registry.named or ()) == ["one"]
            # An unrelated change does not read it.
            file.write_text("{")
            unrelated = changed(live, max_concurrent=3)
            live.check(unrelated)
            await live.apply(unrelated)
            assert list(conditions.registry.named or ()) == ["one"]
            same = changed(live)
            with pytest.raises(SettingsError, match="mcpRegistry"):
                live.check_afresh(same)
            write_servers(file, "two")
            live.check_afresh(same)
            assert list(conditions.registry.named or ()) == ["one"]
            await live.apply(same)
            assert list(live.registry.named or ()) == ["two"]
            assert conditions.registry is live.registry
            await live.apply(changed(live, mcp_registry=""))
            assert conditions.registry.named is None

    run(main())


def test_servers_that_cannot_be_and_tools_for_root_are_refused_before_anything_moves(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write_servers(tmp_path / "servers.json", "one")
    Path(path).chmod(0o644)

    async def main() -> None:
        async with open_live(environ, monkeypatch) as live:
            with pytest.raises(SettingsError, match="chmod 600"):
                live.check(changed(live, mcp_config=path))
            monkeypatch.setattr(os, "geteuid", lambda: 0)
            with pytest.raises(SettingsError, match="never as root"):
                live.check(changed(live, skip_permissions=True))
            with pytest.raises(SettingsError, match="without keys"):
                live.check(changed(live, allowed_tools="Read", bind="0.0.0.0"))

    run(main())
