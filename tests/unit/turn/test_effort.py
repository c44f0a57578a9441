"""How hard a model thinks: what was asked, else the default, else what the model likes."""

import pytest

from ocpd.errors import BadRequest
from ocpd.turn.effort import Effort, choose_default, choose_effort

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
    with pytest.raises(BadRequest, match=r"^metadata\.effort: 'max' is not") as caught:
        choose_effort("max", "model", LEVELS, can_stop=False, field="metadata.effort")
    assert caught.value.param == "metadata.effort"


@pytest.mark.parametrize("quiet", ["none", "minimal"])
def test_no_thinking_is_never_refused(quiet: str) -> None:
    assert choose(quiet) == Effort("low", is_told=False)
    assert choose(None, quiet) == Effort("low", is_told=False)
    assert choose(quiet, can_stop=True) == Effort(thinks=False, is_told=False)
    assert choose_effort(quiet, "model", (), can_stop=False) == Effort(is_told=False)


@pytest.mark.parametrize(
    ("thinking", "effort", "default"),
    [
        *(("auto", effort, effort) for effort in ("model", "none", "minimal", "high")),
        *(("off", effort, "none") for effort in ("model", "none", "minimal", "high")),
        ("on", "model", "model"),
        ("on", "none", "model"),
        ("on", "minimal", "model"),
        ("on", "high", "high"),
    ],
)
def test_a_request_that_is_silent_gets_what_the_operator_said(
    thinking: str, effort: str, default: str
) -> None:
    assert choose_default(thinking, effort) == default
