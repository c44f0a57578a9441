"""Knobs of a request."""

import pytest

from ocpd.turn.request import AnswerFormat, Limits, Sampling, Shape
from tests.unit.dialects.openai_chat.asking import QUESTION, decode, refuse


def schema_format(**inner: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": inner}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_completion_tokens": 0, "max_tokens": 5}, "max_completion_tokens"),
        ({"max_tokens": 0, "max_completion_tokens": 5}, "max_tokens"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": [5]}, "stop[0]"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": schema_format()}, "response_format.json_schema.schema"),
        ({"response_format": schema_format(schema=[])}, "response_format.json_schema.schema"),
        ({"response_format": {"schema": 1}}, "response_format.schema"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": "x" * 129}, "session_id"),
        ({"conversation_id": "a\nb"}, "conversation_id"),
        ({"session": "a\x00"}, "X-Session-Id"),
        ({"stream": 1}, "stream"),
        ({"stream": "true"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"user": 5}, "user"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(
    fields: dict[str, object], param: str
) -> None:
    refusal = refuse(**fields)
    assert refusal.param == param
    assert param in refusal.message


def test_limits_end_the_answer() -> None:
    assert decode().limits == Limits()
    assert decode(max_tokens=5, stop="x").limits == Limits(5, ("x",))
    assert decode(max_tokens=5, max_completion_tokens=7).limits == Limits(7)
    assert decode(max_tokens=5, max_completion_tokens=None).limits == Limits(5)
    assert decode(stop=["a"] * 16).limits.stop == ("a",) * 16
    assert decode(stop=[]).limits == decode(stop=None).limits == Limits()


def test_sampling_is_read() -> None:
    assert decode(temperature=0, top_p=1, top_k=-1).sampling == Sampling(0.0, 1.0, -1)
    assert decode(temperature=None).sampling == Sampling()


def test_harmless_values_of_what_is_impossible_pass() -> None:
    turn = decode(n=1, logprobs=False, top_logprobs=0, modalities=["text"], audio=None)
    assert turn.ignored == ()


def test_the_form_of_the_answer_is_read() -> None:
    assert decode().format == AnswerFormat()
    assert decode(response_format={"type": "text"}, json_mode=True).format == AnswerFormat()
    assert decode(response_format={"type": "json_object"}).format == AnswerFormat(Shape.JSON)
    assert decode(json_mode=True).format == AnswerFormat(Shape.JSON)


@pytest.mark.parametrize(
    "wanted",
    [
        schema_format(name="n", strict=True, schema={"a": 1}),
        {"type": "json_schema", "json_schema": {"name": "n", "strict": True}, "schema": {"a": 1}},
        {"json_schema": {"name": "n", "strict": True}, "schema": {"a": 1}},
    ],
)
def test_a_schema_is_found_in_both_places(wanted: dict[str, object]) -> None:
    read = decode(response_format=wanted).format
    assert (read.shape, read.name, read.strict) == (Shape.SCHEMA, "n", True)
    assert read.schema is not None
    assert bytes(read.schema) == b'{"a":1}'


def test_effort_is_read_from_both_places() -> None:
    assert decode(reasoning_effort="xhigh").effort == "xhigh"
    assert decode(reasoning={"effort": "low"}).effort == "low"
    assert decode(reasoning={"effort": "low"}, reasoning_effort="high").effort == "high"
    assert decode(reasoning={}).effort is None


def test_the_body_names_the_session_before_the_header() -> None:
    assert decode(session="h").session == "h"
    assert decode(session="h", conversation_id="c").session == "c"
    assert decode(session="h", conversation_id="c", session_id="s ü").session == "s ü"
    assert decode().session is None


def test_fields_without_effect_are_listed_in_order() -> None:
    turn = decode(
        verbosity="low",
        temperature=0,
        top_p=0.1,
        top_k=5,
        seed=0,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logit_bias={"50256": -100},
        service_tier="flex",
        reasoning_effort="low",
        reasoning={"effort": "low"},
        session_id="s",
        conversation_id="c",
        prediction={"type": "content", "content": "x"},
    )
    assert turn.ignored == (
        "frequency_penalty",
        "logit_bias",
        "prediction",
        "presence_penalty",
        "seed",
        "service_tier",
        "temperature",
        "top_k",
        "top_p",
        "verbosity",
    )
    assert list(turn.ignored) == sorted(turn.ignored)


def test_fields_that_ask_for_nothing_special_are_not_listed() -> None:
    turn = decode(
        messages=[QUESTION],
        presence_penalty=0,
        frequency_penalty=0.0,
        logit_bias={},
        service_tier="auto",
        prediction=None,
        seed=None,
        user="u",
        metadata={"a": "b"},
        store=True,
        safety_identifier="x",
        prompt_cache_key="y",
        stream_options={"include_usage": True},
        something_new={"deep": [1]},
    )
    assert turn.ignored == ()
    assert turn.user == "u"
