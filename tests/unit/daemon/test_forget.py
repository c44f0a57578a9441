"""A change that keeps ocpd from starting is taken back without a daemon."""

import sys
from pathlib import Path

import pytest

from ocpd import __main__ as room
from ocpd.daemon.forget import CannotForget, forget, spell_forget
from ocpd.store.audit import AuditEntry
from ocpd.store.knobs import KnobValue
from ocpd.store.store import Store
from tests.unit.store.stage import run

KEYS = ("tlsCertificate", "tlsKey")


async def _change(state: Path, **changes: KnobValue) -> None:
    async with Store(state) as store:
        await store.knobs.put(dict(changes), by="somebody")


async def _look(state: Path) -> tuple[dict[str, KnobValue], tuple[AuditEntry, ...]]:
    async with Store(state) as store:
        return store.knobs.all(), await store.audit.tail(9)


def test_changes_are_forgotten_for_good_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(_change(tmp_path, tlsKey="/gone.pem", authMode="multi"))
    monkeypatch.setenv("OCPD_STATE_DIR", str(tmp_path))
    # Whatever else is wrong with the settings.
    monkeypatch.setenv("OCPD_PORT", "70000")
    monkeypatch.setattr("sys.argv", ["ocpd", "--forget", "tlsCertificate,tlsKey"])
    assert room.main() == 0
    assert capsys.readouterr().out == (
        "tlsCertificate: was not changed at run time\ntlsKey: forgotten\n"
    )
    knobs, (entry,) = run(_look(tmp_path))
    assert knobs == {"authMode": "multi"}
    assert (entry.action, entry.detail) == ("settings.reset", "tlsKey")


@pytest.mark.parametrize("names", ["tlsKey,tlsKez", ""])
def test_a_name_that_is_none_is_refused_by_name(
    names: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["ocpd", "--forget", names])
    assert room.main() == room.EX_CONFIG
    unknown = names.rpartition(",")[2]
    assert capsys.readouterr().err == f"ocpd: --forget: unknown setting {unknown!r}\n"


def test_without_a_database_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCPD_STATE_DIR", str(tmp_path / "none"))
    monkeypatch.setattr("sys.argv", ["ocpd", "--forget", "tlsKey"])
    assert room.main() == 1
    assert "OCPD_STATE_DIR names the folder" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_daemon_that_runs_keeps_its_store(tmp_path: Path) -> None:
    async def both() -> None:
        async with Store(tmp_path):
            await forget(tmp_path, KEYS)

    with pytest.raises(CannotForget, match="ocpctl settings --reset tlsCertificate tlsKey"):
        run(both())


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({"HOME": "/nowhere"}, "/usr/bin/ocpd --forget tlsCertificate,tlsKey"),
        (
            {"OCPD_STATE_DIR": "/my state"},
            "env 'OCPD_STATE_DIR=/my state' /usr/bin/ocpd --forget tlsCertificate,tlsKey",
        ),
        (
            {"STATE_DIRECTORY": "/var/lib/ocpd"},
            "sudo -u ocpd env OCPD_STATE_DIR=/var/lib/ocpd /usr/bin/ocpd --forget"
            " tlsCertificate,tlsKey",
        ),
    ],
)
def test_the_command_finds_the_store_of_the_daemon_that_names_it(
    environ: dict[str, str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/ocpd"])
    monkeypatch.setattr("ocpd.daemon.forget._own_name", lambda: "ocpd")
    assert spell_forget(environ, KEYS) == command
    monkeypatch.setattr("sys.argv", ["/somewhere/__main__.py"])
    assert f"{sys.executable} -m ocpd --forget" in spell_forget(environ, KEYS)
