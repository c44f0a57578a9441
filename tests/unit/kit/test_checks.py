"""Promise: what the documented Messages API refuses is refused, and nothing else."""

import pytest

from tests.kit.checks import OUTPUT_LIMITS, output_limit, refusal_for

HEADERS = {"authorization": "Bearer x", "anthropic-version": "2023-06-01"}
HI = [{"role": "user", "content": "hi"}]
MARK = {"cache_control": {"type": "ephemeral"}}


def body(**more):
    return {"model": "claude-haiku-4-5-20251001", "max_tokens": 4000, "messages": HI, **more}


def thinking(budget=2000, **more):
    return body(thinking={"type": "enabled", "budget_tokens": budget}, **more)


def marked(count):
    return [{"type": "text", "text": "x", **MARK}] * count


GOOD = {
    "plain": body(),
    "the most the model writes": body(max_tokens=64_000),
    "thinking": thinking(),
    "the smallest budget": thinking(1024),
    "the largest budget": thinking(3999),
    "adaptive thinking": body(thinking={"type": "adaptive", "display": "summarized"}),
    "sampling without thinking": body(temperature=0.2, top_p=0.5, top_k=3),
    "sampling with thinking switched off": body(thinking={"type": "disabled"}, temperature=0.2),
    "the sampling that thinking allows": thinking(temperature=1, top_p=0.95),
    "a free tool choice while thinking": thinking(tool_choice={"type": "auto"}),
    "a forced tool choice": body(tool_choice={"type": "any"}),
    "four cache marks": body(system=marked(2), messages=[{"role": "user", "content": marked(2)}]),
    "a mark that is data of a tool": body(
        system=marked(4), tools=[{"name": "t", "input_schema": {"properties": [MARK, MARK]}}]
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_documented_request_passes(name):
    assert refusal_for(GOOD[name], HEADERS) is None


BAD = {
    "no max_tokens": ({"max_tokens": None}, "max_tokens: Field required"),
    "max_tokens of a wrong type": ({"max_tokens": True}, "max_tokens: Field required"),
    "max_tokens zero": ({"max_tokens": 0}, "greater than or equal to 1"),
    "max_tokens over the model's": ({"max_tokens": 64_001}, "64001 > 64000"),
    "a small budget": ({"thinking": {"type": "enabled", "budget_tokens": 1023}}, "1024"),
    "no budget": ({"thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
    "a budget of max_tokens": (
        {"thinking": {"type": "enabled", "budget_tokens": 4000}},
        "greater than thinking.budget_tokens",
    ),
    "an unknown kind of thinking": ({"thinking": {"type": "deep"}}, "thinking.type"),
    "temperature out of range": ({"temperature": 1.5}, "range: 0..1"),
    "top_p out of range": ({"top_p": "much"}, "range: 0..1"),
    "five cache marks": (
        {"system": marked(3), "messages": [{"role": "user", "content": marked(2)}]},
        "maximum of 4 blocks",
    ),
    "marks in tools and tool results": (
        {
            "tools": [{"name": "t", **MARK}] * 4,
            "messages": [
                *HI,
                {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t"}]},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "1", "content": marked(1)}],
                },
            ],
        },
        "Found 5",
    ),
    "an empty system block": ({"system": [{"type": "text", "text": ""}]}, "non-empty"),
    "a system of a wrong type": ({"system": 3}, "system: Input"),
    "a fault in the messages": ({"messages": []}, "at least one message"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_names_its_reason(name):
    change, reason = BAD[name]
    refusal = refusal_for(body(**change), HEADERS)
    assert refusal is not None
    assert (refusal.status, refusal.type) == (400, "invalid_request_error")
    assert reason in refusal.message


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"top_p": 0.94},
        {"top_k": 5},
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "tool", "name": "t"}},
    ],
)
@pytest.mark.parametrize("kind", [{"type": "enabled", "budget_tokens": 2000}, {"type": "adaptive"}])
def test_thinking_goes_with_no_sampling_and_no_forced_tool(change, kind):
    assert refusal_for(body(**change), HEADERS) is None
    refusal = refusal_for(body(thinking=kind, **change), HEADERS)
    assert refusal is not None
    assert refusal.status == 400


def test_headers_are_asked_for():
    assert refusal_for(body(), {}).status == 401
    assert refusal_for(body(), {"authorization": "Bearer x"}).status == 400
    assert refusal_for(body(), {"x-api-key": "k", "anthropic-version": "1"}) is None


@pytest.mark.parametrize("model", ["claude-3", "gpt-4", "claude-opus-5x", None, 3])
def test_an_unknown_model_is_not_found(model):
    refusal = refusal_for(body(model=model), HEADERS)
    assert (refusal.status, refusal.type) == (404, "not_found_error")
    if isinstance(model, str):
        assert refusal_for(body(model=model), HEADERS, limits={model: 5000}) is None


def test_the_longest_prefix_decides_the_output_limit():
    assert output_limit("claude-opus-5-5") == 128_000
    assert output_limit("claude-opus-5-5-20261001") == 128_000
    assert output_limit("claude-opus-5-20260101") == 64_000
    assert output_limit("claude-sonnet-4-6") == 64_000
    assert all(output_limit(name) == limit for name, limit in OUTPUT_LIMITS.items())


def test_strict_sampling_is_for_newer_models_only():
    old, new = body(temperature=0.5), body(model="claude-opus-4-7", temperature=0.5)
    assert refusal_for(new, HEADERS) is None
    assert refusal_for(old, HEADERS, strict_sampling=True) is None
    assert "deprecated" in refusal_for(new, HEADERS, strict_sampling=True).message
    budget = {**thinking(), "model": "claude-sonnet-5-5"}
    assert refusal_for(budget, HEADERS) is None
    assert "not supported" in refusal_for(budget, HEADERS, strict_sampling=True).message
