"""What the settings and the models table make of a request."""

import msgspec
import pytest

from ocpd.api.intake import Conditions, Intake
from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.dispatch.job import Job
from ocpd.errors import BadRequest
from ocpd.http.message import Headers, Request
from ocpd.settings.values import Settings
from ocpd.turn.caller import Caller
from ocpd.turn.request import Sampling, ToolMode, TurnId
from tests.unit.api.stage import MODELS

HAIKU, OPUS, ALWAYS = "claude-haiku-4-5", "claude-opus-4-8", "claude-opus-5-5"
UNKNOWN = "claude-next-9"
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def read(
    model: str, settings: Settings | None = None, effort: str | None = None, **fields: object
) -> Job:
    """The job of a request; ``effort`` is the header."""
    intake = Intake(OPENAI_CHAT, lambda _: Caller(), Conditions(settings or Settings(), MODELS))
    lines = [(b"x-effort", effort.encode())] if effort is not None else []
    request = Request("POST", "/x", "/x", "", Headers(lines), "1.1", "::1")
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
    return intake.read(request, TurnId("0" * 32), msgspec.json.encode(body))


def tell(job: Job) -> tuple[str | None, bool, bool]:
    """Level, whether it thinks, whether that is told."""
    return job.sheet.effort, job.sheet.thinks, job.turn.tells_reasoning


# Effort...


@pytest.mark.parametrize("quiet", ["none", "minimal"])
@pytest.mark.parametrize(
    ("model", "told"),
    [
        (HAIKU, (None, False, False)),
        (OPUS, (None, False, False)),
        (ALWAYS, ("low", True, False)),
        (UNKNOWN, ("low", True, False)),
    ],
)
def test_no_thinking_is_off_where_it_can_be_and_little_elsewhere(
    model: str, quiet: str, told: tuple[str | None, bool, bool]
) -> None:
    assert tell(read(model, reasoning_effort=quiet)) == told


@pytest.mark.parametrize(
    ("effort", "fields", "field"),
    [
        (None, {"reasoning_effort": "xhigh"}, "reasoning_effort"),
        (None, {"reasoning": {"effort": "xhigh"}}, "reasoning.effort"),
        ("xhigh", {}, "x-effort"),
        (None, {"metadata": {"effort": "xhigh"}}, "metadata.effort"),
    ],
)
def test_a_level_the_model_lacks_is_refused_by_the_field_that_asked(
    effort: str | None, fields: dict[str, object], field: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        read("claude-opus-4-6", effort=effort, **fields)
    assert caught.value.param == field
    assert caught.value.message.startswith(f"{field}: 'xhigh'")
    assert "none, minimal, low, medium, high, max" in caught.value.message


@pytest.mark.parametrize(
    ("thinking", "model", "told"),
    [
        ("off", OPUS, (None, False, False)),
        ("off", HAIKU, (None, False, False)),
        ("off", ALWAYS, ("low", True, False)),
        ("auto", OPUS, ("high", True, True)),
        ("on", OPUS, ("high", True, True)),
    ],
)
def test_the_operator_decides_for_a_request_that_is_silent(
    thinking: str, model: str, told: tuple[str | None, bool, bool]
) -> None:
    assert tell(read(model, Settings(thinking=thinking, default_effort="high"))) == told


def test_thinking_that_is_on_is_on_whatever_the_default_effort_is() -> None:
    quiet = Settings(thinking="on", default_effort="none")
    assert tell(read(OPUS, quiet)) == (None, True, True)
    assert tell(read(OPUS, Settings(default_effort="none"))) == (None, False, False)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reasoning_effort": "low"}, ("low", True, True)),
        ({"metadata": {"effort": "low"}}, ("low", True, True)),
        # It speaks of reasoning, and leaves the level open.
        ({"reasoning": {"summary": "auto"}}, (None, True, True)),
        ({"reasoning": None, "reasoning_effort": None}, (None, False, False)),
        ({"metadata": {"user": "u"}}, (None, False, False)),
    ],
)
def test_thinking_that_is_off_is_off_only_where_the_request_is_silent(
    fields: dict[str, object], told: tuple[str | None, bool, bool]
) -> None:
    assert tell(read(OPUS, Settings(thinking="off"), **fields)) == told


# ... a forced call ...


@pytest.mark.parametrize("model", [HAIKU, OPUS])
def test_a_forced_call_switches_thinking_off_for_its_turn(model: str) -> None:
    job = read(model, tools=TOOLS, tool_choice="required")
    assert (job.turn.tool_policy.mode, job.turn.ignored) == (ToolMode.REQUIRED, ())
    assert tell(job) == (None, False, True)


def test_a_forced_call_leaves_the_level_as_it_was_asked_for() -> None:
    job = read(OPUS, tools=TOOLS, tool_choice="required", reasoning_effort="high")
    assert tell(job) == ("high", False, True)


@pytest.mark.parametrize("model", [ALWAYS, UNKNOWN])
def test_a_call_cannot_be_forced_while_the_model_must_think(model: str) -> None:
    choice = {"type": "function", "function": {"name": "f"}}
    job = read(model, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False)
    policy = job.turn.tool_policy
    assert (policy.mode, policy.name, policy.parallel) == (ToolMode.AUTO, None, False)
    assert job.turn.ignored == ("tool_choice",)
    assert tell(job) == (None, True, True)


# ... and sampling.


@pytest.mark.parametrize("model", [HAIKU, "claude-sonnet-4-6", "claude-opus-4-6"])
def test_sampling_is_forwarded_with_thinking_off(model: str) -> None:
    job = read(model, temperature=0.3, top_k=5, reasoning_effort="none", seed=1)
    assert job.turn.sampling == Sampling(temperature=0.3, top_k=5)
    assert job.turn.ignored == ("seed",)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (HAIKU, {}),
        ("claude-opus-4-6", {"reasoning_effort": "low"}),
        (OPUS, {"reasoning_effort": "none"}),
        (ALWAYS, {"reasoning_effort": "none"}),
        (UNKNOWN, {"reasoning_effort": "none"}),
    ],
)
def test_sampling_is_named_as_ignored_elsewhere(model: str, fields: dict[str, object]) -> None:
    job = read(model, temperature=0.3, **fields)
    assert (job.turn.sampling, job.turn.ignored) == (Sampling(), ("temperature",))


def test_sampling_is_forwarded_where_a_forced_call_switched_thinking_off() -> None:
    job = read(HAIKU, tools=TOOLS, tool_choice="required", temperature=0)
    assert job.turn.sampling == Sampling(temperature=0.0)


def test_sampling_is_forwarded_where_max_tokens_leaves_no_room_for_thinking() -> None:
    assert read(HAIKU, max_tokens=20, temperature=0).turn.sampling == Sampling(temperature=0.0)
    assert read(HAIKU, max_tokens=2000, temperature=0).turn.sampling == Sampling()


def test_a_request_that_speaks_of_the_upstreams_cache_is_marked() -> None:
    assert not read(HAIKU).turn.has_cache_control
    assert read(HAIKU, cache_control={"type": "ephemeral"}).turn.has_cache_control
