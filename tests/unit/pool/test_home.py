"""Promise: children get an empty directory of our own, and it is found where operators expect."""

from pathlib import Path

import pytest

from ocpd.pool.home import empty_directory, state_directory

EVERYTHING = {
    "OCPD_STATE_DIR": "/own",
    "STATE_DIRECTORY": "/var/lib/ocpd:/var/lib/other",
    "XDG_STATE_HOME": "/xdg",
    "HOME": "/srv/ada",
}


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ((), "/own"),
        (("OCPD_STATE_DIR",), "/var/lib/ocpd"),
        (("OCPD_STATE_DIR", "STATE_DIRECTORY"), "/xdg/ocpd"),
        (("OCPD_STATE_DIR", "STATE_DIRECTORY", "XDG_STATE_HOME"), "/srv/ada/.local/state/ocpd"),
        (tuple(EVERYTHING), "/var/lib/.local/state/ocpd"),
    ],
)
def test_the_nearest_word_on_the_state_directory_wins(
    without: tuple[str, ...], expected: str
) -> None:
    environ = {name: value for name, value in EVERYTHING.items() if name not in without}
    assert state_directory(environ) == Path(expected)


def test_an_empty_variable_is_none() -> None:
    assert state_directory({"OCPD_STATE_DIR": "", "XDG_STATE_HOME": "/xdg"}) == Path("/xdg/ocpd")


def test_the_directory_of_children_is_empty_and_cannot_be_written(tmp_path: Path) -> None:
    state = tmp_path / "a" / "b"
    directory = empty_directory(state)
    assert list(directory.iterdir()) == []
    assert directory.stat().st_mode & 0o777 == 0o500
    assert state.stat().st_mode & 0o777 == 0o700


def test_it_is_made_again_when_somebody_cleaned_up(tmp_path: Path) -> None:
    directory = empty_directory(tmp_path)
    directory.rmdir()
    assert empty_directory(tmp_path) == directory
    assert directory.is_dir()


def test_a_place_that_cannot_be_had_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        empty_directory(tmp_path / "file" / "state")
