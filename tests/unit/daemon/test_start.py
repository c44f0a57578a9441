"""The start: what was changed at run time is laid over the rest as far as it fits, and the socket
is where its user looks for it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ocpd.daemon.start import Door, Start, find_door, is_loopback, load_with
from ocpd.settings.knob import SettingsError
from ocpd.settings.load import load_settings
from tests.unit.api.stage import MODELS


def start_of(
    argv: Mapping[str, str] | None = None, file: Mapping[str, object] | None = None
) -> Start:
    return Start(
        environ={},
        loaded=load_settings(argv or {}, {}, file or {}),
        read_models=lambda _: MODELS,
        argv=argv or {},
        file=file or {},
    )


def test_what_was_changed_at_run_time_counts() -> None:
    loaded = load_with(start_of(file={"maxConcurrent": 2}), {"maxConcurrent": 4})
    assert loaded.settings.max_concurrent == 4
    assert loaded.runtime == {"maxConcurrent": 4}
    assert loaded.origins["maxConcurrent"] == "changed at run time: maxConcurrent"


@pytest.mark.parametrize(
    "misfit",
    [{"maxConcurrent": 99}, {"defaultModel": "gpt-5"}, {"bind": "0.0.0.0"}, {"timeout": "soon"}],
)
def test_what_does_not_fit_any_more_is_left_out_and_the_rest_counts(
    misfit: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_with(start_of(), {"maxQueue": 3, **misfit, "spares": 2})
    assert (loaded.settings.max_queue, loaded.settings.spares) == (3, 2)
    assert loaded.runtime == {"maxQueue": 3, "spares": 2}
    (key,) = misfit
    assert [record.setting for record in caplog.records] == [key]


def test_the_command_line_still_wins() -> None:
    loaded = load_with(start_of({"maxConcurrent": "5"}), {"maxConcurrent": 4})
    assert (loaded.settings.max_concurrent, loaded.origins["maxConcurrent"]) == (
        5,
        "--max-concurrent",
    )


def test_what_the_start_itself_brings_must_fit() -> None:
    with pytest.raises(SettingsError, match="defaultModel"):
        load_with(start_of(file={"defaultModel": "gpt-5"}), {})
    # Unless it was mended at run time.
    mended = load_with(start_of(file={"defaultModel": "gpt-5"}), {"defaultModel": "sonnet"})
    assert mended.settings.default_model == "sonnet"


@pytest.mark.parametrize(
    ("environ", "door"),
    [
        ({"OCPD_SOCKET": "/x/s"}, Door(Path("/x/s"), 0o600, None)),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, Door(Path("/run/user/7/ocpd/ocpd.sock"), 0o600, None)),
        ({"RUNTIME_DIRECTORY": "/run/ocpd"}, Door(Path("/run/ocpd/ocpd.sock"), 0o660, "ocpd")),
        # Of the user's manager: nobody else's.
        (
            {"RUNTIME_DIRECTORY": "/run/user/7/ocpd"},
            Door(Path("/run/user/7/ocpd/ocpd.sock"), 0o600, None),
        ),
        (
            {"RUNTIME_DIRECTORY": "/run/ocpd:/run/more", "OCPD_SOCKET": "/x/s"},
            Door(Path("/x/s"), 0o660, "ocpd"),
        ),
        ({"OCPD_SOCKET": "", "XDG_RUNTIME_DIR": ""}, Door(Path("/state/ocpd.sock"), 0o600, None)),
    ],
)
def test_the_socket_is_where_its_user_looks(environ: dict[str, str], door: Door) -> None:
    assert find_door(environ, Path("/state")) == door


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "example.com", "localhost.evil", "10.0.0.1"])
def test_only_this_machine_is_loopback(host: str) -> None:
    assert not is_loopback(host)
