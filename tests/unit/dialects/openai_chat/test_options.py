"""Knobs of a request."""

import msgspec
import pytest

from ocpd.dialects.openai_chat import wire
from ocpd.dialects.openai_chat.options import read_metadata
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
        ({"effort": "extreme"}, "x-effort"),
        ({"metadata": {"effort": "extreme"}}, "metadata.effort"),
        ({"metadata": {"effort": 3}}, "metadata.effort"),
        ({"metadata": {"mcp_servers": 3}}, "metadata.mcp_servers"),
        ({"metadata": {"mcp_servers": ["a", 3]}}, "metadata.mcp_servers[1]"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"long": "x" * 65_536}}, "metadata"),
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


def test_effort_is_read_from_four_places_the_first_that_says_it_wins() -> None:
    places: dict[str, dict[str, object]] = {
        "reasoning_effort": {"reasoning_effort": "xhigh"},
        "reasoning.effort": {"reasoning": {"effort": "low"}},
        "x-effort": {"effort": "high"},
        "metadata.effort": {"metadata": {"effort": "max"}},
    }
    levels = ["xhigh", "low", "high", "max"]
    for first, field in enumerate(places):
        given: dict[str, object] = {}
        for more in list(places.values())[first:]:
            given |= more
        turn = decode(**given)  # type: ignore[arg-type]
        assert (turn.effort, turn.reasoning_field) == (levels[first], field)


def test_a_request_may_speak_of_reasoning_without_a_level() -> None:
    for said in ({}, {"summary": "auto"}, {"effort": None}):
        turn = decode(reasoning=said)
        assert (turn.effort, turn.reasoning_field) == (None, "reasoning")
    turn = decode(reasoning=None, reasoning_effort=None, metadata={"effort": None})
    assert (turn.effort, turn.reasoning_field) == (None, None)


@pytest.mark.parametrize(
    ("servers", "read"), [(None, None), ("a, b", "a, b"), (["a", "b"], ["a", "b"])]
)
def test_metadata_may_name_servers_beside_anything_else(servers: object, read: object) -> None:
    body = {"metadata": {"mcp_servers": servers, "deep": [{"effort": 5}], "n": 1e300, "x": None}}
    request = msgspec.json.decode(msgspec.json.encode(body), type=wire.Request)
    assert read_metadata(request) == wire.Metadata(None, read)  # type: ignore[arg-type]
    body["metadata"].pop("mcp_servers")
    assert decode(**body).reasoning_field is None  # type: ignore[arg-type]


def test_the_body_names_the_session_before_the_header() -> None:
    assert decode(session="h").session == "h"
    assert decode(session="h", conversation_id="c").session == "c"
    assert decode(session="h", conversation_id="c", session_id="s ü").session == "s ü"
    assert decode().session is None


def test_fields_without_effect_are_listed_in_order() -> None:
    turn = decode(
        verbosity="low",
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
        tools=[{"function": {"name": name, "strict": True}} for name in "fg"],
    )
    assert turn.ignored == (
        "frequency_penalty",
        "logit_bias",
        "prediction",
        "presence_penalty",
        "seed",
        "service_tier",
        "tools.strict",
        "verbosity",
    )
    assert list(turn.ignored) == sorted(turn.ignored)


def test_whether_sampling_has_an_effect_is_not_decided_here() -> None:
    turn = decode(temperature=1.5, top_p=0.1, top_k=5)
    assert turn.sampling == Sampling(1.5, 0.1, 5)
    assert turn.ignored == ()


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
        tools=[{"function": {"name": "f", "strict": False}}],
        store=True,
        safety_identifier="x",
        prompt_cache_key="y",
        stream_options={"include_usage": True},
        something_new={"deep": [1]},
    )
    assert turn.ignored == ()
    assert turn.user == "u"
