"""The knobs of a request: form of the answer, limits, sampling, who asks.

What may live here: checks of single fields, and the list of those that have no effect. Whether
sampling has one depends on the model: that is decided later.
"""

from collections.abc import Sequence

import msgspec

from ocpd.dialects.body import is_given, read_small
from ocpd.dialects.openai_chat import wire
from ocpd.errors import BadRequest
from ocpd.turn.request import AnswerFormat, Limits, Sampling, Shape, Tool

_MAX_STOPS = 16
_MAX_SESSION = 128
_STOP: msgspec.json.Decoder[str | list[str]] = msgspec.json.Decoder(str | list[str])
_MODALITIES: msgspec.json.Decoder[list[str]] = msgspec.json.Decoder(list[str])
_BIAS: msgspec.json.Decoder[dict[str, float]] = msgspec.json.Decoder(dict[str, float])
_METADATA: msgspec.json.Decoder[wire.Metadata] = msgspec.json.Decoder(wire.Metadata)
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def refuse_impossible(request: wire.Request) -> None:
    """Raise BadRequest for what no version can do: several answers, log probabilities, sound."""
    if request.n is not None and request.n != 1:
        raise BadRequest("n: only 1 answer can be given", param="n")
    if request.logprobs:
        raise BadRequest("logprobs: log probabilities are not available", param="logprobs")
    if request.top_logprobs:
        raise BadRequest("top_logprobs: log probabilities are not available", param="top_logprobs")
    kinds = read_small(request.modalities, _MODALITIES, "modalities") or ()
    if any(kind != "text" for kind in kinds):
        raise BadRequest("modalities: only text can be answered", param="modalities")
    if is_given(request.audio):
        raise BadRequest("audio: only text can be answered", param="audio")


def read_limits(request: wire.Request) -> Limits:
    """Read where the answer ends at the latest; the newer name of max_tokens wins."""
    limit = None
    for field, value in (
        ("max_tokens", request.max_tokens),
        ("max_completion_tokens", request.max_completion_tokens),
    ):
        if value is not None and value < 1:
            raise BadRequest(f"{field}: expected an integer of 1 or more", param=field)
        limit = limit if value is None else value
    return Limits(limit, _read_stop(read_small(request.stop, _STOP, "stop")))


def _read_stop(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if len(stops) > _MAX_STOPS:
        raise BadRequest(f"stop: expected at most {_MAX_STOPS} strings", param="stop")
    if "" in stops:
        raise BadRequest("stop: a stop sequence must not be empty", param="stop")
    return tuple(stops)


def read_sampling(request: wire.Request) -> Sampling:
    """Read how tokens would be drawn. Raises BadRequest for values outside the API's ranges."""
    for field, value, high in (
        ("temperature", request.temperature, 2),
        ("top_p", request.top_p, 1),
    ):
        if value is not None and not 0 <= value <= high:
            raise BadRequest(f"{field}: expected a number from 0 to {high}", param=field)
    return Sampling(request.temperature, request.top_p, request.top_k)


def read_format(request: wire.Request) -> AnswerFormat:
    """Read what form the answer must have; ``json_mode`` is an older way to ask for JSON."""
    wanted = request.response_format
    if wanted is None:
        return AnswerFormat(Shape.JSON) if request.json_mode else AnswerFormat()
    kind = wanted.type
    if kind is None and is_given(wanted.schema):
        kind = "json_schema"
    if kind == "json_schema":
        return _read_schema(wanted)
    if kind == "json_object":
        return AnswerFormat(Shape.JSON)
    if kind != "text":
        path = "response_format.type"
        raise BadRequest(f"{path}: expected text, json_object or json_schema", param=path)
    return AnswerFormat()


def _read_schema(wanted: wire.ResponseFormat) -> AnswerFormat:
    inner = wanted.json_schema or wire.JsonSchema()
    schema, path = inner.schema, "response_format.json_schema.schema"
    if not is_given(schema) and is_given(wanted.schema):
        schema, path = wanted.schema, "response_format.schema"
    if not bytes(schema).lstrip().startswith(b"{"):
        raise BadRequest(f"{path}: expected object", param=path)
    return AnswerFormat(Shape.SCHEMA, schema.copy(), inner.name, inner.strict or False)


def read_metadata(request: wire.Request) -> wire.Metadata:
    """Read what the caller's notes say that means something here. Raises BadRequest for what is no
    object, or too large."""
    return read_small(request.metadata, _METADATA, "metadata") or wire.Metadata()


def read_effort(
    request: wire.Request, metadata: wire.Metadata, header: str | None
) -> tuple[str | None, str | None]:
    """Read how hard the model should think, in the API's words, and the field that said so.

    Without a level the field is the one that speaks of reasoning otherwise; None if none does.
    """
    reasoning = request.reasoning
    for field, effort in (
        ("reasoning_effort", request.reasoning_effort),
        ("reasoning.effort", reasoning and reasoning.effort),
        ("x-effort", header),
        ("metadata.effort", metadata.effort),
    ):
        if effort is None:
            continue
        if effort not in _EFFORTS:
            raise BadRequest(f"{field}: expected one of {', '.join(_EFFORTS)}", param=field)
        return effort, field
    return None, None if reasoning is None else "reasoning"


def read_session(request: wire.Request, header: str | None) -> str | None:
    """Read which conversation this belongs to; the body wins over the ``header``."""
    for field, value in (
        ("session_id", request.session_id),
        ("conversation_id", request.conversation_id),
        ("X-Session-Id", header),
    ):
        if value is not None:
            if not (1 <= len(value) <= _MAX_SESSION and value.isprintable()):
                raise BadRequest(
                    f"{field}: expected 1 to {_MAX_SESSION} printable characters", param=field
                )
            return value
    return None


def list_ignored(request: wire.Request, tools: Sequence[Tool]) -> tuple[str, ...]:
    """Name the fields that were understood and will have no effect in this version, sorted."""
    bias = read_small(request.logit_bias, _BIAS, "logit_bias")
    effects: dict[str, object] = {
        "frequency_penalty": request.frequency_penalty,
        "functions": bool(request.functions) and bool(request.tools),
        "logit_bias": bias,
        "prediction": is_given(request.prediction),
        "presence_penalty": request.presence_penalty,
        "seed": request.seed is not None,
        "service_tier": request.service_tier not in (None, "auto", "default"),
        "thinking": is_given(request.thinking),
        "tools.strict": any(tool.strict for tool in tools),
        "verbosity": request.verbosity,
        "web_search_options": is_given(request.web_search_options),
    }
    return tuple(field for field, asked in effects.items() if asked)
