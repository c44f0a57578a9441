"""What the documented Messages API refuses, as one pure function over a request.

What may live here: rules about the body and the headers as a whole. Rules about the shape of the
conversation are in ``conversation``. The messages are worded like the API's own where it names the
field, so that a caller that matches on them meets the same words.

The real CLI was checked against these rules (2.1.330, old and new models, streamed and not, tools,
thinking, injected history). What it does that a plain client does not: messages of role ``system``
between the others, with text, blocks or an empty list; ``stream: false`` with the same body after
streams have failed; a request for one token without ``stream`` to see whether a model exists.

Left out on purpose, because the CLI's requests could not be told from wrong ones: that
``budget_tokens`` may exceed ``max_tokens`` with interleaved thinking (here it never may), and that
newer models refuse sampling parameters and manual budgets altogether. ``strict_sampling`` adds
that last one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from tests.kit.conversation import refusal_for_messages

OUTPUT_LIMITS: Mapping[str, int] = {
    "claude-opus-5-5": 128_000,
    "claude-sonnet-5-5": 128_000,
    "claude-fable-5-2": 128_000,
    "claude-haiku-5-5": 128_000,
    "claude-opus-5": 64_000,
    "claude-opus-4-8": 64_000,
    "claude-opus-4-7": 64_000,
    "claude-opus-4-6": 64_000,
    "claude-sonnet-5": 64_000,
    "claude-sonnet-4-6": 64_000,
    "claude-haiku-4-5": 64_000,
}
MANUAL_THINKING = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5")

_MAX_CACHE_MARKS = 4
_MIN_BUDGET = 1024
_MIN_TOP_P = 0.95
_MARKED_FIELDS = ("system", "tools", "messages")


class Refusal(Struct, frozen=True):
    """An HTTP status with the API's error type and message."""

    status: int
    type: str
    message: str


def refusal_for(
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    limits: Mapping[str, int] = OUTPUT_LIMITS,
    strict_sampling: bool = False,
) -> Refusal | None:
    """Why the API would refuse this request, or None if it would not.

    ``headers`` have lower-case names. ``limits`` maps model id prefixes to the most tokens that
    model writes. With ``strict_sampling`` models newer than 4.6 refuse sampling parameters and
    manual thinking budgets, as documented for them.
    """
    if refusal := _refusal_for_headers(headers):
        return refusal
    limit = output_limit(body.get("model"), limits)
    if limit is None:
        return Refusal(404, "not_found_error", f"model: {body.get('model')}")
    found = (
        _max_tokens_fault(body, limit)
        or _thinking_fault(body)
        or _sampling_fault(body)
        or (_strict_fault(body) if strict_sampling else None)
        or _cache_fault(body)
        or _system_fault(body)
        or refusal_for_messages(body.get("messages"))
    )
    return Refusal(400, "invalid_request_error", found) if found else None


def output_limit(model: object, limits: Mapping[str, int] = OUTPUT_LIMITS) -> int | None:
    """The most tokens ``model`` writes, by the longest prefix that fits; None if unknown."""
    if not isinstance(model, str):
        return None
    fits = [prefix for prefix in limits if model == prefix or model.startswith(f"{prefix}-")]
    return limits[max(fits, key=len)] if fits else None


def _refusal_for_headers(headers: Mapping[str, str]) -> Refusal | None:
    if not headers.get("authorization", "").startswith("Bearer ") and not headers.get("x-api-key"):
        return Refusal(401, "authentication_error", "x-api-key header is required")
    if "anthropic-version" not in headers:
        return Refusal(400, "invalid_request_error", "anthropic-version: header is required")
    return None


def _max_tokens_fault(body: Mapping[str, Any], limit: int) -> str | None:
    told = body.get("max_tokens")
    if not isinstance(told, int) or isinstance(told, bool):
        return "max_tokens: Field required"
    if told < 1:
        return "max_tokens: must be greater than or equal to 1"
    if told > limit:
        return (
            f"max_tokens: {told} > {limit}, which is the maximum allowed number of output tokens "
            f"for {body['model']}"
        )
    return None


def _thinking_type(body: Mapping[str, Any]) -> str:
    thinking = body.get("thinking")
    return str(thinking.get("type", "")) if isinstance(thinking, dict) else "disabled"


def _thinking_fault(body: Mapping[str, Any]) -> str | None:
    kind = _thinking_type(body)
    if kind not in {"enabled", "disabled", "adaptive"}:
        return "thinking.type: must be one of enabled, disabled, adaptive"
    if kind != "enabled":
        return None
    budget = body["thinking"].get("budget_tokens")
    if not isinstance(budget, int):
        return "thinking.enabled.budget_tokens: Field required"
    if budget < _MIN_BUDGET:
        return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    if budget >= body["max_tokens"]:
        return "max_tokens must be greater than thinking.budget_tokens"
    return None


def _sampling_fault(body: Mapping[str, Any]) -> str | None:
    if fault := _range_fault(body):
        return fault
    if _thinking_type(body) == "disabled":
        return None
    if body.get("temperature", 1) != 1:
        return "temperature may only be set to 1 when thinking is enabled"
    if body.get("top_p", 1) < _MIN_TOP_P:
        return "top_p must be greater than or equal to 0.95 or unset when thinking is enabled"
    if body.get("top_k") is not None:
        return "top_k must be unset when thinking is enabled"
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in {"any", "tool"}:
        return "Thinking may not be enabled when tool_choice forces tool use."
    return None


def _range_fault(body: Mapping[str, Any]) -> str | None:
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
            return f"{name}: range: 0..1"
    return None


def _strict_fault(body: Mapping[str, Any]) -> str | None:
    if str(body["model"]).startswith(MANUAL_THINKING):
        return None
    if _thinking_type(body) == "enabled":
        return '"thinking.type.enabled" is not supported for this model.'
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            return f"`{name}` is deprecated for this model."
    return None


def _cache_fault(body: Mapping[str, Any]) -> str | None:
    marks = sum(_count_marks(body.get(field)) for field in _MARKED_FIELDS)
    if marks > _MAX_CACHE_MARKS:
        return f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."
    return None


def _count_marks(value: object) -> int:
    """Cache marks on the blocks of a field; what a tool's schema or input says is data."""
    return sum(isinstance(block.get("cache_control"), dict) for block in _walk_blocks(value))


def _walk_blocks(value: object) -> Iterator[Mapping[str, Any]]:
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item
            yield from _walk_blocks(item.get("content"))


def _system_fault(body: Mapping[str, Any]) -> str | None:
    system = body.get("system")
    if system is None or isinstance(system, str):
        return None
    if not isinstance(system, list):
        return "system: Input should be a valid list"
    if any(not str(block.get("text", "")).strip() for block in system):
        return "system: text content blocks must be non-empty"
    return None
