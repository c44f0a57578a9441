"""Reading the files again: ``ocpctl reload`` and SIGHUP mean the same, and a file that does not fit
changes nothing."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.fake_script import Silent, make_fake_cli
from tests.wire.operator import Operator
from tests.wire.process import Ocpd, environ_of, run
from tests.wire.stage import Caller, body_of

OVERLAY = '{"version": 1, "aliases": {"house": "claude-opus-5-5"}}'
HIDES_OPUS = '{"version": 1, "hide": ["claude-opus-5-5"]}'


class Place:
    """A daemon with a config file and a models overlay of its own."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "ocpd.toml"
        self.overlay = folder / "models.json"
        self.environ = environ_of(
            folder / "home", make_fake_cli(folder / "bin"), OCPD_CONFIG=str(self.config)
        )
        self.operator = Operator(self.environ["OCPD_SOCKET"], folder)
        self.write("maxConcurrent = 2")
        self.overlay.write_text(OVERLAY)
        self.ocpd: Ocpd

    def write(self, *lines: str) -> None:
        self.config.write_text("\n".join((f'modelsFile = "{self.overlay}"', *lines)) + "\n")

    @property
    def limit(self) -> int:
        found: int = self.ocpd.get("/health").json()["concurrency"]["maxConcurrent"]
        return found

    def knows(self, model: str) -> bool:
        return self.ocpd.get(f"/v1/models/{model}").status == 200


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    with Ocpd(made.environ) as made.ocpd:
        assert made.ocpd.port
        yield made


def by_command(place: Place) -> None:
    place.operator.does("reload")


def by_signal(place: Place) -> None:
    place.ocpd.signal(signal.SIGHUP)
    place.ocpd.wait_logged("reloaded")


def test_a_shared_key_that_is_gone_after_a_reload_ends_its_stream_and_no_other(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    make_fake_cli(tmp_path / "bin", Silent(after=2))
    place.write('sharedKeys = "one,two"')
    with Ocpd(place.environ) as place.ocpd, contextlib.ExitStack() as stack:
        ends, stays = [
            stack.enter_context(
                Caller(
                    place.ocpd.port,
                    body_of("hello", stream=True),
                    (f"authorization: Bearer {key}",),
                )
            )
            for key in ("one", "two")
        ]
        for caller in (ends, stays):
            caller.read_until(b"word1")
        place.write('sharedKeys = "two"')
        by_command(place)
        assert b'"code":"key_revoked"' in ends.read_until(b"[DONE]")
        stays.leave()
        assert b"key_revoked" not in stays.seen


@pytest.mark.parametrize("reload", [by_command, by_signal])
def test_a_reload_reads_config_file_and_models(
    place: Place, reload: Callable[[Place], None]
) -> None:
    assert place.limit == 2
    assert place.knows("house")
    place.write("maxConcurrent = 5")
    place.overlay.write_text(OVERLAY.replace("house", "home"))
    reload(place)
    assert place.limit == 5
    assert place.knows("home")
    assert not place.knows("house")


@pytest.mark.parametrize(
    ("config", "overlay", "named"),
    [
        ("maxConcurrent = 99", OVERLAY, "maxConcurrent"),
        ("maxConcurrent = ", OVERLAY, "ocpd.toml"),
        ("nonsense = 1", OVERLAY, "nonsense"),
        ("maxConcurrent = 5", "{", "modelsFile"),
        ("maxConcurrent = 5", OVERLAY.replace("opus-5-5", "nowhere"), "aliases['house']"),
        # Fine by itself, but then nothing could be run for those who name no model.
        ('maxConcurrent = 5\ndefaultModel = "opus"', HIDES_OPUS, "defaultModel"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(
    place: Place, config: str, overlay: str, named: str
) -> None:
    place.write(config)
    place.overlay.write_text(overlay)
    assert named in place.operator.fails("reload")
    place.ocpd.signal(signal.SIGHUP)
    assert named in place.ocpd.wait_logged("reload_refused")["reason"]
    assert place.limit == 2
    assert place.knows("house")
    # And once it is mended, it counts.
    place.write("maxConcurrent = 3")
    place.overlay.write_text(OVERLAY)
    place.operator.does("reload")
    assert place.limit == 3


def test_a_table_that_hides_the_default_model_is_refused(place: Place) -> None:
    """It would be the next start that fails."""
    place.overlay.write_text('{"version": 1, "hide": ["claude-sonnet-5-5"]}')
    assert "defaultModel" in place.operator.fails("reload")
    assert place.knows("sonnet")


def test_one_reload_may_bring_a_name_and_its_use(place: Place) -> None:
    place.overlay.write_text(OVERLAY.replace("house", "home"))
    place.write('defaultModel = "home"')
    place.operator.does("reload")
    assert place.operator.told("settings", "defaultModel")["value"] == "home"


def test_a_broken_table_is_left_by_naming_another(place: Place, tmp_path: Path) -> None:
    place.overlay.write_text("{")
    assert "modelsFile" in place.operator.fails("reload")
    place.overlay = tmp_path / "other.json"
    place.overlay.write_text(OVERLAY.replace("house", "home"))
    place.write()
    place.operator.does("reload")
    assert place.knows("home")


def test_what_was_changed_at_run_time_outlives_a_reload(place: Place) -> None:
    place.operator.does("settings", "maxConcurrent", "4")
    place.write("maxConcurrent = 5")
    place.operator.does("reload")
    assert place.limit == 4
    place.operator.does("settings", "--reset", "maxConcurrent")
    assert place.limit == 5


def test_a_second_daemon_on_the_same_state_is_refused_and_harms_nothing(place: Place) -> None:
    other = place.environ | {"OCPD_SOCKET": place.environ["OCPD_SOCKET"] + ".2"}
    done = run(other)
    assert done.code == 1
    assert place.environ["OCPD_STATE_DIR"] in done.stderr
    assert f"process {place.ocpd.process.pid}" in done.stderr
    assert "Traceback" not in done.stderr
    assert place.operator.does("status")
    place.operator.add_key("still-writable")


def test_a_socket_that_another_daemon_uses_is_refused_and_left_alone(
    place: Place, tmp_path: Path
) -> None:
    other = place.environ | {"OCPD_STATE_DIR": str(tmp_path / "other")}
    done = run(other)
    assert done.code == 1
    assert place.environ["OCPD_SOCKET"] in done.stderr
    assert "OCPD_SOCKET" in done.stderr
    assert place.operator.does("status")
