"""Promise: argv, environment and files are read once, and whatever does not fit is named."""

from pathlib import Path

import pytest

from ocpd import __main__ as room
from ocpd.__main__ import read_config, read_models, read_start
from ocpd.settings.knob import SettingsError
from ocpd.settings.table import KNOBS
from ocpd.settings.values import Settings


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """The files that may hold settings, none of them there."""
    return {"named": tmp_path / "named.toml", "user": tmp_path / "config/ocpd/ocpd.toml"}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_file_there_are_no_settings(places: dict[str, Path]) -> None:
    environ = {"XDG_CONFIG_HOME": str(places["user"].parents[1])}
    # A machine that runs ocpd may have the system's file.
    if not Path("/etc/ocpd/ocpd.toml").exists():
        assert read_config(None, environ) == {}


def test_the_users_file_is_found(places: dict[str, Path], tmp_path: Path) -> None:
    write(places["user"], "port = 1")
    assert read_config(None, {"XDG_CONFIG_HOME": str(tmp_path / "config")}) == {"port": 1}
    write(tmp_path / ".config/ocpd/ocpd.toml", "port = 2")
    assert read_config(None, {"HOME": str(tmp_path)}) == {"port": 2}


def test_a_file_that_is_named_is_the_only_one(places: dict[str, Path], tmp_path: Path) -> None:
    write(places["user"], "port = 1")
    named = str(write(places["named"], "port = 2"))
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert read_config(named, environ) == {"port": 2}
    assert read_config(None, environ | {"OCPD_CONFIG": named}) == {"port": 2}
    other = str(write(tmp_path / "other.toml", "port = 3"))
    assert read_config(other, environ | {"OCPD_CONFIG": named}) == {"port": 3}


def test_a_named_file_that_is_missing_is_an_error(places: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        read_config(str(places["named"]), {})


@pytest.mark.parametrize("text", ["port: 1", "port = ", "[[[", "a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_an_error_that_names_it(
    places: dict[str, Path], text: str
) -> None:
    write(places["named"], text)
    with pytest.raises(SettingsError, match=r"named\.toml"):
        read_config(str(places["named"]), {})


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(places: dict[str, Path]) -> None:
    places["named"].write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"named\.toml"):
        read_config(str(places["named"]), {})
    places["user"].mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"ocpd\.toml"):
        read_config(str(places["user"]), {})


def test_the_models_table_is_carried_along() -> None:
    assert read_models(Settings()).resolve("sonnet", default="opus", unknown="refuse").listed


def test_every_setting_has_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "read_config", lambda *_: {})
    loaded = read_start(["--max-queue", "7", "--default-model=haiku"]).loaded
    assert (loaded.settings.max_queue, loaded.settings.default_model) == (7, "haiku")
    assert loaded.origins["maxQueue"] == "--max-queue"
    parser = room._parser()
    flags = {flag for action in parser._actions for flag in action.option_strings}
    # But secrets: every user of the machine sees the flags of its processes.
    assert {knob.flag for knob in KNOBS if not knob.secret} <= flags
    assert not {knob.flag for knob in KNOBS if knob.secret} & flags


def test_a_flag_that_does_not_fit_is_named() -> None:
    with pytest.raises(SettingsError, match="--max-queue"):
        read_start(["--max-queue", "many"])
    with pytest.raises(SystemExit) as caught:
        read_start(["--no-such-flag"])
    assert caught.value.code == 2


def test_a_value_that_does_not_fit_is_exit_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["ocpd", "--port", "70000"])
    assert room.main() == 78
    assert "70000" in capsys.readouterr().err


def test_check_says_whether_the_settings_fit_and_serves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "ocpd.toml", "maxConcurrent = 4")
    monkeypatch.setattr("sys.argv", ["ocpd", "--check", "--config", str(file)])
    assert (room.main(), capsys.readouterr().err) == (0, "")
    write(file, "maxConcurrent = 400")
    assert room.main() == room.EX_CONFIG
    assert "maxConcurrent" in capsys.readouterr().err


def test_the_config_file_that_was_read_is_known(tmp_path: Path) -> None:
    file = write(tmp_path / "ocpd.toml", "maxConcurrent = 4")
    assert read_start(["--config", str(file)]).config_file == str(file)
