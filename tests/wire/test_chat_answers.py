"""A question gets the answer that the real CLI produced, streamed and plain."""

import msgspec
import pytest

from tests.kit.script import Say, Usage
from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage, quick, say

pytestmark = pytest.mark.real_cli

COUNTED = Usage(
    input_tokens=11,
    output_tokens=40,
    cache_creation_input_tokens=5,
    cache_read_input_tokens=300,
    thinking_tokens=7,
)


def test_a_plain_answer_is_what_the_model_said(stage: Stage) -> None:
    stage.upstream.script(Say(["Good ", "morning", "."]))
    answer = stage.ask("hello")
    assert answer.choices[0].message.content == "Good morning."
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"


def test_a_streamed_answer_has_one_chunk_for_each_delta_of_the_upstream(stage: Stage) -> None:
    deltas = ["one ", "two ", "three ", "four"]
    stage.upstream.script(Say(deltas, delay_s=0.01))
    assert stage.stream("count").pieces == deltas


def test_deltas_that_come_at_once_are_still_chunks_of_their_own(stage: Stage) -> None:
    deltas = [f"word{at} " for at in range(200)]
    stage.upstream.script(Say(deltas))
    assert stage.stream("count").pieces == deltas


def test_a_stream_opens_with_the_role_and_ends_with_the_finish_reason(stage: Stage) -> None:
    stage.upstream.script(Say(["Hi"]))
    told = stage.stream("hello")
    first, *_, last = told.chunks
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert all(chunk.choices[0].delta.role is None for chunk in told.chunks[1:])
    assert last.choices[0].finish_reason == "stop"
    assert told.finish == ["stop"]
    assert {chunk.object for chunk in told.chunks} == {"chat.completion.chunk"}
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in told.chunks}) == 1


def test_a_stream_ends_with_done_and_with_nothing_behind_it(stage: Stage) -> None:
    response = stage.post("hello", stream=True)
    frames = response.text.split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    assert all(frame.startswith("data: {") for frame in frames[:-2])


def test_usage_comes_in_a_stream_only_when_it_was_asked_for(stage: Stage) -> None:
    assert stage.stream("hello").usages == []
    told = stage.stream("hello", stream_options={"include_usage": True})
    assert told.chunks[-1].choices == []
    assert told.usages == [told.chunks[-1].usage]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_usage_is_what_the_upstream_counted(stage: Stage, streamed: bool) -> None:
    stage.upstream.script(Say(["Hi"], usage=COUNTED))
    if streamed:
        usage = stage.stream("hello", stream_options={"include_usage": True}).usages[0]
    else:
        found = stage.ask("hello").usage
        assert found is not None
        usage = found
    assert usage.prompt_tokens == 11 + 5 + 300
    assert usage.completion_tokens == 40
    assert usage.total_tokens == 356
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 300
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 7


def test_thinking_is_told_apart_from_the_answer(stage: Stage) -> None:
    stage.upstream.script(Say(["42"], thinking=["Let me ", "see."]))
    plain = stage.ask("what?").choices[0].message
    assert plain.content == "42"
    assert (plain.model_extra or {})["reasoning_content"] == "Let me see."
    stage.upstream.script(Say(["42"], thinking=["Let me ", "see."]))
    told = stage.stream("what?")
    thought = [(c.choices[0].delta.model_extra or {}).get("reasoning_content") for c in told.chunks]
    assert [text for text in thought if text] == ["Let me ", "see."]
    assert told.text == "42"


@pytest.mark.parametrize("name", ["sonnet", "openai/SONNET", "claude-sonnet-5-5", None])
def test_the_answer_names_the_model_canonically(stage: Stage, name: str | None) -> None:
    response = stage.post("hello", model=name)
    assert response.json()["model"] == "claude-sonnet-5-5"
    assert stage.heard().body["model"] == "claude-sonnet-5-5"


def test_the_headers_of_a_stream_keep_proxies_from_holding_it_back(stage: Stage) -> None:
    response = stage.post("hello", stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-cache"
    assert "x-ocpd-demo" not in response.headers


def test_every_answer_has_a_request_id_that_is_its_own(stage: Stage) -> None:
    streamed = stage.post("hello", stream=True)
    plain = stage.post("hello")
    refused = stage.post("hello", n=2)
    ids = [response.headers["x-request-id"] for response in (streamed, plain, refused)]
    assert len(set(ids)) == 3
    assert plain.json()["id"] == f"chatcmpl-{ids[1]}"
    assert f'"id":"chatcmpl-{ids[0]}"' in streamed.text


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_characters_arrive_whole_wherever_deltas_are_cut(stage: Stage, streamed: bool) -> None:
    # A family is several characters that print as one; the line separators end lines in JavaScript.
    deltas = ["Grüße 👨", "\u200d👩\u200d", "👧 ", "\u2028\u2029", "\r\n\t", "日本", "語\u0000"]
    stage.upstream.script(Say(deltas))
    text = stage.stream("hello").text if streamed else stage.ask("hello").choices[0].message.content
    assert text == "".join(deltas)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_an_answer_of_200_kilobytes_arrives_whole(stage: Stage, streamed: bool) -> None:
    deltas = [f"{at:05d} " + "lorem ipsum " * 16 for at in range(1000)]
    stage.upstream.script(Say(deltas))
    text = stage.stream("much").text if streamed else stage.ask("much").choices[0].message.content
    assert text == "".join(deltas)
    assert len(text) > 190_000


def test_a_prompt_of_two_megabytes_arrives_whole(stage: Stage) -> None:
    prompt = "".join(f"{at:07d} Grüße\n" for at in range(150_000))
    assert len(prompt.encode()) > 2_000_000
    stage.upstream.script(Say("read"))
    assert stage.ask(prompt).choices[0].message.content == "read"
    assert stage.heard().messages[0]["content"] == prompt


def test_an_empty_answer_is_an_answer(stage: Stage) -> None:
    stage.upstream.script(Say([]))
    assert stage.ask("say nothing").choices[0].message.content == ""


def test_a_spare_answers_as_well_as_a_fresh_process(open_real: OpenStage) -> None:
    with open_real(settings=quick(spares=1)) as stage:
        for at in range(3):
            stage.wait_report(lambda r: r.processes.parked == {"claude-sonnet-5-5": 1})
            stage.upstream.script(Say(f"answer {at}"))
            asked = [{"role": "system", "content": f"Number {at}."}, *say("hello")]
            assert stage.ask(asked).choices[0].message.content == f"answer {at}"
        report = stage.assert_at_rest()
        assert report.processes.sources == {"spare": 3}


def test_a_field_that_has_no_effect_is_named_in_the_answer(stage: Stage) -> None:
    response = stage.post("hello", temperature=0.3, seed=7)
    assert response.status == 200
    assert response.headers["x-ocpd-ignored"] == "seed, temperature"
    assert "temperature" not in msgspec.json.decode(stage.heard().raw)
