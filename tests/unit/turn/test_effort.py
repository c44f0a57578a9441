"""How hard a model thinks: what was asked, else the default, else what the model likes."""

import pytest

from ocpd.errors import BadRequest
from ocpd.turn.effort import Effort, choose_effort

LEVELS = ("low", "medium", "high")


def choose(asked: str | None, default: str = "model", **more: bool) -> Effort:
    return choose_effort(asked, default, LEVELS, can_stop=more.get("can_stop", False))


def test_nothing_asked_is_left_to_the_model_or_to_the_default() -> None:
    assert choose(None) == Effort()
    assert choose(None, "high") == Effort("high")
    assert choose("low", "high") == Effort("low")


def test_a_default_that_is_not_there_is_the_highest_there_is() -> None:
    assert choose(None, "max") == Effort("high")
    assert choose_effort(None, "max", (), can_stop=True) == Effort()


def test_a_level_that_was_asked_for_and_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadRequest, match="none, minimal, low, medium, high") as caught:
        choose("max")
    assert caught.value.param == "reasoning_effort"


@pytest.mark.parametrize("quiet", ["none", "minimal"])
def test_no_thinking_is_never_refused(quiet: str) -> None:
    assert choose(quiet) == Effort("low", is_told=False)
    assert choose(None, quiet) == Effort("low", is_told=False)
    assert choose(quiet, can_stop=True) == Effort(thinks=False, is_told=False)
    assert choose_effort(quiet, "model", (), can_stop=False) == Effort(is_told=False)
