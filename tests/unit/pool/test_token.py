"""The stored token: one private file, replaced whole, and nothing if others could have read it."""

import stat
from pathlib import Path

import pytest

from ocpd.errors import Overloaded
from ocpd.pool.token import VARIABLE, TokenSafe, TokenTooOpen
from tests.unit.http.stage import run


def environment_with(safe: TokenSafe, **given: str) -> dict[str, str]:
    environment = dict(given)
    safe.add_to(environment)
    return environment


def test_a_token_is_kept_privately_and_beats_the_services_own(tmp_path: Path) -> None:
    safe = TokenSafe(tmp_path)
    assert not safe.is_stored
    assert environment_with(safe, **{VARIABLE: "own"}) == {VARIABLE: "own"}
    run(safe.store("first"))
    run(safe.store("second"))
    assert safe.is_stored
    assert environment_with(safe, **{VARIABLE: "own"}) == {VARIABLE: "second"}
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


def test_forgetting_it_gives_the_services_own_back(tmp_path: Path) -> None:
    safe = TokenSafe(tmp_path)
    run(safe.store("first"))
    assert run(safe.remove())
    assert not run(safe.remove())
    assert environment_with(safe) == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o610])
def test_a_file_that_others_may_touch_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    safe = TokenSafe(tmp_path)
    run(safe.store("first"))
    (tmp_path / "token").chmod(mode)
    with pytest.raises(TokenTooOpen, match=f"chmod 600 {tmp_path}/token"):
        environment_with(safe)
    # A new one is nobody else's.
    run(safe.store("second"))
    assert environment_with(safe) == {VARIABLE: "second"}


def test_what_a_crash_left_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "token.new").write_text("half")
    (tmp_path / "token.new").chmod(0o644)
    run(TokenSafe(tmp_path).store("whole"))
    assert (tmp_path / "token").read_text() == "whole\n"
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_to_is_503(tmp_path: Path) -> None:
    safe = TokenSafe(tmp_path / "nowhere")
    with pytest.raises(Overloaded) as caught:
        run(safe.store("first"))
    assert (caught.value.status, caught.value.code) == (503, "token_not_kept")
    assert "first" not in caught.value.message
