"""What gives way where thinking and something else cannot both be had."""

import pytest

from ocpd.turn.effort import Effort
from ocpd.turn.request import Message, Role, Sampling, Text, ToolMode, ToolPolicy, Turn, TurnId
from ocpd.turn.sampling import settle_choice, settle_sampling

QUESTION = (Message(Role.USER, (Text("hi"),)),)
FORCED = (ToolPolicy(ToolMode.REQUIRED), ToolPolicy(ToolMode.NAMED, "f", parallel=False))
THINKING = Effort("high")


def make(**fields: object) -> Turn:
    return Turn(id=TurnId("0" * 32), model="m", messages=QUESTION, **fields)


def sample(*, thinks: bool = False, takes: bool = True, **asked: float) -> Turn:
    turn = make(sampling=Sampling(**asked), ignored=("seed",))
    return settle_sampling(turn, thinks=thinks, takes_sampling=takes)


# A call that must be made...


@pytest.mark.parametrize("policy", FORCED, ids=lambda p: p.mode.value)
def test_thinking_gives_way_to_a_call_that_must_be_made(policy: ToolPolicy) -> None:
    turn = make(tool_policy=policy)
    assert settle_choice(turn, THINKING, can_stop=True) == (turn, Effort("high", thinks=False))


@pytest.mark.parametrize("policy", FORCED, ids=lambda p: p.mode.value)
def test_a_model_that_must_think_is_free_to_call(policy: ToolPolicy) -> None:
    turn, effort = settle_choice(
        make(tool_policy=policy, ignored=("seed", "verbosity")), THINKING, can_stop=False
    )
    assert turn.tool_policy == ToolPolicy(ToolMode.AUTO, parallel=policy.parallel)
    assert turn.ignored == ("seed", "tool_choice", "verbosity")
    assert effort == THINKING


def test_the_older_form_hears_its_own_name() -> None:
    turn = make(tool_policy=FORCED[1], calls_as_functions=True)
    assert settle_choice(turn, THINKING, can_stop=False)[0].ignored == ("function_call",)


@pytest.mark.parametrize("can_stop", [True, False])
@pytest.mark.parametrize("mode", [ToolMode.AUTO, ToolMode.NONE])
def test_a_choice_that_forces_nothing_changes_nothing(mode: ToolMode, can_stop: bool) -> None:
    turn = make(tool_policy=ToolPolicy(mode))
    assert settle_choice(turn, THINKING, can_stop=can_stop) == (turn, THINKING)


def test_where_nothing_is_thought_a_call_may_be_forced() -> None:
    turn, quiet = make(tool_policy=FORCED[0]), Effort(thinks=False, is_told=False)
    assert settle_choice(turn, quiet, can_stop=True) == (turn, quiet)


# ... and how tokens are drawn.


@pytest.mark.parametrize(
    ("thinks", "takes"), [(True, True), (True, False), (False, False)], ids=str
)
def test_sampling_is_named_as_ignored_where_it_cannot_be_had(thinks: bool, takes: bool) -> None:
    turn = sample(thinks=thinks, takes=takes, temperature=0.0, top_p=0.5, top_k=3)
    assert turn.sampling == Sampling()
    assert turn.ignored == ("seed", "temperature", "top_k", "top_p")


def test_sampling_is_forwarded_where_it_can() -> None:
    turn = sample(temperature=0.0, top_k=3)
    assert turn.sampling == Sampling(temperature=0.0, top_k=3)
    assert turn.ignored == ("seed",)


def test_top_p_is_not_forwarded_because_a_temperature_always_is() -> None:
    assert sample(temperature=0.2, top_p=0.1).sampling == Sampling(temperature=0.2)
    turn = sample(top_p=0.1)
    assert (turn.sampling, turn.ignored) == (Sampling(), ("seed", "top_p"))


@pytest.mark.parametrize(("temperature", "kept"), [(1.0, True), (1.01, False), (2.0, False)])
def test_a_temperature_that_only_openai_has_is_not_forwarded(
    temperature: float, kept: bool
) -> None:
    turn = sample(temperature=temperature)
    assert turn.sampling.temperature == (temperature if kept else None)
    assert ("temperature" in turn.ignored) is not kept


@pytest.mark.parametrize(
    ("top_k", "kept"), [(-1, False), (0, False), (1, True), (1_000_000, True), (1 << 70, False)]
)
def test_a_number_of_choices_that_is_none_is_not_forwarded(top_k: int, kept: bool) -> None:
    turn = sample(top_k=top_k)
    assert turn.sampling.top_k == (top_k if kept else None)
    assert ("top_k" in turn.ignored) is not kept


@pytest.mark.parametrize("thinks", [True, False])
def test_who_asks_for_nothing_hears_nothing(thinks: bool) -> None:
    turn = make(ignored=("seed",))
    assert settle_sampling(turn, thinks=thinks, takes_sampling=True) == turn
